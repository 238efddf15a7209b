/** What the tool ends with. Help and README list the same; a test holds them to that. */
import { wrap } from './text.js';

export const EXIT_EXPECTED = 0;
export const EXIT_UNEXPECTED = 1;
export const EXIT_USAGE = 2;
export const EXIT_BUG = 3;
/** An exploration that was cut short. */
export const EXIT_TRUNCATED = 4;
/** Nothing is lost as far as it ran, and not all of it could be run. */
export const EXIT_PARTIAL = 7;
/** What was to be looked at was not reached, so nothing can be said of it. */
export const EXIT_UNREACHED = 8;
/** 128 + SIGINT, as shells report it; SIGTERM ends with the same. */
export const EXIT_INTERRUPTED = 130;

/** What a code says, whatever the command. */
const MEANINGS: readonly (readonly [code: number, says: string])[] = [
  [EXIT_EXPECTED, 'everything came out as expected'],
  [EXIT_UNEXPECTED, 'something did not; the help of each command says what that can be'],
  [
    EXIT_USAGE,
    'the command line, a file or a tool is not as it has to be; standard error says why',
  ],
  [EXIT_BUG, "a bug of vlbr, or a crash of a kernel's lbr.c that was to be run; no verdict"],
  [EXIT_TRUNCATED, 'vlbr explore: nothing unexpected, but not every schedule was looked at'],
  [EXIT_PARTIAL, 'vlbr review: nothing is lost, but only a part of what was given runs here'],
  [
    EXIT_UNREACHED,
    'vlbr review: none of the changed lines was reached, so it says nothing of them',
  ],
  [EXIT_INTERRUPTED, 'interrupted (Ctrl-C, SIGTERM); the report says what is known'],
];

/**
 * The list of exit codes, as help shows it.
 *
 * @param own - what a code says for one command; null for a code that it never ends with.
 */
export function exitCodesText(own: Readonly<Record<number, string | null>> = {}): string {
  const lines = MEANINGS.flatMap(([code, meaning]) => {
    const says = own[code] === undefined ? meaning : own[code];
    return says === null ? [] : wrap(says, `  ${String(code).padEnd(5)}`, '       ');
  });
  return ['', 'Exit codes:', ...lines].join('\n');
}

/** For commands that judge nothing. */
export const PLAIN_EXITS: string = exitCodesText({
  [EXIT_EXPECTED]: 'it is done',
  [EXIT_UNEXPECTED]: null,
  [EXIT_TRUNCATED]: null,
  [EXIT_PARTIAL]: null,
  [EXIT_UNREACHED]: null,
  [EXIT_INTERRUPTED]: null,
});

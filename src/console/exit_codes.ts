/**
 * What the tool ends with, the same for all commands. Help and README list the same; a test holds
 * them to that.
 */
export const EXIT_EXPECTED = 0;
/** A failure that nobody declares: a property is lost. */
export const EXIT_LOST = 1;
export const EXIT_USAGE = 2;
export const EXIT_BUG = 3;
/** Not all that was asked for was looked at, and nothing unexpected was met in the rest. */
export const EXIT_CUT_SHORT = 4;
/** What is known to fail was not met. */
export const EXIT_NOT_SHOWN = 5;
export const EXIT_NOT_WRITTEN = 6;
/** Not all that was given can be run, and nothing is lost in the rest. */
export const EXIT_PARTIAL = 7;
/** What was to be looked at was not reached, so nothing can be said of it. */
export const EXIT_UNREACHED = 8;
/** 128 + SIGINT, as shells report it: a second Ctrl-C, which ends the process without a report. */
export const EXIT_AT_ONCE = 130;

/** What a code says, whatever the command. */
export const EXIT_MEANINGS: Readonly<Record<number, string>> = {
  [EXIT_EXPECTED]: 'everything came out as expected',
  [EXIT_LOST]: 'a property is lost, or something else fails that nobody expects to fail',
  [EXIT_USAGE]:
    'the command line, a file or a tool is not as it has to be; standard error says why',
  [EXIT_BUG]: "a bug of vlbr, or a crash of a kernel's code that was to be run; no verdict",
  [EXIT_CUT_SHORT]:
    'cut short (--time-limit, SIGTERM, Ctrl-C, memory); nothing unexpected until then',
  [EXIT_NOT_SHOWN]: 'a known failure did not show, or a risk was never met: too few runs',
  [EXIT_NOT_WRITTEN]: "the report or a file can't be written (full disk, closed pipe)",
  [EXIT_PARTIAL]:
    'only a part of what was given runs here: vlbr review loses nothing in it, and vlbr campaign ' +
    'bisect is left with several commits',
  [EXIT_UNREACHED]:
    'vlbr review: none of the changed lines was reached, so it says nothing of them',
};

const ALWAYS: readonly number[] = [EXIT_EXPECTED, EXIT_USAGE, EXIT_BUG, EXIT_NOT_WRITTEN];

/**
 * The list of exit codes, as help shows it: a line for each.
 *
 * @param own - the codes that one command ends with, besides those that each can end with, and
 * what they say there; null for what the code says everywhere. Without it, all codes.
 */
export function exitCodesText(own?: Readonly<Record<number, string | null>>): string {
  const lines = Object.entries(EXIT_MEANINGS).flatMap(([key, meaning]) => {
    const code = Number(key);
    if (own !== undefined && !(code in own) && !ALWAYS.includes(code)) return [];
    return [`  ${key.padEnd(5)}${own?.[code] ?? meaning}`];
  });
  return ['', 'Exit codes:', ...lines].join('\n');
}

/** For commands that judge nothing. */
export const PLAIN_EXITS: string = exitCodesText({ [EXIT_EXPECTED]: 'it is done' });

/** What was found; what is left out was not. */
export interface Outcome {
  /** Something fails that nobody expects to fail. That is sure, even where the work was cut. */
  readonly lost?: boolean;
  readonly cutShort?: boolean;
  /** Something that is known to fail did not. */
  readonly notShown?: boolean;
}

/** The exit code of an outcome. */
export function exitCodeOf({ lost, cutShort, notShown }: Outcome): number {
  if (lost === true) return EXIT_LOST;
  if (cutShort === true) return EXIT_CUT_SHORT;
  return notShown === true ? EXIT_NOT_SHOWN : EXIT_EXPECTED;
}

/** `vlbr explain`: tells what a name means. */
import { guessOf } from '../../console/nearest.js';
import { UsageError } from '../../console/errors.js';
import { printJson, printLines } from '../../console/output.js';
import { tableLines } from '../../console/table.js';
import { ascii, wrap } from '../../console/text.js';
import { tokenOf } from '../../campaign/replay_file.js';
import { becauseLines } from '../../tell/because.js';
import { entries, type Entry, type Story } from './entries.js';
import { explainJson } from './json.js';

export interface ExplainOptions {
  readonly json?: boolean;
}

/** @throws UsageError for a name that there is not. */
export function explain(name: string | undefined, { json }: ExplainOptions): void {
  const found = name === undefined ? entries() : entriesOf(name);
  if (json === true) printJson(explainJson(found, name !== undefined));
  else printLines(name === undefined ? listLines(found) : textLines(found));
}

/** What there is, kind by kind. */
function listLines(all: readonly Entry[]): string[] {
  const kinds = [...new Set(all.map(({ kind }) => kind))];
  return kinds.flatMap((kind, i) => {
    const rows = all
      .filter((entry) => entry.kind === kind)
      .map((entry) => [entry.name, ascii(entry.summary)]);
    const table = tableLines([kind, ''], rows);
    return i === 0 ? table : ['', ...table];
  });
}

/** Names may be those of files: `001-merged-...` is schedule 001. A name may have two meanings. */
function entriesOf(name: string): Entry[] {
  const all = entries();
  const short = /^(?<number>\d{3})-/.exec(name)?.groups?.number ?? name;
  const found = all.filter((entry) => entry.name === short);
  if (found.length === 0) {
    const guess = guessOf(
      name,
      all.map((entry) => entry.name),
    );
    throw new UsageError(
      `there is nothing named '${name}'.${guess} vlbr explain alone lists what there is`,
    );
  }
  return found;
}

function textLines(found: readonly Entry[]): string[] {
  return found.flatMap(({ name, kind, facts, story }, i) => [
    ...(i === 0 ? [] : ['']),
    `${name} (${kind})`,
    ...facts().flatMap((fact) => wrap(fact.text, `${fact.name}: `, '  ')),
    ...(story === null ? [] : storyLines(story())),
  ]);
}

/** What happens in a kept schedule, action by action, and why it ends as it does. */
function storyLines({ replay, lines, text, because }: Story): string[] {
  return [
    '',
    ...lines,
    ...(text === '' ? [] : wrap(`=> ${text}`, '      ', '         ')),
    ...(because === null ? [] : becauseLines(because, '      ')),
    '',
    'each MSR access of it:',
    `  vlbr replay ${tokenOf(replay)}`,
  ];
}

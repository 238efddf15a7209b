/** `vlbr explain`: tells what a name means. */
import { guessOf } from '../../console/nearest.js';
import { UsageError } from '../../console/errors.js';
import { printLines } from '../../console/output.js';
import { tableLines } from '../../console/table.js';
import { ascii } from '../../console/text.js';
import { entries, type Entry } from './entries.js';

/** @throws UsageError for a name that there is not. */
export function explain(name: string | undefined): void {
  printLines(name === undefined ? listLines(entries()) : textOf(name));
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
function textOf(name: string): string[] {
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
  return found.flatMap((entry, i) => {
    const head = `${entry.name} (${entry.kind})`;
    return [...(i === 0 ? [] : ['']), head, ...entry.lines()];
  });
}

/** Aligned tables without borders, which survive being pasted into an email. */
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import { textWidth } from './text.js';

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Columns that a wrapped column has at least. */
const LAST_MIN = 16;

/** Spaces between two columns. */
const GAP = 2;

/** Columns that a cell takes on a terminal: what colours it takes none. */
function cellWidth(cell: string): number {
  return stripVTControlCharacters(cell).length;
}

/** Options of one table: which columns are numbers, and how wide the last may be. */
export interface TableOptions {
  /** All columns but the first are aligned to the right. */
  readonly numeric?: boolean;
  /** The last column is wrapped, so that the table fits its width. */
  readonly wrapLast?: boolean;
}

/** A table as lines, without trailing spaces. */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string[] {
  const widths = columnWidths([head, ...rows]);
  const colWidths = widths.map((width) => width + GAP);
  if (options.wrapLast === true) {
    const others = colWidths.slice(0, -1).reduce((sum, width) => sum + width, 0);
    const left = Math.max(LAST_MIN, textWidth() - others);
    colWidths[colWidths.length - 1] = Math.min(colWidths.at(-1) ?? 0, left);
  }
  const table = new Table({
    head: [...head],
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [], compact: true },
    colWidths,
    colAligns: widths.map((_, i) => (options.numeric === true && i > 0 ? 'right' : 'left')),
    wordWrap: options.wrapLast === true,
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const columns = rows[0]?.length ?? 0;
  return Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => cellWidth(row[i] ?? ''))),
  );
}

/**
 * A table that is too wide becomes several, one below the other; each has the first column.
 * Returns their lines, an empty one between two tables.
 */
export function splitTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string[] {
  const widths = columnWidths([head, ...rows]);
  const parts: number[][] = [];
  let part: number[] = [];
  let used = 0;
  for (let column = 1; column < widths.length; column++) {
    if (part.length > 0 && used + GAP + widths[column] > textWidth()) {
      parts.push(part);
      part = [];
    }
    if (part.length === 0) used = widths[0];
    part.push(column);
    used += GAP + widths[column];
  }
  if (part.length > 0) parts.push(part);
  return parts.flatMap((columns, i) => {
    const pick = (row: readonly string[]): string[] => [0, ...columns].map((c) => row[c] ?? '');
    const lines = tableLines(pick(head), rows.map(pick), options);
    return i === 0 ? lines : ['', ...lines];
  });
}

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

/** Spaces between two columns. */
const GAP = 2;

/** Columns that a cell takes on a terminal: what colours it takes none. */
function cellWidth(cell: string): number {
  return stripVTControlCharacters(cell).length;
}

/** Options of one table. */
export interface TableOptions {
  /** All columns but the first are aligned to the right. */
  readonly numeric?: boolean;
  /** Stands before each line. */
  readonly indent?: string;
}

/**
 * A table as lines, without trailing spaces. Where it is wider than the text, the cells of its
 * widest columns are wrapped; where its words are too wide as well, it is split. No word is broken.
 */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string[] {
  const { numeric = false, indent = '' } = options;
  const all = [head, ...rows];
  const widths = columnWidths(all);
  const words = columnWidths(all.map((row) => row.map(longestWord)));
  const room = textWidth() - indent.length;
  if (widthOf(words) > room && head.length > 2) return splitTable(head, rows, options);
  const fitting = narrowed(widths, words, room);
  const table = new Table({
    head: [...head],
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [], compact: true },
    colWidths: fitting.map((width) => width + GAP),
    colAligns: widths.map((_, i) => (numeric && i > 0 ? 'right' : 'left')),
    wordWrap: fitting.some((width, i) => width < widths[i]),
  });
  for (const row of rows) table.push([...row]);
  return table
    .toString()
    .split('\n')
    .map((line) => `${indent}${line}`.trimEnd());
}

/** Columns of a line. */
function widthOf(widths: readonly number[]): number {
  return widths.reduce((sum, width) => sum + width + GAP, -GAP);
}

/** The longest word of a cell, which can't be wrapped. */
function longestWord(cell: string): string {
  return cell.split(' ').reduce((a, b) => (cellWidth(b) > cellWidth(a) ? b : a));
}

/**
 * Takes from the widest columns until the table has room.
 *
 * @param least - what each column has at least.
 */
function narrowed(widths: readonly number[], least: readonly number[], room: number): number[] {
  const fitting = [...widths];
  const over = widthOf(fitting) - room;
  for (let i = 0; i < over; i++) {
    const can = fitting.map((width, column) => (width > least[column] ? width : 0));
    const widest = Math.max(...can);
    if (widest === 0) break;
    fitting[can.lastIndexOf(widest)]--;
  }
  return fitting;
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
  const room = textWidth() - (options.indent ?? '').length;
  const parts: number[][] = [];
  let part: number[] = [];
  let used = 0;
  for (let column = 1; column < widths.length; column++) {
    if (part.length > 0 && used + GAP + widths[column] > room) {
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

/** Plain text: widths, numbers and wrapping. Everything a report prints goes through here. */

/** Columns that sentences keep to at most: longer lines are hard to read. */
const PROSE_MAX = 120;

/** The least that can be asked for. Nothing is cut below it, but lines are longer then. */
export const WIDTH_MIN = 40;

/** Columns where nobody has asked for a number: what an email and a code review have room for. */
export const WIDTH = 100;

let columns: number = WIDTH;

/** Columns that all text keeps to. */
export function textWidth(): number {
  return columns;
}

/**
 * Sets the columns that all text keeps to from now on.
 *
 * @param asked - those that were asked for; by default those of the terminal, or 80 without one.
 */
export function setTextWidth(asked: number | undefined): void {
  columns = Math.max(WIDTH_MIN, asked ?? (process.stdout.columns || 80));
}

/** In a table, a property that does not apply to a policy; JSON has the words. */
export const NOT_APPLICABLE = 'n/a';

/** Sentences written for documentation may hold typographic quotes; terminals may not. */
export function ascii(text: string): string {
  return text.replaceAll('\u2019', "'").replaceAll('\u2018', "'");
}

const GROUPED = new Intl.NumberFormat('en');
const COMPACT = new Intl.NumberFormat('en', {
  notation: 'compact',
  minimumSignificantDigits: 3,
  maximumSignificantDigits: 3,
  // So that 999,999 does not become 1000k.
  roundingMode: 'trunc',
});

/** A whole number with its thousands grouped, whatever the locale. */
export function grouped(n: number): string {
  return GROUPED.format(n);
}

/** At most five characters for a count below 10^15: 999, 12.3k, 456k, 7.89M, 1.50B. */
export function compact(n: number): string {
  return n < 1000 ? String(n) : COMPACT.format(n).replace('K', 'k');
}

/** `1 run`, `2 runs`, `2 accesses`. */
export function plural(n: number, noun: string): string {
  const ending = n === 1 ? '' : /(?:s|ch)$/.test(noun) ? 'es' : 's';
  return `${grouped(n)} ${noun}${ending}`;
}

/**
 * Breaks text into lines at spaces.
 *
 * @param first - what the first line begins with.
 * @param rest - what the others begin with.
 */
export function wrap(text: string, first: string, rest: string): string[] {
  const width = Math.min(columns, PROSE_MAX);
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      [line, empty] = [rest, true];
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}

/** Plain text: widths, numbers and wrapping. Everything a report prints goes through here. */

/** Columns that reports keep to: what a terminal, an email and a code review have room for. */
export const WIDTH = 100;

/** In a table, a property that does not apply to a policy; JSON has the words. */
export const NOT_APPLICABLE = 'n/a';

/** Sentences written for documentation may hold typographic quotes; terminals may not. */
export function ascii(text: string): string {
  return text.replaceAll('\u2019', "'").replaceAll('\u2018', "'");
}

/** A whole number with its thousands grouped, whatever the locale. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(?:\d{3})+$)/g, ',');
}

/** At most five characters for a count: 999, 12.3k, 456k, 7.89M. */
export function compact(n: number): string {
  if (n < 1000) return String(n);
  const [unit, scaled] = n < 1e6 ? ['k', n / 1e3] : ['M', n / 1e6];
  const decimals = scaled < 10 ? 2 : scaled < 100 ? 1 : 0;
  // Truncated, so that 999,999 does not become 1000k.
  const digits = 10 ** decimals;
  return `${(Math.trunc(scaled * digits) / digits).toFixed(decimals)}${unit}`;
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
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      [line, empty] = [rest, true];
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}

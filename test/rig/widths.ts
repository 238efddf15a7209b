/** Reports on terminals of other widths. */
import { setTextWidth, WIDTH } from '../../src/console/text.js';

/** A small window, the usual one, and one that is wider than sentences should be. */
export const WIDTHS: readonly number[] = [60, 80, 200];

/** What is made in so many columns; other tests have the usual ones. */
export function inColumns<T>(width: number | undefined, make: () => T): T {
  setTextWidth(width);
  try {
    return make();
  } finally {
    setTextWidth(WIDTH);
  }
}

/**
 * The lines of a report in so many columns that are longer than it. A single word can't be wrapped,
 * and a command of vlbr is there to be copied.
 */
export function tooLong(width: number, report: () => readonly string[]): string[] {
  return inColumns(width, report).filter((line) => {
    return line.length > width && !/^ *(?:vlbr replay .*|\S+)$/.test(line);
  });
}

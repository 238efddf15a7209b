/** Texts of `--help` on terminals of other widths. */
import { afterEach, describe, expect, it } from 'vitest';
import { helpText } from '../../src/console/help.js';
import { setTextWidth, WIDTH } from '../../src/console/text.js';

const { columns } = process.stdout;

afterEach(() => {
  process.stdout.columns = columns;
  setTextWidth(WIDTH);
});

/** A text of help on a terminal. */
function shown(width: number, ...texts: readonly string[]): string[] {
  process.stdout.columns = width;
  return helpText(...texts)().split('\n');
}

const words = (n: number): string => 'word '.repeat(n).trim();

describe('helpText', () => {
  it('a text is broken again where the terminal ends, and no word is lost', () => {
    const text = `${words(20)}\n${words(3)}\nlast.`;
    expect(shown(60, text)).toEqual([words(12), words(11), 'last.']);
    expect(shown(120, text)).toEqual([words(23), 'last.']);
    expect(shown(200, text)).toEqual([words(23), 'last.']);
  });

  it('a line that had room for the next word, or another indent, is a line of its own', () => {
    expect(shown(200, `${words(19)}\nword`)).toEqual([words(19), 'word']);
    expect(shown(200, `${words(20)}\n  word`)).toEqual([words(20), '  word']);
    expect(shown(200, `  ${words(20)}\n  word\n\nword`)).toEqual([`  ${words(21)}`, '', 'word']);
  });

  it('an entry of a list goes on below its text, and is never joined to another', () => {
    const entry = `  name  ${words(18)}`;
    expect(shown(60, `${entry}\n  other  word`)).toEqual([
      `  name  ${words(10)}`,
      `        ${words(8)}`,
      '  other  word',
    ]);
    const long = `  ${'n'.repeat(20)}  ${words(10)}`;
    expect(shown(60, long)).toEqual([`  ${'n'.repeat(20)}`, `    ${words(10)}`]);
  });

  it('a command goes on further in, and is never joined to another', () => {
    const command = `  vlbr verify ${words(17)}`;
    expect(shown(60, `${command}\n  vlbr list`)).toEqual([
      `  vlbr verify ${words(9)}`,
      `      ${words(8)}`,
      '  vlbr list',
    ]);
  });

  it('several texts stand below each other', () => {
    expect(shown(80, 'a', '\nb')).toEqual(['a', '', 'b']);
  });
});

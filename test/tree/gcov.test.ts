/** Reads what gcov prints about a file, whatever the file's own text looks like. */
import { describe, expect, it } from 'vitest';
import { parseGcov } from '../../src/tree/gcov/gcov.js';

/** A line of code that ran twice, as gcov prints it. */
const ran = (line: number, code: string): string => `        2:${String(line).padStart(5)}:${code}`;

const CODE: readonly string[] = [
  'function other called by nobody',
  '  // function other called once',
  'branch  0 taken 50%',
  '\tbranch  1 taken 50%',
  '        -:    0:Source:elsewhere.c',
  '        9:  999:// a line that quotes another one',
  '        #####:   12: never ran',
];

describe('parseGcov', () => {
  it('parseGcov never takes the code of a line for a row of its own', () => {
    const text = [
      '        -:    0:Source:intel/lbr.c',
      'function first called 2 returned 100% blocks executed 9%',
      ...CODE.flatMap((code, i) => [ran(i + 1, code), 'branch  0 taken 1 (fallthrough)']),
      '    #####:   98:dead();',
      '        -:   99:}',
    ].join('\n');
    const found = CODE.map((code, i) => {
      const counts = { count: 2, branches: 1, branchesTaken: 1 };
      return { line: i + 1, text: code, function: 'first', ...counts };
    });
    const dead = { count: 0, branches: 0, branchesTaken: 0, function: 'first' };
    expect(parseGcov(text).get('intel/lbr.c')).toEqual([
      ...found,
      { line: 98, text: 'dead();', ...dead },
    ]);
  });
});

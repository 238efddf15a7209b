/** What the tool ends with. */
import { describe, expect, it } from 'vitest';
import { exitCodeOf, exitCodesText } from '../../src/console/exit_codes.js';

describe('the exit code', () => {
  it('is 1 for a loss whatever else there is, then 4, then 5', () => {
    expect(exitCodeOf({})).toBe(0);
    expect(exitCodeOf({ notShown: true })).toBe(5);
    expect(exitCodeOf({ notShown: true, cutShort: true })).toBe(4);
    expect(exitCodeOf({ notShown: true, cutShort: true, lost: true })).toBe(1);
    expect(exitCodeOf({ lost: false, cutShort: false, notShown: false })).toBe(0);
  });
  it('has its own words in the help of a command, or those that all have', () => {
    const text = exitCodesText({ 0: 'it is done', 5: null });
    expect(text).toMatch(/^ {2}0 {4}it is done$/m);
    expect(text).toMatch(/^ {2}5 {4}a known failure did not show/m);
    expect(text).not.toMatch(/^ {2}[1478] /m);
    expect(text.match(/^ {2}\d /gm)?.length).toBe(5);
    expect(text.split('\n')).toHaveLength(7);
  });
});

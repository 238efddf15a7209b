/** What `vlbr conform` has found, as test cases. */
import { describe, expect, it } from 'vitest';
import { conformSuite } from '../../../src/questions/conform/suite.js';

const LOSS = { of: 'skylake', what: 'an access', how: 'differs' };
const FOUND = [
  { cpu: 'core2', differs: [] },
  { cpu: 'skylake', differs: [{ says: 'an access differs', loss: LOSS }] },
];

describe('conformSuite', () => {
  it('a CPU is ok without a difference, and not ok with one, which is told', () => {
    expect(conformSuite('lbr.c', FOUND, false, null)).toEqual({
      name: 'vlbr conform',
      cases: [
        { group: 'lbr.c', name: 'core2', outcome: 'ok', says: '' },
        { group: 'lbr.c', name: 'skylake', outcome: 'not ok', says: 'an access differs' },
      ],
    });
  });

  it('after an interruption no difference says nothing, and a difference is one', () => {
    expect(conformSuite('whole path', FOUND, true, null).cases).toEqual([
      {
        group: 'whole path',
        name: 'core2',
        outcome: 'skip',
        says: 'cut short: there is no difference so far',
      },
      { group: 'whole path', name: 'skylake', outcome: 'not ok', says: 'an access differs' },
    ]);
  });
});

/** Two lists of accesses part at the first access that differs in any respect. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from '../../../src/hw/msr_index.js';
import { type Access, partsAt } from '../../../src/questions/review/access_log.js';
import { seeded } from '../../rig/seed.js';

const access: fc.Arbitrary<Access> = fc.record({
  cpu: fc.nat(3),
  byHost: fc.boolean(),
  fn: fc.nat(9),
  action: fc.nat(30),
  msr: fc.constantFrom(MSR_LBR_SELECT, MSR_LBR_TOS),
  write: fc.boolean(),
  eax: fc.integer(),
  edx: fc.integer(),
});

/** Each function changes one respect of an access that hardware can notice. */
const CHANGES: readonly ((of: Access) => Partial<Access>)[] = [
  ({ cpu }) => ({ cpu: cpu + 1 }),
  ({ byHost }) => ({ byHost: !byHost }),
  ({ msr }) => ({ msr: msr + 1 }),
  ({ write }) => ({ write: !write }),
  ({ eax }) => ({ eax: eax ^ 1 }),
  ({ edx }) => ({ edx: edx ^ 1 }),
];

describe('partsAt', () => {
  it('two lists part at the first access that hardware can tell from the other side’s', () => {
    const lists = fc.array(access, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(lists, fc.nat(), fc.constantFrom(...CHANGES), (list, n, change) => {
        const at = n % list.length;
        const other = list.map((one, i) => (i < at ? one : { ...one, ...change(one) }));
        expect([partsAt(list, other), partsAt(other, list)]).toEqual([at, at]);
      }),
      seeded(300),
    );
  });

  it('where two lists part never depends on which function or action makes an access', () => {
    fc.assert(
      fc.property(fc.array(access, { maxLength: 6 }), (list) => {
        const other = list.map((one) => ({ ...one, fn: one.fn + 1, action: one.action + 1 }));
        expect(partsAt(list, other)).toBe(-1);
      }),
      seeded(100),
    );
  });

  it('two lists part where the shorter one ends, if they do not part before', () => {
    fc.assert(
      fc.property(fc.array(access, { minLength: 1, maxLength: 6 }), fc.nat(), (list, n) => {
        const at = n % list.length;
        const short = list.slice(0, at);
        expect([partsAt(list, short), partsAt(short, list)]).toEqual([at, at]);
      }),
      seeded(100),
    );
  });
});

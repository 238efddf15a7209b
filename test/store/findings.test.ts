import { describe, expect, it } from 'vitest';
import type { Found } from '../../src/campaign/found.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import {
  foundIn,
  NOTHING_FOUND,
  shortestOf,
  withRange,
  withShort,
} from '../../src/store/findings.js';
import type { Failure, Met, RunsDone } from '../../src/store/unit.js';

const FAULT: Failure = { property: 'no-fault', own: false, known: -1, cause: 'set_msr' };
const KERNEL: Failure = { property: 'balanced', own: true, known: 2, cause: 'intel_pmu_lbr_del' };
const met = (failure: Failure, count: number, words: number[], shape = 0): Met => {
  return { ...failure, count, shape, words };
};
const NONE = PROPERTY_NAMES.map(() => []);
const found: Found = {
  runs: 20,
  interrupted: false,
  shapes: [0, 1].map(() => ({
    steps: 7,
    counts: [1],
    reach: [2],
    broken: PROPERTY_NAMES.map(() => 1),
    failures: NONE,
    own: [],
  })),
};
const range = (...all: Met[]): RunsDone => ({ found, met: all });

describe('ranges of runs that are put together', () => {
  const one = withRange(NOTHING_FOUND, range(met(FAULT, 3, [1, 1, 1, 1, 1])));
  const two = withRange(one, range(met(KERNEL, 1, [2], 1), met(FAULT, 4, [3, 3])));
  const three = withRange(two, range(met(FAULT, 1, [4])));

  it('have each failure once, in the order in which they were met first', () => {
    expect(three.entries.map(({ cause, count, first }) => [cause, count, first])).toEqual([
      ['set_msr', 8, 0],
      ['intel_pmu_lbr_del', 1, 1],
    ]);
    expect(three.ranges).toBe(3);
    expect(three.found?.runs).toBe(60);
    expect(three.found?.shapes[1].steps).toBe(21);
  });

  it('keep the first two schedules of a failure', () => {
    expect(three.entries[0].examples).toEqual([
      { shape: 0, words: [1, 1, 1, 1, 1] },
      { shape: 0, words: [3, 3] },
    ]);
    expect(three.entries[0].short).toEqual([null, null]);
  });

  it.each([
    ['property', { property: 'balanced' }],
    ['owner', { own: true }],
    ['entry of the list', { known: 1 }],
    ['cause', { cause: 'get_msr' }],
  ] as const)('tell failures apart by their %s', (_, other) => {
    const both = range(met(FAULT, 1, [1]), met({ ...FAULT, ...other }, 1, [1]));
    expect(withRange(NOTHING_FOUND, both).entries).toHaveLength(2);
  });

  it('tell the shortest of the schedules that were made short, and else of all', () => {
    expect(shortestOf(three.entries[0]).words).toEqual([3, 3]);
    const short = withShort(three, 0, 0, { shape: 0, words: [9, 9, 9] });
    expect(shortestOf(short.entries[0]).words).toEqual([9, 9, 9]);
    expect(short.entries[0].short).toEqual([{ shape: 0, words: [9, 9, 9] }, null]);
    expect(short.entries[1]).toBe(three.entries[1]);
    const both = withShort(short, 0, 1, { shape: 1, words: [8] });
    expect(shortestOf(both.entries[0])).toEqual({ shape: 1, words: [8] });
  });

  it('have each failure on its machine and under its property, as one process finds them', () => {
    expect(foundIn(NOTHING_FOUND)).toBeNull();
    const all = foundIn(three);
    const p = PROPERTY_NAMES.indexOf('no-fault');
    expect(all?.shapes[0].failures[p]).toEqual([[3, 3]]);
    expect(all?.shapes[0].failures.flat()).toHaveLength(1);
    expect(all?.shapes[1].failures.flat()).toEqual([]);
    const balanced = PROPERTY_NAMES.indexOf('balanced');
    expect(all?.shapes[1].own).toEqual([{ property: balanced, known: 2, schedules: [[2]] }]);
    expect(all?.shapes[0].own).toEqual([]);
    expect(all?.runs).toBe(60);
  });
});

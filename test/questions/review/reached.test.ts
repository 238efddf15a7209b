/** Which of the lines that a series changes have run. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { changedLines, noneReached, whyNot } from '../../../src/questions/review/reached.js';

const line = (name: string, path = 'a.c') => {
  return { side: 'after', path, line: 1, function: name } as const;
};

describe('changedLines', () => {
  it('gives the numbers of the lines that one side alone has', () => {
    const before = 'one\ntwo\nthree\nfour\n';
    const after = 'zero\none\nTWO\nthree\n';
    expect(changedLines(before, after)).toEqual({ before: [2, 4], after: [1, 3] });
    expect(changedLines(before, before)).toEqual({ before: [], after: [] });
    expect(changedLines('', 'a\nb\n')).toEqual({ before: [], after: [1, 2] });
    expect(changedLines('a\nb\n', '')).toEqual({ before: [1, 2], after: [] });
  });

  it('leaves lines that are the same, in order, on both sides', () => {
    const text = fc
      .array(fc.constantFrom('a', 'b', 'c', 'd'), { size: 'max', maxLength: 30 })
      .map((lines) => lines.map((one) => `${one}\n`).join(''));
    const without = (whole: string, numbers: readonly number[]): string[] =>
      whole.split('\n').filter((_, i) => !numbers.includes(i + 1));
    fc.assert(
      fc.property(text, text, (before, after) => {
        const changed = changedLines(before, after);
        expect(without(before, changed.before)).toEqual(without(after, changed.after));
      }),
    );
  });
});

describe('what was not reached', () => {
  it('is all only where there is code, and none of it ran', () => {
    expect(noneReached(null)).toBe(false);
    expect(noneReached({ lines: 0, notReached: [] })).toBe(false);
    expect(noneReached({ lines: 2, notReached: [line('x')] })).toBe(false);
    expect(noneReached({ lines: 1, notReached: [line('x')] })).toBe(true);
  });

  it('has a reason where every function of it has one', () => {
    const lbr = line('intel_pmu_arch_lbr_reset');
    const pebs = line('intel_pmu_drain_pebs_icl');
    expect(whyNot([lbr, lbr])).toEqual(['architectural LBR is not modelled']);
    expect(whyNot([lbr, pebs])).toEqual([
      'architectural LBR is not modelled',
      'PEBS is not modelled',
    ]);
    expect(whyNot([lbr, line('event_sched_in')])).toEqual([]);
    expect(whyNot([])).toEqual([]);
  });

  it('a switch of cgroups can be reached, and the end of a cgroup cannot', () => {
    expect(whyNot([line('perf_cgroup_switch')])).toEqual([]);
    expect(whyNot([line('perf_cgroup_css_free')])).toEqual([
      'cgroups are made at boot, and none is removed',
    ]);
  });
});

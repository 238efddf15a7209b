/** sample-true checks each record of a sample. The drivers here are broken on purpose. */
import { describe, expect, it } from 'vitest';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import * as branch from '../../src/hw/branch.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import { never } from '../../src/host/policy/never.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { ASKS_TX, everythingAsked, kindsAsked, typeAsked } from '../../src/judge/asked.js';
import { broken } from '../rig/broken_port.js';
import { afterRead, WatchedRig } from '../rig/judge.js';

const U = perf.PERF_SAMPLE_BRANCH_USER;
const K = perf.PERF_SAMPLE_BRANCH_KERNEL;
const ANY = perf.PERF_SAMPLE_BRANCH_ANY;
const CALLSTACK = perf.PERF_SAMPLE_BRANCH_CALL_STACK | U;
const NEAR = [
  branch.BRANCH_REL_CALL,
  branch.BRANCH_JCC,
  branch.BRANCH_IND_CALL,
  branch.BRANCH_ZERO_CALL,
  branch.BRANCH_IND_JMP,
  branch.BRANCH_REL_JMP,
  branch.BRANCH_RET,
];

/** Makes branches of all kinds, in user mode and kernel, and samples after every few. */
function exercise(rig: WatchedRig): void {
  for (const [i, kind] of NEAR.entries()) {
    rig.m.branches(0, kind, 1 + (i % 2));
    rig.sample();
    rig.m.enterKernel(0, i % 2 === 0 ? branch.BRANCH_SYSCALL : branch.BRANCH_IRQ);
    rig.m.branches(0, NEAR[NEAR.length - 1 - i], 1);
    rig.sample();
    rig.m.leaveKernel(0, i % 2 === 0 ? branch.BRANCH_SYSRET : branch.BRANCH_IRET);
    rig.sample();
  }
}

/** Samples three calls with a broken driver. Returns how sample-true breaks, or ''. */
function verdictOn(change: (cpu: Cpu) => void, type = ANY | U, cpu = 'skylake'): string {
  const rig = new WatchedRig({ driver: afterRead(change), cpu });
  rig.open(type);
  rig.m.branches(0, branch.BRANCH_REL_CALL, 3);
  rig.sample();
  expect(rig.reach('sample-judged')).toBe(1);
  const breaker = rig.breaker('sample-true');
  expect(breaker).not.toBe('policy');
  return breaker === 'nobody' ? '' : rig.ownDetail('sample-true');
}

/** Flips bits of an entry: words 0 and 1 are the source, 2 and 3 the target, 4 the flags. */
function flip(entry: number, word: number, bits: number): (cpu: Cpu) => void {
  return (cpu) => {
    cpu.kernel.words[cpu.lbr_entry(entry) + word] ^= bits;
  };
}

describe('sample-true', () => {
  for (const { name, callstack } of CPU_MODELS) {
    it(`sample-true holds for 6.1 on ${name}, whatever one event asks for`, () => {
      for (const type of BRANCH_TYPES) {
        const stack = (type & perf.PERF_SAMPLE_BRANCH_CALL_STACK) !== 0;
        if ((stack && !callstack) || (type & ASKS_TX) !== 0) continue;
        const rig = new WatchedRig({ cpu: name });
        rig.open(type);
        exercise(rig);
        expect([type, rig.breaker('sample-true')]).toEqual([type, 'nobody']);
        expect(rig.reach('sample-judged')).toBe(3 * NEAR.length);
      }
    });
  }

  it.each([
    ['entry 0 of a sample of type 0x9 is another record', flip(0, 0, 0x100)],
    ['entry 0 of a sample of type 0x9 has a wrong source', flip(0, 1, msrs.LBR_INFO_MISPRED_HI)],
    ["entry 1 of a sample of type 0x9 has another record's target", flip(1, 2, 1)],
    ['entry 2 of a sample of type 0x9 has a wrong target', flip(2, 3, 0xffff0000)],
    ['entry 0 of a sample of type 0x9 has wrong flags', flip(0, 4, perf.BRANCH_MISPRED)],
    ['entry 0 of a sample of type 0x9 has wrong flags', flip(0, 4, perf.BRANCH_IN_TX)],
    ['entry 0 of a sample of type 0x9 has wrong cycles', flip(0, 4, 1 << 9)],
    ['entry 0 of a sample of type 0x9 has a wrong branch type', flip(0, 4, 1 << 20)],
  ])('sample-true fails where %s', (text, change) => {
    expect(verdictOn(change)).toBe(`v0: ${text}`);
  });

  it('sample-true fails for a record too few, too many, or twice', () => {
    const more = (n: number) => (cpu: Cpu) => {
      cpu.cpuc.lbr_stack_nr += n;
    };
    expect(verdictOn(more(-1))).toContain('entry 2 of a sample of type 0x9 is missing');
    expect(verdictOn(more(1))).toContain('entry 3 of a sample of type 0x9 should not be there');
    const twice = (cpu: Cpu): void => {
      const to = cpu.lbr_entry(1);
      cpu.kernel.words.copyWithin(to, cpu.lbr_entry(0), to);
    };
    expect(verdictOn(twice)).toContain('entry 1 of a sample of type 0x9 is another record');
  });

  it('sample-true fails for records that were not asked for', () => {
    const unfiltered = broken((port) => ({
      intel_pmu_lbr_read: (cpu) => {
        cpu.cpuc.br_sel = (1 << 18) - 1;
        port.intel_pmu_lbr_read(cpu);
      },
    }));
    // This CPU has no hardware filter, so only the software filter works.
    const rig = new WatchedRig({ driver: unfiltered, cpu: 'core2' });
    rig.open(perf.PERF_SAMPLE_BRANCH_COND | U);
    rig.m.branches(0, branch.BRANCH_REL_CALL, 1);
    rig.m.branches(0, branch.BRANCH_JCC, 1);
    rig.sample();
    expect(rig.ownDetail('sample-true')).toBe(
      'v0: entry 1 of a sample of type 0x401 should not be there',
    );
  });

  it('sample-true never asks for flags and cycles that the event gives up', () => {
    const both = perf.PERF_SAMPLE_BRANCH_NO_FLAGS | perf.PERF_SAMPLE_BRANCH_NO_CYCLES;
    const clear = (cpu: Cpu): void => {
      for (let i = 0; i < 3; i++) cpu.kernel.words[cpu.lbr_entry(i) + 4] = 0;
    };
    expect(verdictOn(clear, ANY | U | both)).toBe('');
    expect(verdictOn(clear)).toContain('wrong flags');
    expect(verdictOn(clear, ANY | U | perf.PERF_SAMPLE_BRANCH_NO_FLAGS)).toContain('wrong cycles');
    expect(verdictOn(clear, ANY | U | perf.PERF_SAMPLE_BRANCH_NO_CYCLES)).toContain('wrong flags');
    // This CPU records neither flag.
    expect(verdictOn(clear, ANY | U, 'core2')).toBe('');
  });

  it('sample-true asks for the cycles that Goldmont keeps in TO, and for TO without them', () => {
    expect(verdictOn(() => {}, ANY | U, 'goldmont')).toBe('');
    expect(verdictOn(flip(0, 4, 1 << 9), ANY | U, 'goldmont')).toContain('wrong cycles');
    expect(verdictOn(flip(0, 3, 1 << 20), ANY | U, 'goldmont')).toContain('wrong target');
  });

  it.each(['skylake', 'tigerlake', 'goldmont-plus'])(
    'sample-true asks for the flags and cycles that %s keeps in INFO',
    (cpu) => {
      expect(verdictOn(() => {}, ANY | U, cpu)).toBe('');
      expect(verdictOn(flip(0, 4, 1 << 9), ANY | U, cpu)).toContain('wrong cycles');
      expect(verdictOn(flip(0, 4, perf.BRANCH_MISPRED), ANY | U, cpu)).toContain('wrong flags');
    },
  );

  it('sample-true asks for the branch type where the event has it saved', () => {
    const type = ANY | U | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE;
    expect(verdictOn(() => {}, type)).toBe('');
    expect(verdictOn(flip(1, 4, 1 << 20), type)).toContain('entry 1');
    expect(verdictOn(flip(1, 4, 1 << 20), type)).toContain('a wrong branch type');
    const both = type | K;
    expect(verdictOn(() => {}, both)).toBe('');
    expect(verdictOn(flip(1, 4, 1 << 20), both)).toContain('a wrong branch type');
    expect(BRANCH_TYPES).toContain(both);
  });

  it('sample-true asks for hw_idx where the event does', () => {
    const off = (cpu: Cpu): void => {
      cpu.cpuc.lbr_stack_hw_idx ^= 1;
    };
    expect(verdictOn(off)).toBe('');
    const type = ANY | U | perf.PERF_SAMPLE_BRANCH_HW_INDEX;
    expect(verdictOn(() => {}, type)).toBe('');
    expect(verdictOn(off, type)).toContain('entry 2 of a sample of type 0x20009 is the last, and');
  });

  it('a sample that was made from wrong reads always counts against the policy', () => {
    const rig = new WatchedRig({ policy: never });
    rig.open(ANY | U);
    rig.m.branches(0, branch.BRANCH_REL_CALL, 3);
    rig.m.switchTo(0, 1);
    const other = rig.m.open(1, 0, 0, ANY | U);
    expect(other).toBe(0);
    rig.m.switchTo(0, 0);
    rig.sample();
    expect(rig.breaker('sample-true')).toBe('policy');
  });
});

describe('sample-true where there is not one truth', () => {
  const BAD = afterRead(flip(0, 0, 0x100));

  function unjudged(rig: WatchedRig): void {
    expect([rig.reach('sample-judged'), rig.breaker('sample-true')]).toEqual([0, 'nobody']);
  }

  it('sample-true never judges events that count together and ask for different things', () => {
    for (const [other, judged] of [
      [ANY | U | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE, 0],
      [ANY | U, 1],
    ]) {
      const rig = new WatchedRig();
      rig.open(ANY | U);
      rig.open(other);
      rig.m.branches(0, branch.BRANCH_REL_CALL, 1);
      rig.sample();
      expect(rig.reach('sample-judged')).toBe(judged);
    }
  });

  it('sample-true never judges after a raw write, since perf no longer owns the MSRs', () => {
    const rig = new WatchedRig({ driver: BAD });
    rig.open(ANY | U);
    rig.m.rdmsr(0, msrs.MSR_LBR_TOS);
    rig.m.branches(0, branch.BRANCH_REL_CALL, 1);
    rig.m.wrmsr(0, msrs.MSR_LBR_NHM_FROM, 1, 0);
    rig.sample();
    unjudged(rig);
  });

  it('sample-true never judges transactions, nor an NMI inside a kernel function', () => {
    const rig = new WatchedRig({ driver: BAD });
    rig.open(ANY | U | perf.PERF_SAMPLE_BRANCH_NO_TX);
    rig.m.branches(0, branch.BRANCH_REL_CALL, 1);
    rig.sample();
    unjudged(rig);
    const nested = new WatchedRig({ driver: BAD });
    nested.open(ANY | U);
    nested.m.branches(0, branch.BRANCH_REL_CALL, 1);
    nested.sample(2);
    nested.m.switchTask(0, 1);
    expect(nested.m.ports[0].nmiArmed).toBe(false);
    unjudged(nested);
  });
});

describe('what 6.1 itself makes of sample-true', () => {
  it("6.1 never keeps an event's software filter once another could not be added", () => {
    const rig = new WatchedRig();
    rig.open(ANY | U | K);
    rig.m.branches(0, branch.BRANCH_JCC, 1);
    rig.sample();
    expect(rig.breaker('sample-true')).toBe('nobody');
    // LBR_SELECT is taken, but intel_pmu_lbr_add() has stored the new event's br_sel.
    rig.open(CALLSTACK);
    rig.m.branches(0, branch.BRANCH_JCC, 1);
    rig.sample();
    expect(rig.breaker('sample-true')).toBe('kernel');
  });

  it('6.1 never returns to the software filter of an event when a later one is removed', () => {
    const rig = new WatchedRig({ cpu: 'core2' });
    rig.open(perf.PERF_SAMPLE_BRANCH_COND | U, -1);
    rig.open(ANY | U);
    rig.m.switchTask(0, 1);
    rig.m.branches(0, branch.BRANCH_REL_CALL, 1);
    rig.sample();
    expect([rig.breaker('sample-true'), rig.ownDetail('sample-true')]).toEqual([
      'kernel',
      'v0: entry 0 of a sample of type 0x401 should not be there',
    ]);
  });
});

describe('what a branch_sample_type asks for', () => {
  it('each branch of the model has a kind and a branch type to be asked for', () => {
    const save = perf.PERF_SAMPLE_BRANCH_TYPE_SAVE;
    const types = branch.BRANCH_NAMES.map((_, kind) => {
      expect(kindsAsked(ANY) & (1 << kind)).not.toBe(0);
      return typeAsked(save, branch.addressHigh(false, kind, 0, 0, 0));
    });
    expect(types).toEqual([1, 4, 5, 6, 3, 2, 4, 7, 8, 12, 11]);
    expect(typeAsked(ANY, branch.addressHigh(false, branch.BRANCH_RET, 0, 0, 0))).toBe(0);
  });

  it('a type keeps every record only if it filters by neither kind nor level', () => {
    expect(everythingAsked(ANY | U | K)).toBe(true);
    expect(everythingAsked(ANY | U)).toBe(false);
    expect(everythingAsked(ANY | U | K | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE)).toBe(false);
    expect(kindsAsked(U | K)).toBe(0);
  });
});

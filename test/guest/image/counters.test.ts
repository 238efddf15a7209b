/** Which MSRs are counters, and where each of them is kept. */
import { describe, expect, it } from 'vitest';
import { COUNTER_WORDS, counterWord } from '../../../src/guest/image/counters.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import * as msrs from '../../../src/hw/msr_index.js';

/** SDM Vol. 4: IA32_PMC0, IA32_PERFEVTSEL0, IA32_FIXED_CTR0, IA32_FIXED_CTR_CTRL, IA32_A_PMC0. */
const PMC = 0xc1;
const EVENTSEL = 0x186;
const FIXED = 0x309;
const FIXED_CTRL = 0x38d;
const A_PMC = 0x4c1;

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

const GENERAL = [...range(PMC, 8), ...range(EVENTSEL, 8)];
const ALL = [...GENERAL, ...range(FIXED, 4), FIXED_CTRL];

describe('counterWord', () => {
  it('each register has two words of its own, within COUNTER_WORDS', () => {
    const words = ALL.map(counterWord).flatMap((word) => [word, word + 1]);
    expect(words.toSorted((a, b) => a - b)).toEqual(range(0, COUNTER_WORDS));
  });

  it('general counter i is kept in the i-th two words, under both of its names', () => {
    for (let i = 0; i < 8; i++) {
      expect([counterWord(PMC + i), counterWord(A_PMC + i)]).toEqual([2 * i, 2 * i]);
    }
  });

  it('no other MSR is a counter, neither beside them nor one that a policy handles', () => {
    const beside = [PMC, EVENTSEL, FIXED, FIXED_CTRL, A_PMC].map((msr) => msr - 1);
    const after = [PMC + 8, EVENTSEL + 8, FIXED + 4, FIXED_CTRL + 1, A_PMC + 8, 0xffff_ffff];
    const named = [
      msrs.MSR_IA32_DEBUGCTLMSR,
      msrs.MSR_IA32_PERF_CAPABILITIES,
      msrs.MSR_CORE_PERF_GLOBAL_CTRL,
      msrs.MSR_CORE_PERF_GLOBAL_STATUS,
      msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL,
      msrs.MSR_LBR_SELECT,
      msrs.MSR_LBR_TOS,
    ];
    const records = CPU_MODELS.flatMap(({ lbr_from, lbr_to, lbr_info, lbr_nr }) =>
      [lbr_from, lbr_to, lbr_info].flatMap((first) => (first === 0 ? [] : range(first, lbr_nr))),
    );
    for (const msr of [...beside, ...after, ...named, ...records]) {
      expect([msr, counterWord(msr)]).toEqual([msr, -1]);
    }
  });
});

/** The MSRs by which perf programs counters. SDM: Vol. 4, "Architectural MSRs". */

const MSR_IA32_PMC0 = 0xc1;
const MSR_IA32_A_PMC0 = 0x4c1;
const GENERAL_MOST = 8;

/** First MSR and number: PMC, PERFEVTSEL, FIXED_CTR, FIXED_CTR_CTRL. */
const COUNTERS: readonly (readonly [first: number, count: number])[] = [
  [MSR_IA32_PMC0, GENERAL_MOST],
  [0x186, GENERAL_MOST],
  [0x309, 4],
  [0x38d, 1],
];

const REGISTERS: number = COUNTERS.reduce((sum, [, count]) => sum + count, 0);

/** Words of all of them: two each, the low one first; general counter i has the i-th two. */
export const COUNTER_WORDS: number = 2 * REGISTERS;

/** Word of each MSR up to IA32_A_PMC7, or -1. */
const WORD: Int32Array = new Int32Array(MSR_IA32_A_PMC0 + GENERAL_MOST).fill(-1);
let word = 0;
for (const [first, count] of COUNTERS) {
  for (let i = 0; i < count; i++, word += 2) WORD[first + i] = word;
}
// IA32_A_PMC0 and up are IA32_PMC0 and up, with writes of full width.
for (let i = 0; i < GENERAL_MOST; i++) WORD[MSR_IA32_A_PMC0 + i] = 2 * i;

/** Where an MSR of a counter lies in COUNTER_WORDS words; -1 for any other MSR. */
export function counterWord(msr: number): number {
  return msr < WORD.length ? WORD[msr] : -1;
}

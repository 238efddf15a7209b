/** The MSRs by which perf programs counters. SDM: Vol. 4, "Architectural MSRs". */
import { FIXED_COUNTER } from '../../hw/logical_processor.js';
import type { MsrPort, Vector } from '../../hw/msr_port.js';

const MSR_IA32_PMC0 = 0xc1;
const MSR_IA32_A_PMC0 = 0x4c1;
const MSR_FIXED_CTR0 = 0x309;
const GENERAL_MOST = 8;

/** First MSR and number: PMC, PERFEVTSEL, FIXED_CTR, FIXED_CTR_CTRL. */
const COUNTERS: readonly (readonly [first: number, count: number])[] = [
  [MSR_IA32_PMC0, GENERAL_MOST],
  [0x186, GENERAL_MOST],
  [MSR_FIXED_CTR0, 4],
  [0x38d, 1],
];

const REGISTERS: number = COUNTERS.reduce((sum, [, count]) => sum + count, 0);

/** Words of all of them: two each, the low one first; general counter i has the i-th two. */
export const COUNTER_WORDS: number = 2 * REGISTERS;

/** Word of each MSR up to IA32_A_PMC7, or -1. */
const WORD: Int32Array = new Int32Array(MSR_IA32_A_PMC0 + GENERAL_MOST).fill(-1);
let next = 0;
for (const [first, count] of COUNTERS) {
  for (let i = 0; i < count; i++, next += 2) WORD[first + i] = next;
}
// IA32_A_PMC0 and up are IA32_PMC0 and up, with writes of full width.
for (let i = 0; i < GENERAL_MOST; i++) WORD[MSR_IA32_A_PMC0 + i] = 2 * i;

/** Where an MSR of a counter lies in COUNTER_WORDS words; -1 for any other MSR. */
export function counterWord(msr: number): number {
  return msr < WORD.length ? WORD[msr] : -1;
}

/** The counters of a CPU: each register keeps what is written to it, and nothing counts. */
export class Counters implements MsrPort {
  edx = 0;
  readonly vector: Vector = 0;
  private readonly words: Int32Array;

  /** @param words - COUNTER_WORDS words. */
  constructor(words: Int32Array) {
    this.words = words;
  }

  /** Whether an MSR is one of these. No other may be accessed here. */
  has(msr: number): boolean {
    return counterWord(msr) >= 0;
  }

  /** A counter is at 0 where it overflows, a period from where it began; fixed ones are from 32. */
  overflow(counter: number): void {
    const word =
      counter < FIXED_COUNTER
        ? 2 * counter
        : counterWord(MSR_FIXED_CTR0 + (counter - FIXED_COUNTER));
    this.words.fill(0, word, word + 2);
  }

  rdmsr(msr: number): number {
    const word = counterWord(msr);
    this.edx = this.words[word + 1];
    return this.words[word];
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    const word = counterWord(msr);
    this.words[word] = eax;
    this.words[word + 1] = edx;
    return 0;
  }
}

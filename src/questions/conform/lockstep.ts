/**
 * Runs a sequence on two drivers side by side. Compares, after every call, the MSR accesses in
 * order, the result, and every word of the kernel.
 */
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { ACCESS_WORDS } from './registers.js';
import type { Call, Sequence } from './sequence.js';
import { type Result, Side } from './side.js';
import { type Subject, subjectOf, toldModel } from './subjects.js';
import { WordComparison, wordName, wordValue } from './words.js';

/** The driver under test, and the C code, which is right by definition. */
export interface Drivers {
  readonly port: DriverKind;
  readonly kernel: DriverKind;
}

/** An MSR access: whether it writes, which MSR, and the two halves of the value. */
export interface Access {
  readonly write: boolean;
  readonly msr: number;
  readonly eax: number;
  readonly edx: number;
}

/** A call that differs: in its accesses, else in its result, else in a word. */
export interface Divergence {
  /** Index of the call in its sequence. */
  readonly call: number;
  readonly in: 'access' | 'return' | 'word';
  /** Index of the first access that differs, or -1. */
  readonly access: number;
  readonly returned: Both<Result>;
  /** The first word that differs, if any. */
  readonly word: ({ readonly name: string } & Both<number | string>) | null;
  readonly accesses: Both<readonly Access[]>;
}

/** The port's value and the C code's value. */
export interface Both<T> {
  readonly port: T;
  readonly kernel: T;
}

/** Amount of work that was compared. */
export interface Counts {
  sequences: number;
  calls: number;
  msrAccesses: number;
}

function accesses(log: readonly number[]): Access[] {
  return Array.from({ length: log.length / ACCESS_WORDS }, (_, i) => {
    const [kind, msr, eax, edx] = log.slice(i * ACCESS_WORDS, (i + 1) * ACCESS_WORDS);
    return { write: kind !== 0, msr, eax, edx };
  });
}

/** Both drivers on one subject, reused for every sequence. */
class Pair {
  private readonly port: Side;
  private readonly kernel: Side;
  private readonly words: WordComparison;

  constructor(subject: Subject, pmuVersion: Sequence['pmuVersion'], drivers: Drivers) {
    const { kernel } = drivers;
    // The port reserves as many records in a task's data as the C code: the layouts are equal.
    const port: DriverKind = { ...drivers.port, records: kernel.records };
    this.port = new Side(subject, subject.model, pmuVersion, port);
    this.kernel = new Side(subject, toldModel(subject), pmuVersion, kernel);
    const { layout, words } = this.port.kernel;
    this.words = new WordComparison(layout, words, this.kernel.kernel.words);
  }

  run(sequence: Sequence, counts: Counts): Divergence | null {
    counts.sequences++;
    this.begin(sequence);
    for (const [index, call] of sequence.calls.entries()) {
      const divergence = this.perform(call, index, counts);
      if (divergence !== null) return divergence;
    }
    return null;
  }

  begin(sequence: Sequence): void {
    this.port.begin(sequence);
    this.kernel.begin(sequence);
  }

  perform(call: Call, index: number, counts: Counts): Divergence | null {
    const returned = { port: this.port.perform(call), kernel: this.kernel.perform(call) };
    counts.calls++;
    counts.msrAccesses += this.kernel.log.length / ACCESS_WORDS;
    const access = this.differingAccess();
    // An exception is never right, even on both sides.
    const sameReturn = returned.port === returned.kernel && typeof returned.port === 'number';
    const at = this.words.firstDifference();
    if (access < 0 && sameReturn && at < 0) return null;
    return {
      call: index,
      in: access >= 0 ? 'access' : sameReturn ? 'word' : 'return',
      access,
      returned,
      word: at < 0 ? null : this.word(at),
      accesses: { port: accesses(this.port.log), kernel: accesses(this.kernel.log) },
    };
  }

  private differingAccess(): number {
    const [a, b] = [this.port.log, this.kernel.log];
    const length = Math.max(a.length, b.length);
    for (let i = 0; i < length; i++) if (a[i] !== b[i]) return Math.floor(i / ACCESS_WORDS);
    return -1;
  }

  private word(at: number): Divergence['word'] {
    const { layout, words } = this.port.kernel;
    const name = wordName(layout, at);
    const port = wordValue(layout, name, words[at]);
    return { name, port, kernel: wordValue(layout, name, this.kernel.kernel.words[at]) };
  }
}

/** Runs sequences of any subject. */
export class Lockstep {
  readonly counts: Counts = { sequences: 0, calls: 0, msrAccesses: 0 };
  private readonly drivers: Drivers;
  private readonly pairs = new Map<string, Pair>();

  constructor(drivers: Drivers) {
    this.drivers = drivers;
  }

  /** Returns the first difference, or null. `counts` is where the work is counted. */
  run(sequence: Sequence, counts: Counts = this.counts): Divergence | null {
    return this.pair(sequence).run(sequence, counts);
  }

  pair({ cpu, pmuVersion }: Sequence): Pair {
    const key = `${cpu} ${pmuVersion}`;
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = new Pair(subjectOf(cpu), pmuVersion, this.drivers);
      this.pairs.set(key, pair);
    }
    return pair;
  }
}

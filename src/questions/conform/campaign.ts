/**
 * Compares the port with a kernel's lbr.c, on every branch_sample_type and on sequences of calls.
 * Keeps each kind of difference with the shortest sequence that shows it.
 */
import type { Loss } from '../../console/baseline.js';
import { PERF_SAMPLE_BRANCH_MAX_SHIFT } from '../../guest/perf/perf_event.js';
import { drawSequence } from './draw.js';
import { type Counts, type Divergence, type Drivers, Lockstep } from './lockstep.js';
import { TAME } from './registers.js';
import type { Call, Sequence } from './sequence.js';
import { shrinkSequence } from './shrink_calls.js';
import type { Subject } from './subjects.js';

/** Kinds of difference that are shrunk and reported. A broken driver has many. */
export const REPORTED_MAX = 12;

/** Sequences that are shrunk for one kind of difference. The shortest result is kept. */
const SHRUNK_MAX = 8;

/** branch_sample_types that are tried between two chances to stop. */
const TYPES_PER_STEP = 1 << 12;
const TYPES: number = 1 << PERF_SAMPLE_BRANCH_MAX_SHIFT;

export interface ConformOptions {
  readonly subjects: readonly Subject[];
  readonly seed: number;
  /** Number of sequences. */
  readonly runs: number;
  readonly drivers: Drivers;
}

/** One kind of difference: a function that differs in one respect. */
export interface Difference {
  /** Number of sequences that show the difference. */
  readonly count: number;
  /** The shortest sequence that was found. */
  readonly sequence: Sequence;
  readonly divergence: Divergence;
}

export interface Progress {
  readonly doing: 'filters' | 'sequences';
  readonly done: number;
  readonly wanted: number;
}

/** The kind of a difference: the function, what differs, and the field. */
export function lossOf({
  sequence,
  divergence,
}: Pick<Difference, 'sequence' | 'divergence'>): Loss {
  const { fn } = sequence.calls[divergence.call];
  const field = divergence.in === 'word' ? ` ${divergence.word?.name ?? ''}` : '';
  const what = `${divergence.in}${field.replaceAll(/\d+/g, '#')}`;
  return { of: `${fn}()`, what, how: 'differs' };
}

/** Differences of one kind have one key. */
function keyOf(sequence: Sequence, divergence: Divergence): string {
  const { of, what } = lossOf({ sequence, divergence });
  return `${of} ${what}`;
}

/** One subject for each distinct set-up of filters. */
function distinctFilters(subjects: readonly Subject[]): Subject[] {
  const byFilter = new Map<string, Subject>();
  for (const subject of subjects) {
    const { lbrInit, lbr_format, lbr_nr } = subject.model;
    const key = `${lbrInit} ${lbr_format} ${lbr_nr === 0}`;
    if (!byFilter.has(key)) byFilter.set(key, subject);
  }
  return [...byFilter.values()];
}

export class Conformance {
  /** Calls of the set-up with every branch_sample_type. */
  readonly filters: Counts = { sequences: 0, calls: 0, msrAccesses: 0 };
  private readonly options: ConformOptions;
  private readonly lockstep: Lockstep;
  private readonly found = new Map<string, Difference>();

  constructor(options: ConformOptions) {
    this.options = options;
    this.lockstep = new Lockstep(options.drivers);
  }

  /** Counts of the sequences. */
  get counts(): Readonly<Counts> {
    return this.lockstep.counts;
  }

  get differences(): readonly Difference[] {
    return [...this.found.values()];
  }

  /** Compares. The caller may stop between any two steps. */
  *work(): Generator<Progress> {
    yield* this.filterWork();
    yield* this.sequenceWork();
  }

  *sequenceWork(): Generator<Progress> {
    const { seed, runs, subjects } = this.options;
    for (let run = 0; run < runs; run++) {
      const sequence = drawSequence(seed, run, subjects);
      const divergence = this.lockstep.run(sequence);
      if (divergence !== null) this.keep(sequence, divergence);
      yield { doing: 'sequences', done: run + 1, wanted: runs };
    }
  }

  *filterWork(): Generator<Progress> {
    const subjects = distinctFilters(this.options.subjects);
    const wanted = subjects.length * TYPES;
    let done = 0;
    for (const { name } of subjects) {
      const sequence: Sequence = { cpu: name, pmuVersion: 4, registers: TAME, calls: [] };
      const pair = this.lockstep.pair(sequence);
      pair.begin(sequence);
      for (let type = 0; type < TYPES; type++) {
        const call: Call = { fn: 'intel_pmu_setup_lbr_filter', args: [0, 0, type, 0, 0] };
        const divergence = pair.perform(call, 0, this.filters);
        if (divergence !== null) {
          this.keep({ ...sequence, calls: [call] }, divergence);
          pair.begin(sequence);
        }
        if (++done % TYPES_PER_STEP === 0) yield { doing: 'filters', done, wanted };
      }
    }
  }

  private keep(sequence: Sequence, divergence: Divergence): void {
    const key = keyOf(sequence, divergence);
    const known = this.found.get(key);
    if (known === undefined) {
      if (this.found.size < REPORTED_MAX) this.found.set(key, this.shrunk(sequence, key));
      return;
    }
    const count = known.count + 1;
    const again = count <= SHRUNK_MAX ? this.shrunk(sequence, key) : known;
    const shorter = again.sequence.calls.length < known.sequence.calls.length;
    this.found.set(key, { ...(shorter ? again : known), count });
  }

  private shrunk(sequence: Sequence, key: string): Difference {
    const again = (candidate: Sequence): Divergence | null => {
      const divergence = this.lockstep.run(candidate, { ...this.counts });
      return divergence !== null && keyOf(candidate, divergence) === key ? divergence : null;
    };
    const short = shrinkSequence(sequence, (candidate) => again(candidate)?.call ?? -1);
    const divergence = again(short);
    if (divergence === null) throw new Error('a sequence does the same every time');
    return { count: 1, sequence: short, divergence };
  }
}

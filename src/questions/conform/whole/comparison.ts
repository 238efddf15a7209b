/**
 * Compares the port with a kernel's whole path on drawn schedules, one CPU model after the other.
 * Keeps the first difference on each model, with a short schedule that shows it.
 */
import { ACTIONS_PER_RUN, DEFAULT_SHAPES } from '../../../campaign/campaign.js';
import type { KernelVersion } from '../../../guest/perf/kernel.js';
import type { DriverKind } from '../../../guest/perf/lbr_driver.js';
import type { LbrPolicy } from '../../../host/policy/policy.js';
import { assert } from '../../../hw/assert.js';
import type { CpuModel } from '../../../hw/cpu_models.js';
import { always } from '../../../host/policy/always.js';
import { NoGuestLbr } from '../../../machine/no_guest_lbr.js';
import { PROPERTY_NAMES } from '../../../judge/properties.js';
import { drawOf } from '../../../schedule/draw.js';
import type { Schedule } from '../../../schedule/schedule.js';
import { shrink } from '../../../schedule/shrink.js';
import { type Replay, replayOf } from '../../../schedule/token.js';
import type { Loss } from '../../../console/baseline.js';
import type { Step } from '../../../console/interrupt.js';
import type { Divergence } from './divergence.js';
import { type Counts, noCounts, Pair } from './pair.js';

export interface WholeOptions {
  readonly models: readonly CpuModel[];
  readonly policy: LbrPolicy;
  /** The whole path of a tree. */
  readonly kernel: DriverKind;
  /** Of the port. */
  readonly version: KernelVersion;
  readonly seed: number;
  /** Schedules; the models take turns with them. */
  readonly runs: number;
}

/** A short schedule that ends with the action in which the two part. */
export interface Difference {
  readonly replay: Replay;
  readonly divergence: Divergence;
}

/** The first difference on a CPU, in words that do not depend on who has which number. */
export function lossesOf({ cpu, first }: Pick<CpuResult, 'cpu' | 'first'>): Loss[] {
  if (first === null) return [];
  const { where, what } = first.divergence;
  const place = where === '' ? '' : ` in ${where}`;
  return [{ of: cpu, what: `${what}${place}`.replaceAll(/\d+/g, '#'), how: 'differs' }];
}

/** What came of one CPU model. */
export interface CpuResult {
  readonly cpu: string;
  readonly schedules: number;
  /** Schedules in which the two part. */
  readonly parted: number;
  readonly first: Difference | null;
}

/** Guests use LBR as on a CPU of their own, so that everything that perf does is met. */
export const DEFAULT_POLICY: LbrPolicy = always;

export class WholeComparison {
  readonly counts: Counts = noCounts();
  private readonly options: WholeOptions;
  private readonly found: CpuResult[] = [];
  /** CPUs on which the tree's KVM gives its guests no LBR. */
  readonly withoutLbr: string[] = [];

  constructor(options: WholeOptions) {
    this.options = options;
  }

  /** Of the models that were begun. */
  get results(): readonly CpuResult[] {
    return this.found;
  }

  /**
   * Compares. The caller may stop between any two steps.
   *
   * @throws NoGuestLbr if the tree's KVM gives its guests no LBR on any of the CPUs.
   */
  *work(): Generator<Step> {
    const { runs } = this.options;
    const models = this.modelsWithLbr();
    let done = 0;
    for (const [i, model] of models.entries()) {
      const pairs = DEFAULT_SHAPES.map((shape) => this.pairOf(model, shape));
      this.found.push({ cpu: model.name, schedules: 0, parted: 0, first: null });
      for (let run = i; run < runs; run += models.length) {
        this.run(run, pairs[Math.floor(run / models.length) % pairs.length]());
        yield { doing: model.name, done: ++done, wanted: runs };
      }
    }
  }

  private modelsWithLbr(): readonly CpuModel[] {
    const { models, policy } = this.options;
    if (policy.ofTree !== true) return models;
    const having = models.filter((model) => {
      try {
        this.pairOf(model, DEFAULT_SHAPES[0])();
        return true;
      } catch (error) {
        if (!(error instanceof NoGuestLbr)) throw error;
        this.withoutLbr.push(model.name);
        return false;
      }
    });
    if (having.length === 0) throw new NoGuestLbr(models[0]);
    return having;
  }

  /** Makes the machines of a shape when they are first needed. */
  private pairOf(model: CpuModel, shape: (typeof DEFAULT_SHAPES)[number]): () => Pair {
    const { policy, kernel, version } = this.options;
    let pair: Pair | null = null;
    return () => (pair ??= new Pair({ model, policy, kernel: version, shape }, kernel));
  }

  private run(run: number, pair: Pair): void {
    const { found } = this;
    const divergence = pair.drawn(drawOf(this.options.seed, run), ACTIONS_PER_RUN, this.counts);
    const { schedules, parted, first, ...rest } = found[found.length - 1];
    found[found.length - 1] = {
      ...rest,
      schedules: schedules + 1,
      parted: parted + (divergence === null ? 0 : 1),
      first: first ?? (divergence === null ? null : shortened(pair, pair.schedule.copy())),
    };
  }
}

/** Shortens a schedule in which the two part. */
function shortened(pair: Pair, schedule: Schedule): Difference {
  const partsAt = (candidate: Schedule): number => {
    const divergence = pair.run(candidate);
    return divergence === null ? -1 : divergence.action + 1;
  };
  const short = shrink(schedule, partsAt);
  const divergence = pair.run(short);
  assert(divergence !== null, 'a schedule does the same every time');
  return { replay: replayOf(pair.config, PROPERTY_NAMES[0], short), divergence };
}

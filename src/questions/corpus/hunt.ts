/**
 * Runs the suite against one mutant: draws schedules until one breaks a property that the defect's
 * entry names. The unmodified model must not break it in the same schedule.
 */
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { assert } from '../../hw/assert.js';
import { PROPERTY_NAMES, type PropertyName } from '../../judge/properties.js';
import { drawOf } from '../../schedule/draw.js';
import type { Schedule } from '../../schedule/schedule.js';
import type { Shape } from '../../machine/config.js';
import type { Counterexample } from '../../campaign/campaign.js';
import { ACTIONS_PER_RUN, DEFAULT_SHAPES, GUESTS_ONLY } from '../../campaign/campaign.js';
import { type Breaking, type Crash, onlyOnOne, Side } from '../../campaign/side.js';
import type { Bench } from '../../campaign/trial.js';
import type { Model } from './bundle.js';
import type { Place } from './corpus_file.js';

/** A model on one of its CPUs. `driver` replaces the port as lbr.c. */
export interface Variant {
  readonly model: Model;
  readonly cpu: string;
  readonly driver?: DriverKind;
}

export interface HuntOptions {
  readonly bad: Variant;
  readonly good: Variant;
  readonly place: Place;
  readonly properties: readonly PropertyName[];
  /** Runs at most. */
  readonly runs: number;
  readonly seed: number;
}

/** A schedule that breaks a named property on the mutant only. */
export interface Kill {
  readonly property: PropertyName;
  readonly by: Breaking;
  readonly counterexample: Counterexample;
  readonly schedule: Schedule;
  /** The mutant's machine, on which the schedule can be told. */
  readonly bench: Bench;
}

export type Outcome =
  | { readonly verdict: 'killed'; readonly kill: Kill }
  /** The mutant threw an exception, which stands for a kernel oops. */
  | { readonly verdict: 'oops'; readonly crash: Crash }
  | { readonly verdict: 'survived' };

export interface HuntReport {
  readonly outcome: Outcome;
  /** Runs on the mutant until the first short schedule, else all; and actions in all runs. */
  readonly runs: number;
  readonly steps: number;
}

/** A schedule of up to this many actions ends the search. A longer one is kept. */
export const SHORT_ENOUGH = 12;

/** The shortest of this many schedules, each found in another run, is shown. */
const SHOWN_OF = 3;

/** Limit of runs after the first short schedule, since further schedules may be rare. */
const RUNS_MORE = 50;

interface Pair {
  readonly bad: Side;
  readonly good: Side;
}

function sideOf({ model, cpu, driver }: Variant, place: Place, shape: Shape): Side {
  const policy = model.findPolicy(place.policy);
  const cpuModel = model.findCpuModel(cpu);
  assert(policy !== undefined && cpuModel !== undefined, 'the corpus names what there is');
  const config = { shape, model: cpuModel, kernel: place.kernel, policy };
  return new Side(new model.ShapeCampaign(driver === undefined ? config : { ...config, driver }));
}

/** Machines of all shapes, with and without the defect. */
class Hunt {
  readonly pairs: readonly Pair[];
  best: Kill | null = null;
  private kills = 0;
  /** Number of runs so far, and at the first short schedule. */
  private runs = 0;
  private firstShort = -1;
  private readonly options: HuntOptions;
  private readonly guestsOnly: Pair | null;
  /** Schedules that have been shrunk already. */
  private readonly tried: Set<Schedule> = new Set();

  constructor(options: HuntOptions) {
    const { bad, good, place } = options;
    this.options = options;
    const pair = (shape: Shape): Pair => ({
      bad: sideOf(bad, place, shape),
      good: sideOf(good, place, shape),
    });
    const { shape } = place;
    this.guestsOnly = shape === undefined ? pair(GUESTS_ONLY) : null;
    this.pairs = (shape === undefined ? DEFAULT_SHAPES : [shape]).map(pair);
  }

  /** Runs until the first short schedule; all runs if there is none. */
  get runsToKill(): number {
    return this.firstShort < 0 ? this.runs : this.firstShort;
  }

  get steps(): number {
    const all = this.guestsOnly === null ? this.pairs : [...this.pairs, this.guestsOnly];
    return all.reduce((sum, { bad }) => sum + bad.campaign.steps, 0);
  }

  /** Makes one run. Returns the side if it crashed. */
  run(index: number): Side | null {
    const alone = index % 2 === 1 ? this.guestsOnly : null;
    const pair = alone ?? this.pairs[(index >> 1) % this.pairs.length];
    const { bad, good } = pair;
    bad.run(drawOf(this.options.seed, index), ACTIONS_PER_RUN, alone !== null, good);
    if (good.crash !== null) throw new Error(`the unmodified model crashed: ${good.crash.error}`);
    this.runs = index + 1;
    if (bad.crash === null) this.look(pair);
    return bad.crash === null ? null : bad;
  }

  /** Shrinks the failures of the last run. */
  private look(pair: Pair): void {
    for (const property of this.options.properties) {
      for (const by of ['policy', 'kernel'] as const) this.lookAt(pair, by, property);
    }
  }

  private lookAt({ bad, good }: Pair, by: Breaking, property: PropertyName): void {
    const p = PROPERTY_NAMES.indexOf(property);
    for (const found of bad.candidates(by, p)) {
      if (this.tried.has(found)) continue;
      this.tried.add(found);
      const schedule = onlyOnOne(found, bad, good, by, p);
      if (schedule === null) continue;
      this.kills++;
      if (schedule.length <= SHORT_ENOUGH && this.firstShort < 0) this.firstShort = this.runs;
      if (this.best !== null && this.best.schedule.length <= schedule.length) continue;
      const { campaign } = bad;
      const counterexample = campaign.counterexample(schedule, p, by === 'kernel');
      this.best = { property, by, counterexample, schedule, bench: campaign.bench };
    }
  }

  get done(): boolean {
    if (this.firstShort < 0) return false;
    return this.kills >= SHOWN_OF || this.runs >= this.firstShort + RUNS_MORE;
  }
}

/** Yields the number of runs after each run. The same options give the same report. */
export function* hunt(options: HuntOptions): Generator<number, HuntReport> {
  const search = new Hunt(options);
  for (let run = 0; run < options.runs && !search.done; run++) {
    const crashed = search.run(run);
    // The crashed machine can run no further. An earlier kill takes precedence over the crash.
    if (crashed !== null && search.best !== null) break;
    const crash = crashed?.shortCrash('after') ?? null;
    const { steps } = search;
    if (crash !== null) return { outcome: { verdict: 'oops', crash }, runs: run + 1, steps };
    yield run + 1;
  }
  const { best, steps, runsToKill: runs } = search;
  const outcome: Outcome =
    best === null ? { verdict: 'survived' } : { verdict: 'killed', kill: best };
  return { outcome, runs, steps };
}

/**
 * The suite against one mutant: generated schedules, until one breaks a property that the defect's
 * entry names, and does not break it on the unmodified model.
 */
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { assert } from '../../hw/assert.js';
import type { PropertyName } from '../../judge/properties.js';
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { drawOf } from '../../schedule/draw.js';
import type { Schedule } from '../../schedule/schedule.js';
import type { Shape } from '../../machine/config.js';
import type { Counterexample } from '../../campaign/campaign.js';
import { ACTIONS_PER_RUN, DEFAULT_SHAPES, GUESTS_ONLY } from '../../campaign/campaign.js';
import type { Breaking, Crash } from '../../campaign/side.js';
import { onlyOnOne, Side } from '../../campaign/side.js';
import type { Bench } from '../../campaign/trial.js';
import type { Model } from './bundle.js';
import type { Place } from './corpus_file.js';

/** A model on one of its CPUs, with what runs in place of lbr.c: by default its port. */
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
  /** Most runs. */
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
  /** It threw, as a kernel oopses. */
  | { readonly verdict: 'oops'; readonly crash: Crash }
  | { readonly verdict: 'survived' };

export interface HuntReport {
  readonly outcome: Outcome;
  /** Runs on the mutant until the first short schedule, or in all; and actions in all of them. */
  readonly runs: number;
  readonly steps: number;
}

/** A schedule of so many actions is short enough to end the search; a longer one is kept. */
export const SHORT_ENOUGH = 12;

/** Of so many schedules, each found in another run, the shortest is shown. */
const SHOWN_OF = 3;

/** Runs after the first short schedule: another one may take very long to come. */
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

/** Machines of all shapes, on both sides. */
class Hunt {
  readonly pairs: readonly Pair[];
  best: Kill | null = null;
  private kills = 0;
  /** Runs so far, and those at the first short schedule. */
  private runs = 0;
  private firstShort = -1;
  private readonly options: HuntOptions;
  private readonly guestsOnly: Pair | null;
  /** Schedules that were made short already. */
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

  /** Runs that it took. */
  get runsToKill(): number {
    return this.firstShort < 0 ? this.runs : this.firstShort;
  }

  get steps(): number {
    const all = this.guestsOnly === null ? this.pairs : [...this.pairs, this.guestsOnly];
    return all.reduce((sum, { bad }) => sum + bad.campaign.steps, 0);
  }

  /** One run. Returns the side that crashed in it, if it did. */
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

  /** Looks at what the last run has brought. */
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

/** Yields the number of runs after each of them. Same options, same report. */
export function* hunt(options: HuntOptions): Generator<number, HuntReport> {
  const search = new Hunt(options);
  for (let run = 0; run < options.runs && !search.done; run++) {
    const crashed = search.run(run);
    // Nothing more runs there. What was found until then counts for more.
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

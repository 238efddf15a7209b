/**
 * What changes when one driver takes the place of another: the suite on both with the same seeds,
 * and every failing schedule of the one tried on the other.
 */
import { driverOf } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { knownFailure, notApplicable, POLICIES } from '../host/policy/index.js';
import { PORT } from '../guest/perf/lbr_port.js';
import type { LbrPolicy, PropertyName } from '../host/policy/policy.js';
import { PROPERTY_NAMES } from '../host/policy/policy.js';
import type { Action } from '../sim/actions.js';
import { ACTION_NAMES, ACTIONS } from '../sim/actions.js';
import type { MachineConfig } from '../sim/config.js';
import type { Schedule } from '../sim/schedule.js';
import { ACTION_WORDS } from '../sim/schedule.js';
import type { Draw } from '../sim/generate.js';
import type { CampaignOptions, Counterexample, Shape } from './campaign.js';
import { drawOf, ShapeCampaign } from './campaign.js';
import { PROPERTIES } from './properties.js';
import type { FailsAt } from './shrink.js';
import { shrink } from './shrink.js';
import type { Verdicts } from './verdicts.js';

/** Who breaks a property: the policy, or the guest's kernel as it would on any machine. */
export type Breaking = 'policy' | 'kernel';

/** A property that is `lost` fails on a schedule on which it held; `gained` is the opposite. */
export type ChangeKind = 'lost' | 'gained';

export interface Change {
  readonly kind: ChangeKind;
  /** It fails on the other side, too, but on other schedules. */
  readonly elsewhere: boolean;
  readonly policy: string;
  readonly cpu: string;
  readonly by: Breaking;
  readonly property: PropertyName;
  /** A schedule that fails on one side only. */
  readonly counterexample: Counterexample;
}

export interface CompareOptions extends Omit<CampaignOptions, 'policies' | 'schedules'> {
  readonly policy: LbrPolicy;
  /** What `driver` takes the place of. */
  readonly before: DriverKind;
}

/** A driver that went wrong in a way that ends the machine: a trap, or a claim of the model. */
export interface Crash {
  readonly side: 'before' | 'after';
  readonly cpu: string;
  readonly error: string;
  /** The schedule up to there. */
  readonly actions: readonly Action[];
  readonly token: string;
}

export interface Comparison {
  readonly policy: string;
  readonly cpu: string;
  /** The shortest of those that the runs came upon; nothing is judged after one. */
  readonly crashes: readonly Crash[];
  /** Properties that say nothing any more, since the situation they judge does not arise. */
  readonly vacuous: readonly PropertyName[];
  readonly changes: readonly Change[];
  /** Runs on each side. */
  readonly runs: number;
  readonly steps: number;
  readonly interrupted: boolean;
}

/** Schedules kept for each property and shape. */
const KEPT = 3;
/** Failing runs that are tried on the other side, for each property and shape. */
const TRIED = 300;

/** Verdicts by who breaks the property. */
function brokenBy(verdicts: Verdicts, by: Breaking): Uint8Array {
  return by === 'policy' ? verdicts.broken : verdicts.own;
}

function failsAt({ bench }: ShapeCampaign, by: Breaking, property: number): FailsAt {
  return by === 'policy'
    ? (schedule) => bench.breaksAt(schedule, property)
    : (schedule) => bench.guestBreaksAt(schedule, property);
}

/**
 * The same schedule with every switch and every NMI moved to the end of the kernel function in
 * which it came: then it does not matter in which order that function accesses MSRs.
 */
function withoutInterruptions(schedule: Schedule): Schedule {
  const plain = schedule.copy();
  for (const at of afterWords(plain)) plain.words[at] = 0;
  return plain;
}

/** Offsets of the parameters that count MSR accesses inside a function. */
function afterWords({ words, length }: Schedule): number[] {
  const found: number[] = [];
  for (let i = 0; i < length; i++) {
    const { params } = ACTIONS[ACTION_NAMES[words[i * ACTION_WORDS]]];
    const p = params.findIndex(({ name }) => name === 'after');
    if (p >= 0 && words[i * ACTION_WORDS + 2 + p] > 0) found.push(i * ACTION_WORDS + 2 + p);
  }
  return found;
}

/** Accesses of the longest kernel functions: an interruption may come anywhere in them. */
const SWEEP = 216;

/**
 * Whether the schedule fails with one of its interruptions at another time, or with none. When a
 * function has come to make more accesses, or others, then whatever interrupts it comes elsewhere,
 * and a failure that was there all along is met on another schedule.
 */
function failsAtAnotherTime(schedule: Schedule, fails: FailsAt): boolean {
  const words = afterWords(schedule);
  if (words.length > 0 && fails(withoutInterruptions(schedule)) >= 0) return true;
  const moved = schedule.copy();
  return words.some((at) => {
    for (let after = 0; after <= SWEEP; after++) {
      moved.words[at] = after;
      if (fails(moved) >= 0) return true;
    }
    moved.words[at] = schedule.words[at];
    return false;
  });
}

/** One shape of machine on one side, and what fails there but not on the other. */
class Side {
  readonly campaign: ShapeCampaign;
  /** Schedules that fail on this side only, by who breaks the property and by property. */
  readonly only: Readonly<Record<Breaking, Schedule[][]>> = {
    policy: PROPERTY_NAMES.map(() => []),
    kernel: PROPERTY_NAMES.map(() => []),
  };
  private readonly tried: Readonly<Record<Breaking, number[]>> = {
    policy: PROPERTY_NAMES.map(() => 0),
    kernel: PROPERTY_NAMES.map(() => 0),
  };

  constructor(campaign: ShapeCampaign) {
    this.campaign = campaign;
  }

  fails(by: Breaking, property: number): boolean {
    const { failures, own } = this.campaign;
    return (by === 'policy' ? failures : own)[property].length > 0;
  }

  /** The schedule on which the driver crashed, and how. */
  crash: { readonly schedule: Schedule; readonly error: string } | null = null;

  /** A run, generated on this side; if it fails, the other side has to show what it does. */
  run(draw: Draw, steps: number, guestsOnly: boolean, other: Side): void {
    const { bench } = this.campaign;
    if (this.crash !== null || other.crash !== null) return;
    try {
      if (guestsOnly) this.campaign.runGuestsOnly(draw, steps);
      else this.campaign.run(draw, steps, null);
    } catch (error) {
      this.crash = { schedule: this.campaign.lastSchedule.copy(), error: String(error) };
      return;
    }
    const { verdicts } = bench.monitor;
    const open = (['policy', 'kernel'] as const).flatMap((by) =>
      PROPERTY_NAMES.flatMap((_, p) => {
        const wanted = this.only[by][p].length < KEPT && this.tried[by][p] < TRIED;
        return wanted && brokenBy(verdicts, by)[p] !== 0 ? [{ by, p }] : [];
      }),
    );
    if (open.length === 0) return;
    const schedule = this.campaign.lastSchedule.copy();
    other.replay(schedule);
    for (const { by, p } of open) {
      this.tried[by][p]++;
      if (brokenBy(other.campaign.bench.monitor.verdicts, by)[p] === 0) {
        this.only[by][p].push(schedule);
      }
    }
  }

  private replay(schedule: Schedule): void {
    const { bench } = this.campaign;
    bench.boot();
    try {
      for (let i = 0; i < schedule.length; i++) bench.step(schedule, i);
    } catch (error) {
      this.crash = { schedule, error: String(error) };
    }
  }

  /** A short schedule on which the driver crashes. */
  shortCrash(side: Crash['side']): Crash | null {
    if (this.crash === null) return null;
    const { campaign } = this;
    const schedule = shrink(this.crash.schedule, (s) => campaign.crashesAt(s));
    const token = campaign.token(schedule, 0);
    return { side, cpu: campaign.cpu, error: this.crash.error, actions: schedule.actions(), token };
  }
}

/** On which every second run leaves the guests alone. */
const GUESTS_ONLY: Shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 2 };

/** Runs of one policy, for the seed: no policy repeats what another one has seen. */
const RUNS_APART = 1_000_003;

/** Both sides of one shape, and Linux 6.1 itself. */
class Pair {
  readonly before: Side;
  readonly after: Side;
  private readonly port: ShapeCampaign;

  constructor(config: MachineConfig, before: DriverKind, after: DriverKind) {
    this.before = new Side(new ShapeCampaign({ ...config, driver: before }));
    this.after = new Side(new ShapeCampaign({ ...config, driver: after }));
    this.port = new ShapeCampaign({ ...config, driver: PORT });
  }

  /**
   * Whether Linux 6.1 fails on a schedule, too. Then the patch has not lost anything: a fault of
   * the kernel's that is known shows where another had covered it up.
   */
  failsOnPort(schedule: Schedule, by: Breaking, property: number): boolean {
    return failsAt(this.port, by, property)(schedule) >= 0;
  }
}

class PolicyComparison {
  readonly pairs: readonly Pair[];
  runs = 0;
  private readonly guestsOnly: Pair;
  private readonly firstRun: number;
  private readonly options: CompareOptions;

  constructor(options: CompareOptions) {
    const { model, kernel, policy, shapes, before } = options;
    this.options = options;
    const pair = (shape: Shape): Pair =>
      new Pair({ ...shape, model, kernel, policy }, before, driverOf(options));
    this.guestsOnly = pair(GUESTS_ONLY);
    this.pairs = [...shapes.map((shape) => pair(shape)), this.guestsOnly];
    this.firstRun = RUNS_APART * POLICIES.indexOf(policy);
  }

  run(index: number): void {
    const { seed, steps, shapes } = this.options;
    const guestsOnly = index % 2 === 1;
    const { before, after } = guestsOnly
      ? this.guestsOnly
      : this.pairs[(index >> 1) % shapes.length];
    const draw = (): Draw => drawOf(seed, this.firstRun + index);
    before.run(draw(), steps, guestsOnly, after);
    after.run(draw(), steps, guestsOnly, before);
    this.runs++;
  }

  get steps(): number {
    return this.pairs.reduce((sum, p) => sum + p.before.campaign.steps + p.after.campaign.steps, 0);
  }

  get found(): number {
    return PROPERTY_NAMES.filter((_, p) => this.pairs.some(({ after }) => after.only.policy[p][0]))
      .length;
  }

  changes(): Change[] {
    const { policy, model, properties } = this.options;
    return PROPERTIES.filter(({ name }) => properties.includes(name)).flatMap((property) =>
      (['policy', 'kernel'] as const).flatMap((by) => {
        const says = notApplicable(policy, property.name, model) ?? property.notApplicable(model);
        if (by === 'policy' && says !== null) return [];
        return [...this.change(by, property.name, true), ...this.change(by, property.name, false)];
      }),
    );
  }

  crashes(): Crash[] {
    return (['before', 'after'] as const).flatMap((side) => {
      const found = this.pairs.flatMap((pair) => pair[side].shortCrash(side) ?? []);
      const shortest = found.sort((a, b) => a.actions.length - b.actions.length)[0];
      return shortest === undefined ? [] : [shortest];
    });
  }

  /** Properties whose situation arose before, and does not after. */
  vacuous(): PropertyName[] {
    const { policy, model, properties } = this.options;
    return PROPERTIES.filter(({ name, reach, notApplicable: says }) => {
      if (!properties.includes(name)) return false;
      if ((notApplicable(policy, name, model) ?? says(model)) !== null) return false;
      const count = (side: 'before' | 'after'): number =>
        this.pairs.reduce((sum, pair) => sum + pair[side].campaign.reached(reach), 0);
      return count('before') > 0 && count('after') === 0;
    }).map(({ name }) => name);
  }

  /** What fails on one side only: on `after`, or the other way round. */
  private change(by: Breaking, property: PropertyName, isLoss: boolean): Change[] {
    const { policy, model, kernel } = this.options;
    const p = PROPERTY_NAMES.indexOf(property);
    const fails = (side: 'before' | 'after'): boolean =>
      this.pairs.some((pair) => pair[side].fails(by, p));
    const [bad, good] = isLoss ? (['after', 'before'] as const) : (['before', 'after'] as const);
    // A failure that is known is there, whether these runs came upon it or not.
    const known = by === 'policy' && knownFailure(policy, property, model, kernel) !== null;
    const elsewhere = fails(good) || known;
    let best: { readonly schedule: Schedule; readonly pair: Pair } | null = null;
    for (const pair of this.pairs) {
      for (const schedule of pair[bad].only[by][p]) {
        const short = onlyOnOne(schedule, pair[bad], pair[good], by, p);
        if (short !== null && isLoss && pair.failsOnPort(short, by, p)) continue;
        if (short === null || (best !== null && best.schedule.length <= short.length)) continue;
        best = { schedule: short, pair };
      }
    }
    if (best === null) return [];
    const kind = isLoss ? 'lost' : 'gained';
    const { campaign } = best.pair[bad];
    const counterexample = campaign.counterexample(best.schedule, p, by === 'kernel');
    const where = { policy: policy.name, cpu: model.name };
    return [{ kind, elsewhere, ...where, by, property, counterexample }];
  }
}

/** A short schedule that fails on the bad side only, whenever its interruptions come; or null. */
function onlyOnOne(
  found: Schedule,
  bad: Side,
  good: Side,
  by: Breaking,
  property: number,
): Schedule | null {
  const badAt = failsAt(bad.campaign, by, property);
  const goodAt = failsAt(good.campaign, by, property);
  const differs: FailsAt = (schedule) => {
    const at = badAt(schedule);
    return at >= 0 && goodAt(schedule) < 0 ? at : -1;
  };
  for (const start of [withoutInterruptions(found), found]) {
    if (differs(start) < 0) continue;
    const short = shrink(start, differs);
    if (!failsAtAnotherTime(short, goodAt)) return short;
  }
  return null;
}

/** Compares two drivers under one policy. Same options, same result. */
export function compareDrivers(options: CompareOptions): Comparison {
  const comparison = new PolicyComparison(options);
  const { runs, progress, policy } = options;
  let interrupted = false;
  for (let run = 0; run < runs && !interrupted; run++) {
    comparison.run(run);
    const { steps, found } = comparison;
    const now = { policy: policy.name, runs: run + 1, runsWanted: runs, steps, found };
    interrupted = progress !== undefined && !progress(now);
  }
  const { steps } = comparison;
  const crashes = comparison.crashes();
  // A machine that has crashed is not to be asked for anything more.
  const judged = crashes.length === 0;
  const changes = judged ? comparison.changes() : [];
  const vacuous = judged ? comparison.vacuous() : [];
  const { runs: done } = comparison;
  const where = { policy: policy.name, cpu: options.model.name };
  return { ...where, crashes, changes, vacuous, runs: done, steps, interrupted };
}

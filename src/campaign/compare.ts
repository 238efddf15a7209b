/**
 * What changes when one driver replaces another. Both drivers run the suite with the same seeds,
 * and each failing schedule of one driver is tried on the other.
 */
import { driverOf } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { PORT } from '../guest/perf/lbr_port.js';
import { knownFailure, notApplicable } from '../judge/declared.js';
import { POLICIES } from '../host/policy/index.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { PROPERTIES, PROPERTY_NAMES, type PropertyName } from '../judge/properties.js';
import { CPU_MODELS } from '../hw/cpu_models.js';
import { type Draw, drawOf } from '../schedule/draw.js';
import { Schedule } from '../schedule/schedule.js';
import type { Shape } from '../machine/config.js';
import type { CampaignOptions, Counterexample } from './campaign.js';
import { GUESTS_ONLY } from './campaign.js';
import { ShapeCampaign } from './shape_campaign.js';
import { type Breaking, type Crash, onlyOnOne, Side } from './side.js';

/** `lost`: the property fails in a schedule in which it held before. `gained`: the opposite. */
export type ChangeKind = 'lost' | 'gained';

export interface Change {
  readonly kind: ChangeKind;
  /** The property also fails on the other side, but in other schedules. */
  readonly elsewhere: boolean;
  /** The property fails on Linux 6.1 in this schedule as well: the patch did not add the fault. */
  readonly onLinux61: boolean;
  readonly policy: string;
  readonly cpu: string;
  readonly by: Breaking;
  readonly property: PropertyName;
  readonly counterexample: Counterexample;
}

export interface CompareOptions extends Omit<CampaignOptions, 'policies' | 'schedules'> {
  readonly policy: LbrPolicy;
  /** The driver that `driver` replaces. */
  readonly before: DriverKind;
}

export interface Comparison {
  readonly policy: string;
  readonly cpu: string;
  /** The shortest crash of each side. After a crash, nothing else is judged. */
  readonly crashes: readonly Crash[];
  /** Properties whose risky situation no longer arises, so that they say nothing. */
  readonly vacuous: readonly PropertyName[];
  readonly changes: readonly Change[];
  /** Runs on each side. */
  readonly runs: number;
  readonly steps: number;
  readonly interrupted: boolean;
}

/** Distance between the run numbers of two policies or CPUs, so that their schedules differ. */
const RUNS_APART = 1_000_003;
/**
 * Distance between two policies, in CPUs. It is not the length of the table, or each CPU that is
 * added to it would change what a seed draws for all others.
 */
const CPUS_APART = 10;

/** Both sides of one shape, and Linux 6.1 itself. */
class Pair {
  readonly before: Side;
  readonly after: Side;
  private readonly port: Side;

  constructor(shape: Shape, options: CompareOptions) {
    const { model, kernel, policy, before, alive } = options;
    const side = (driver: DriverKind): Side =>
      new Side(new ShapeCampaign({ shape, model, kernel, policy, driver }, alive));
    this.before = side(before);
    this.after = side(driverOf(options));
    this.port = side(PORT);
  }

  failsOnPort(schedule: Schedule, by: Breaking, property: number): boolean {
    return this.port.failsAt(by, property)(schedule) >= 0;
  }
}

interface Found {
  readonly schedule: Schedule;
  readonly pair: Pair;
  readonly onLinux61: boolean;
}

/** Prefers a failure that Linux 6.1 does not share; among equals, the shorter schedule. */
function better(a: Found | null, b: Found): Found {
  if (a === null || (a.onLinux61 && !b.onLinux61)) return b;
  if (b.onLinux61 && !a.onLinux61) return a;
  return b.schedule.length < a.schedule.length ? b : a;
}

class PolicyComparison {
  readonly pairs: readonly Pair[];
  runs = 0;
  private readonly guestsOnly: Pair;
  private readonly firstRun: number;
  private readonly options: CompareOptions;

  constructor(options: CompareOptions) {
    const { model, policy, shapes } = options;
    this.options = options;
    this.guestsOnly = new Pair(GUESTS_ONLY, options);
    this.pairs = [...shapes.map((shape) => new Pair(shape, options)), this.guestsOnly];
    const cpu = CPU_MODELS.findIndex(({ name }) => name === model.name);
    this.firstRun = RUNS_APART * (1 + POLICIES.indexOf(policy) * CPUS_APART + cpu);
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
    return PROPERTY_NAMES.filter((_, p) =>
      this.pairs.some((pair) => pair.after.candidates('policy', p).length > 0),
    ).length;
  }

  changes(): Change[] {
    const { policy, model, kernel, properties } = this.options;
    return PROPERTIES.filter(({ name }) => properties.includes(name)).flatMap((property) =>
      (['policy', 'kernel'] as const).flatMap((by) => {
        const says =
          notApplicable(policy, property.name, model, kernel) ?? property.notApplicable(model);
        if (by === 'policy' && says !== null) return [];
        return [...this.change(by, property.name, true), ...this.change(by, property.name, false)];
      }),
    );
  }

  get crashed(): boolean {
    return this.pairs.some(({ before, after }) => before.crash !== null || after.crash !== null);
  }

  crashes(): Crash[] {
    return (['before', 'after'] as const).flatMap((side) => {
      const found = this.pairs.flatMap((pair) => pair[side].shortCrash(side) ?? []);
      const shortest = found.sort((a, b) => a.actions.length - b.actions.length)[0];
      return shortest === undefined ? [] : [shortest];
    });
  }

  /** Properties whose risky situation arose before the change, but not after. */
  vacuous(): PropertyName[] {
    const { policy, model, kernel, properties } = this.options;
    return PROPERTIES.filter(({ name, reach, notApplicable: says }) => {
      if (!properties.includes(name)) return false;
      if ((notApplicable(policy, name, model, kernel) ?? says(model)) !== null) return false;
      const count = (side: 'before' | 'after'): number =>
        this.pairs.reduce((sum, pair) => sum + pair[side].campaign.reached(reach), 0);
      return count('before') > 0 && count('after') === 0;
    }).map(({ name }) => name);
  }

  /** Failures on one side only: for a loss on `after`, for a gain on `before`. */
  private change(by: Breaking, property: PropertyName, isLoss: boolean): Change[] {
    const { policy, model, kernel } = this.options;
    const p = PROPERTY_NAMES.indexOf(property);
    const fails = (side: 'before' | 'after'): boolean =>
      this.pairs.some((pair) => pair[side].fails(by, p));
    const [bad, good] = isLoss ? (['after', 'before'] as const) : (['before', 'after'] as const);
    // A declared failure counts as present, whether these runs found it or not; what is declared
    // for the KVM of a tree is not said of a changed one.
    const declared = by === 'policy' && (isLoss || policy.ofTree !== true);
    const known = declared && knownFailure(policy, property, model, kernel) !== null;
    const elsewhere = fails(good) || known;
    let best: Found | null = null;
    for (const pair of this.pairs) {
      for (const schedule of pair[bad].candidates(by, p)) {
        const short = onlyOnOne(schedule, pair[bad], pair[good], by, p);
        if (short === null) continue;
        const onLinux61 = isLoss && pair.failsOnPort(short, by, p);
        best = better(best, { schedule: short, pair, onLinux61 });
      }
    }
    if (best === null) return [];
    const kind = isLoss ? 'lost' : 'gained';
    const { campaign } = best.pair[bad];
    const counterexample = campaign.counterexample(best.schedule, p, by === 'kernel');
    const where = { policy: policy.name, cpu: model.name };
    const { onLinux61 } = best;
    return [{ kind, elsewhere, onLinux61, ...where, by, property, counterexample }];
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What there is to compare; or the crash, if the changed kernel alone does not start. */
function started(options: CompareOptions): PolicyComparison | Crash {
  try {
    return new PolicyComparison(options);
  } catch (error) {
    // If the kernel before the change does not start either, this throws.
    const { shapes, before: driver, alive } = options;
    const before = new ShapeCampaign({ ...options, shape: shapes[0], driver }, alive);
    return { ...before.replay(Schedule.of([]), 0), side: 'after', error: messageOf(error) };
  }
}

/** Compares two drivers under one policy. The same options give the same result. */
export function compareDrivers(options: CompareOptions): Comparison {
  const comparison = started(options);
  const where = { policy: options.policy.name, cpu: options.model.name };
  if ('side' in comparison) {
    const nothing = { changes: [], vacuous: [], runs: 0, steps: 0, interrupted: false };
    return { ...where, crashes: [comparison], ...nothing };
  }
  const { runs, progress, policy } = options;
  let interrupted = false;
  for (let run = 0; run < runs && !interrupted; run++) {
    comparison.run(run);
    const { steps, found } = comparison;
    const now = { policy: policy.name, runs: run + 1, runsWanted: runs, steps, found };
    interrupted = progress !== undefined && !progress(now);
  }
  const { steps } = comparison;
  // A machine that has crashed can judge nothing more. changes() may itself find a crash.
  const found = comparison.crashed ? [] : comparison.changes();
  const crashes = comparison.crashes();
  const judged = crashes.length === 0;
  const changes = judged ? found : [];
  const vacuous = judged ? comparison.vacuous() : [];
  const { runs: done } = comparison;
  return { ...where, crashes, changes, vacuous, runs: done, steps, interrupted };
}

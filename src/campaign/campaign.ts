/**
 * The suite: every policy against every property, by generated schedules. One run is judged by
 * all properties at once; the first failure of each is kept, and shrunk when the runs are done.
 */
import { driverOf, type KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { assert } from '../hw/assert.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { knownFailure, notApplicable } from '../judge/declared.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { ACTION_NAMES, perform } from '../schedule/table.js';
import type { MachineConfig, Shape } from '../machine/config.js';
import { type Draw, drawOf } from '../schedule/draw.js';
import { Generator } from '../schedule/generate.js';
import { Schedule } from '../schedule/schedule.js';
import { encodeToken, type Replay, replayOf } from '../schedule/token.js';
import type { HostSchedule } from '../schedule/host_schedule.js';
import type { Property, PropertyName, ReachName } from '../judge/properties.js';
import { PROPERTIES, PROPERTY_NAMES, PROPERTY, REACH_NAMES, REACH } from '../judge/properties.js';
import { RecordedRun, type RecordedWindow, recordedWindows } from '../schedule/recorded.js';
import { Bench } from './trial.js';
import { type FailsAt, shrink } from '../schedule/shrink.js';

export type Verdict = 'holds' | 'fails' | 'vacuous' | 'not applicable';

/** The schedule, and the machine on which it fails. */
export interface Counterexample extends Replay {
  /** What broke, in one line. */
  readonly text: string;
  /** Whether a bounded search has proved that no schedule is shorter. */
  readonly label: 'minimal' | 'shrunk';
}

/** One cell of the matrix. */
export interface Result {
  readonly policy: string;
  readonly property: PropertyName;
  readonly verdict: Verdict;
  readonly expected: Verdict;
  /** Why the verdict is the expected one: a known failure's reason, or why it says nothing. */
  readonly reason: string;
  readonly runs: number;
  readonly reach: Readonly<Record<string, number>>;
  readonly counterexample: Counterexample | null;
}

/**
 * A failure of the guest's kernel itself, on a pCPU of its own as under every policy. A check says
 * so while the guest is still the one of the reference machine (reference.ts), and then the same
 * actions of the guests must show it on a machine that has no host (alone.ts); if they do not, it
 * is not one.
 */
export interface KernelFinding {
  readonly property: PropertyName;
  readonly counterexample: Counterexample;
}

export interface Report {
  readonly results: readonly Result[];
  readonly kernelFindings: readonly KernelFinding[];
  readonly runs: number;
  readonly steps: number;
  /** How often each action was performed. */
  readonly actions: Readonly<Record<string, number>>;
  /** Whether the runs were cut short. */
  readonly interrupted: boolean;
}

export interface Progress {
  readonly policy: string;
  readonly runs: number;
  readonly runsWanted: number;
  readonly steps: number;
  readonly found: number;
}

/**
 * The shapes that runs take turns with when none is asked for: two VMs or two vCPUs of one VM that
 * share a pCPU, VMs of two vCPUs whose tasks migrate, and vCPUs that migrate between pCPUs.
 */
export const DEFAULT_SHAPES: readonly Shape[] = [
  { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 },
  { vms: 1, vcpus: 2, tasks: 3, pcpus: 1 },
  { vms: 2, vcpus: 2, tasks: 3, pcpus: 2 },
  { vms: 3, vcpus: 1, tasks: 2, pcpus: 2 },
];

/** For runs that leave a guest alone: each of its vCPUs has a pCPU. */
export const GUESTS_ONLY: Shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 2 };

export interface CampaignOptions {
  readonly model: CpuModel;
  readonly kernel: KernelVersion;
  /** What runs in place of lbr.c; by default the port. */
  readonly driver?: DriverKind;
  /** Shapes of the machine, in turn; at least one. A recording brings its own. */
  readonly shapes: readonly Shape[];
  readonly policies: readonly LbrPolicy[];
  readonly properties: readonly PropertyName[];
  /** Runs for each policy. */
  readonly runs: number;
  /** Actions in a run. */
  readonly steps: number;
  readonly seed: number;
  /** Recorded host schedules: their vCPU switches take the place of generated ones. */
  readonly schedules: readonly HostSchedule[];
  /** Called between runs; returning false ends the campaign with what is known. */
  readonly progress?: (progress: Progress) => boolean;
  /**
   * Called whenever a schedule is run from its start, also while failures are made short: that may
   * take longer than all the runs. Returning false ends the work with what is known.
   */
  readonly alive?: () => boolean;
}

/** A schedule that fails, and the shape of machine on which it does. */
interface Failure {
  readonly shape: Shape;
  readonly schedule: Schedule;
}

/** Actions in a run, where nobody asks for another number. */
export const ACTIONS_PER_RUN = 60;

/** Failing schedules that are kept for each property and shape: shrinking one may go wrong. */
const KEPT_PER_SHAPE = 3;

/** A machine of one shape under one policy, and the runs on it. */
export class ShapeCampaign {
  readonly bench: Bench;
  readonly shape: Shape;
  steps = 0;
  readonly counts: Float64Array = new Float64Array(ACTION_NAMES.length);
  /** Failing schedules by property: those of the policy, and those of the guest's kernel. */
  readonly failures: Schedule[][] = PROPERTY_NAMES.map(() => []);
  readonly own: Schedule[][] = PROPERTY_NAMES.map(() => []);
  private readonly config: MachineConfig;
  private readonly generator: Generator;
  private readonly schedule: Schedule = new Schedule();

  /** The schedule of the last run. */
  get lastSchedule(): Schedule {
    return this.schedule;
  }

  /** @param alive - as in `CampaignOptions`. */
  constructor(config: MachineConfig, alive?: () => boolean) {
    this.config = config;
    this.shape = config.shape;
    this.bench = new Bench(config, alive);
    this.generator = new Generator(this.bench.machine);
  }

  /** One run, generated as it goes. */
  run(draw: Draw, steps: number, window: RecordedWindow | null): void {
    this.schedule.clear();
    this.bench.boot();
    this.generator.begin(draw, window === null);
    this.runOn(draw, steps, window);
  }

  /** One run in which the guests are left alone on their pCPUs. */
  runGuestsOnly(draw: Draw, steps: number): void {
    this.schedule.clear();
    this.bench.boot();
    this.generator.beginGuestsOnly(draw);
    this.runOn(draw, steps, null);
  }

  private runOn(draw: Draw, steps: number, window: RecordedWindow | null): void {
    const { bench, generator, schedule } = this;
    const { machine } = bench;
    const { verdicts } = bench.monitor;
    const recorded = window === null ? null : new RecordedRun(window, draw);
    recorded?.begin(machine, schedule);
    let kept = false;
    // A recorded run ends with its window.
    const most = recorded === null ? steps : Infinity;
    for (let i = 0; i < most; i++) {
      if (recorded === null) generator.next();
      else if (!recorded.next(machine, generator)) break;
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      this.counts[kind]++;
      this.perform(kind, actor, a, b, c);
      this.steps++;
      kept ||= verdicts.news;
    }
    if (kept) this.keep();
  }

  /** A bug of the model is thrown with the token of the schedule that shows it. */
  private perform(kind: number, actor: number, a: number, b: number, c: number): void {
    try {
      perform(this.bench.machine, kind, actor, a, b, c);
    } catch (e) {
      const token = encodeToken(this.replay(this.schedule, 0));
      throw e instanceof Error ? Object.assign(e, { token }) : e;
    }
  }

  /** Keeps the run for each property that it broke. */
  private keep(): void {
    const { bench, schedule } = this;
    const { broken, own } = bench.monitor.verdicts;
    for (let p = 0; p < PROPERTY_NAMES.length; p++) {
      if (broken[p] !== 0) keepOne(this.failures[p], schedule);
      if (own[p] === 0 || this.own[p].length >= KEPT_PER_SHAPE) continue;
      if (bench.breaksAlone(schedule, schedule.length, p)) keepOne(this.own[p], schedule);
    }
  }

  /** The kept failures of a property, each shrunk. */
  shrunk(property: number): Failure[] {
    return this.shrinkAll(this.failures[property], (s) => this.bench.breaksAt(s, property));
  }

  shrunkOwn(property: number): Failure[] {
    return this.shrinkAll(this.own[property], (s) => this.bench.guestBreaksAt(s, property));
  }

  private shrinkAll(kept: readonly Schedule[], failsAt: FailsAt): Failure[] {
    return kept
      .filter((schedule) => failsAt(schedule) >= 0)
      .map((schedule) => ({ shape: this.shape, schedule: this.shrink(schedule, failsAt) }));
  }

  /** A shorter schedule that fails; the work may be told to end meanwhile. */
  shrink(schedule: Schedule, failsAt: FailsAt): Schedule {
    return shrink(schedule, failsAt, this.bench.alive);
  }

  /** How often a situation arose, over all runs. */
  reached(name: ReachName): number {
    return this.bench.monitor.verdicts.reach[REACH[name]];
  }

  /** A schedule that fails here, for a report. */
  counterexample(schedule: Schedule, property: number, own: boolean): Counterexample {
    const text = this.detail(schedule, property, own);
    return { ...this.replay(schedule, property), text, label: 'shrunk' };
  }

  /** Number of actions up to the one in which the driver throws, 0 for the boot, or -1. */
  crashesAt(schedule: Schedule): number {
    const { bench } = this;
    let begun = 0;
    try {
      bench.boot();
      for (let i = 0; i < schedule.length; i++) {
        begun = i + 1;
        bench.step(schedule, i);
      }
    } catch {
      return begun;
    }
    return -1;
  }

  /** What broke, in one line, at the end of a schedule that does. */
  private detail(schedule: Schedule, property: number, own: boolean): string {
    const { bench } = this;
    if (own) bench.guestBreaksAt(schedule, property);
    else bench.breaksAt(schedule, property);
    const { ownDetails, details } = bench.monitor.verdicts;
    return (own ? ownDetails : details)[property];
  }

  /** A schedule on this machine, for a report. */
  replay(schedule: Schedule, property: number): Replay {
    return replayOf(this.config, PROPERTY_NAMES[property], schedule);
  }
}

function keepOne(kept: Schedule[], schedule: Schedule): void {
  if (kept.length < KEPT_PER_SHAPE) kept.push(schedule.copy());
}

/** What is known of one policy. */
class PolicyCampaign {
  private readonly policy: LbrPolicy;
  private readonly options: CampaignOptions;
  private readonly windows: readonly RecordedWindow[];
  private readonly shapes: readonly ShapeCampaign[];
  private runs = 0;

  constructor(policy: LbrPolicy, options: CampaignOptions) {
    this.policy = policy;
    this.options = options;
    this.windows = options.schedules.flatMap(recordedWindows);
    const { model, kernel, alive } = options;
    const common = { model, kernel, policy, driver: driverOf(options) };
    const shapes = this.windows.length === 0 ? options.shapes : distinctShapes(this.windows);
    this.shapes = shapes.map((shape) => new ShapeCampaign({ shape, ...common }, alive));
  }

  /** All runs, and what came of them. */
  report(): Report {
    const { options, policy, windows } = this;
    const wanted = Math.max(options.runs, windows.length);
    let goOn = true;
    while (this.runs < wanted && goOn) {
      this.run(this.runs++);
      const { runs, steps, found } = this;
      const now = { policy: policy.name, runs, runsWanted: wanted, steps, found };
      goOn = options.progress?.(now) ?? true;
    }
    const properties = PROPERTIES.filter(({ name }) => options.properties.includes(name));
    const results = properties
      .filter(({ of }) => of === 'policy')
      .map((property) => this.result(property));
    const kernelFindings = properties.flatMap(({ name }) => this.kernelFinding(name));
    const interrupted = !goOn || options.alive?.() === false;
    const { runs, steps } = this;
    return { results, kernelFindings, runs, steps, actions: this.actions(), interrupted };
  }

  private run(index: number): void {
    const { shapes, windows } = this;
    const { seed, steps } = this.options;
    const window = windows.length === 0 ? null : windows[index % windows.length];
    const campaign =
      window === null
        ? shapes[index % shapes.length]
        : shapes.find(({ shape }) => sameShape(shape, window.shape));
    assert(campaign !== undefined, 'each window has a machine of its shape');
    campaign.run(drawOf(seed, index), steps, window);
  }

  private actions(): Record<string, number> {
    const count = (i: number): number => this.shapes.reduce((sum, s) => sum + s.counts[i], 0);
    return Object.fromEntries(ACTION_NAMES.map((name, i) => [name, count(i)]));
  }

  private get steps(): number {
    return this.shapes.reduce((sum, shape) => sum + shape.steps, 0);
  }

  /** Properties broken so far. */
  private get found(): number {
    return PROPERTY_NAMES.filter((_, p) => this.shapes.some((s) => s.failures[p].length > 0))
      .length;
  }

  /** The shortest counterexample, or null if none of the failures is the policy's own. */
  private shortest(property: number, own: boolean): Counterexample | null {
    let best: Failure | null = null;
    let from: ShapeCampaign | null = null;
    for (const shape of this.shapes) {
      for (const failure of own ? shape.shrunkOwn(property) : shape.shrunk(property)) {
        if (best !== null && best.schedule.length <= failure.schedule.length) continue;
        best = failure;
        from = shape;
      }
    }
    if (best === null || from === null) return null;
    return from.counterexample(best.schedule, property, own);
  }

  private kernelFinding(property: PropertyName): KernelFinding[] {
    const counterexample = this.shortest(PROPERTY[property], true);
    return counterexample === null ? [] : [{ property, counterexample }];
  }

  private result(property: Property): Result {
    const { name } = property;
    const { policy } = this;
    const { model, kernel } = this.options;
    const nothing = notApplicable(policy, name, model) ?? property.notApplicable(model);
    const reach = this.reach();
    const common = { policy: this.policy.name, property: name, runs: this.runs, reach };
    if (nothing !== null) {
      const verdict = 'not applicable';
      return { ...common, verdict, expected: verdict, reason: nothing, counterexample: null };
    }
    const counterexample = this.shortest(PROPERTY[name], false);
    const known = knownFailure(policy, name, model, kernel);
    const verdict =
      counterexample !== null ? 'fails' : reach[property.reach] === 0 ? 'vacuous' : 'holds';
    // A recording or a machine of the user's need not bring a known failure out, nor meet every
    // risk: only the default shapes are made to.
    const { schedules, shapes } = this.options;
    const isDefault =
      shapes.length === DEFAULT_SHAPES.length &&
      shapes.every((shape) => isIn(DEFAULT_SHAPES, shape));
    const given = schedules.length > 0 || !isDefault;
    const lenient = given && (known !== null || verdict === 'vacuous');
    const expected = lenient ? verdict : known === null ? 'holds' : 'fails';
    return { ...common, verdict, expected, reason: known ?? '', counterexample };
  }

  private reach(): Record<string, number> {
    const total = (name: ReachName): number =>
      this.shapes.reduce((sum, shape) => sum + shape.reached(name), 0);
    return Object.fromEntries(REACH_NAMES.map((name) => [name, total(name)]));
  }
}

/** Runs the suite. Same options, same report, whatever the machine it runs on. */
export function runCampaign(options: CampaignOptions): Report {
  const reports: Report[] = [];
  for (const policy of options.policies) {
    const cut = reports.some(({ interrupted }) => interrupted);
    reports.push(new PolicyCampaign(policy, cut ? { ...options, runs: 0 } : options).report());
  }
  return mergedReports(reports, options.properties);
}

/** One report out of one for each policy, in the order of the policies. */
export function mergedReports(
  reports: readonly Report[],
  properties: readonly PropertyName[],
): Report {
  const sum = (of: (report: Report) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  // What the kernel does wrong by itself, it does under every policy: one of them is enough.
  const findings = reports.flatMap((report) => report.kernelFindings);
  return {
    results: reports.flatMap((report) => report.results),
    kernelFindings: properties.flatMap((name) =>
      findings.filter(({ property }) => property === name).slice(0, 1),
    ),
    runs: sum((report) => report.runs),
    steps: sum((report) => report.steps),
    actions: Object.fromEntries(
      ACTION_NAMES.map((name) => [name, sum((report) => report.actions[name])]),
    ),
    interrupted: reports.some((report) => report.interrupted),
  };
}

function sameShape(a: Shape, b: Shape): boolean {
  return a.vms === b.vms && a.vcpus === b.vcpus && a.tasks === b.tasks && a.pcpus === b.pcpus;
}

function isIn(shapes: readonly Shape[], shape: Shape): boolean {
  return shapes.some((other) => sameShape(other, shape));
}

function distinctShapes(windows: readonly RecordedWindow[]): Shape[] {
  const shapes: Shape[] = [];
  for (const { shape } of windows) if (!isIn(shapes, shape)) shapes.push(shape);
  return shapes;
}

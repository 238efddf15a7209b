/**
 * The suite: every policy against every property, by generated schedules. One run is judged by
 * all properties at once; the first failure of each is kept, and shrunk when the runs are done.
 */
import { driverOf, type KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { assert } from '../hw/assert.js';
import { type CpuModel, findCpuModel } from '../hw/cpu_models.js';
import { isSeldom, knownFailure, notApplicable } from '../judge/declared.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import type { Shape } from '../machine/config.js';
import { drawOf } from '../schedule/draw.js';
import type { HostSchedule } from '../recording/recording.js';
import { type RecordedWindow, RecordedWindows } from '../schedule/recorded.js';
import { ACTION_NAMES, type ActionName } from '../schedule/table.js';
import type { Replay } from '../schedule/token.js';
import type { Property, PropertyName } from '../judge/properties.js';
import { PROPERTIES, PROPERTY_NAMES, PROPERTY, REACH_NAMES } from '../judge/properties.js';
import type { Found } from './found.js';
import { type KernelList, listFor } from './kernel_lists.js';
import { type Failure, ShapeCampaign } from './shape_campaign.js';

export type Verdict = 'holds' | 'fails' | 'vacuous' | 'not applicable';

/** The schedule, and the machine on which it fails. */
export interface Counterexample extends Replay {
  /** What broke, in one line. */
  readonly text: string;
  /** The key of its cause (judge/cause.ts). */
  readonly cause: string;
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
  /** The shortest that is known; null unless the property fails. */
  readonly counterexample: Counterexample | null;
  /** The shortest of each other cause of the failure that was met, the shortest first. */
  readonly otherCauses: readonly Counterexample[];
}

/**
 * A failure of the guest's kernel itself, on a pCPU of its own as under every policy. A check says
 * so while the guest is still the one of the reference machine (reference.ts), and then the same
 * actions of the guests must show it on a machine that has no host (alone.ts); if they do not, it
 * is not one.
 */
export interface KernelFinding {
  readonly property: PropertyName;
  /** Why it is known of this kernel, or null if it is not on the kernel's list. */
  readonly known: string | null;
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

/** Whether machines are those of the default. */
export function areDefault(shapes: readonly Shape[]): boolean {
  return (
    shapes.length === DEFAULT_SHAPES.length && shapes.every((shape) => isIn(DEFAULT_SHAPES, shape))
  );
}

/** For runs that leave a guest alone: each of its vCPUs has a pCPU. */
export const GUESTS_ONLY: Shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 2 };

export interface CampaignOptions {
  readonly model: CpuModel;
  readonly kernel: KernelVersion;
  /** What runs in place of lbr.c; by default the port. */
  readonly driver?: DriverKind;
  /** What the guest's kernel is known to break; by default the list of the port's version. */
  readonly list?: KernelList;
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
  /** Actions that are never drawn; by default none. */
  readonly without?: readonly ActionName[];
  /** Called between runs; returning false ends the campaign with what is known. */
  readonly progress?: (progress: Progress) => boolean;
  /**
   * Called whenever a schedule is run from its start, also while failures are made short: that may
   * take longer than all the runs. Returning false ends the work with what is known.
   */
  readonly alive?: () => boolean;
}

/** Actions in a run, where nobody asks for another number. */
export const ACTIONS_PER_RUN = 60;

/** What is known of one policy. */
class PolicyCampaign {
  private readonly policy: LbrPolicy;
  private readonly options: CampaignOptions;
  private readonly windows: readonly RecordedWindows[];
  /** Number of the windows of all recordings. */
  private readonly windowCount: number;
  private readonly shapes: readonly ShapeCampaign[];
  private readonly list: KernelList;

  constructor(policy: LbrPolicy, options: CampaignOptions) {
    this.policy = policy;
    this.options = options;
    this.list = options.list ?? listFor(options.kernel);
    this.windows = options.schedules.map((schedule) => new RecordedWindows(schedule));
    this.windowCount = this.windows.reduce((sum, { length }) => sum + length, 0);
    const { model, kernel, alive, without } = options;
    const common = { model, kernel, policy, driver: driverOf(options) };
    const shapes = this.windowCount === 0 ? options.shapes : distinctShapes(this.windows);
    this.shapes = shapes.map(
      (shape) => new ShapeCampaign({ shape, ...common }, alive, this.list, without),
    );
  }

  /** Makes some of the runs: those with numbers from `from` to below `to`, as far as they go. */
  find({ from, to }: Unit): Found {
    const { options, policy, windowCount } = this;
    const wanted = Math.max(options.runs, windowCount);
    const end = Math.min(to, wanted);
    let [runs, goOn] = [0, true];
    while (from + runs < end && goOn) {
      this.run(from + runs++);
      const { steps, broken } = this;
      const now = { policy: policy.name, runs, runsWanted: wanted, steps, found: broken };
      goOn = options.progress?.(now) ?? true;
    }
    const shapes = this.shapes.map((shape) => shape.found);
    return { runs, shapes, interrupted: !goOn || options.alive?.() === false };
  }

  /** What comes of what all runs have found: failures are made short. */
  report(found: Found): Report {
    const { options } = this;
    for (const [s, shape] of this.shapes.entries()) shape.take(found.shapes[s]);
    const properties = PROPERTIES.filter(({ name }) => options.properties.includes(name));
    const results = properties
      .filter((property) => property.of === 'policy' || this.hostBreaks(property))
      .map((property) => this.result(property, found));
    const kernelFindings = properties.flatMap(({ name }) => this.kernelFinding(name));
    const interrupted = found.interrupted || options.alive?.() === false;
    const { runs } = found;
    const { steps } = this;
    return { results, kernelFindings, runs, steps, actions: this.actions(), interrupted };
  }

  /** Whether a property of kernels is broken by that of the host: a warning is. */
  private hostBreaks({ name }: Property): boolean {
    return name === 'no-warn' && this.shapes.some((s) => s.failures[PROPERTY[name]].length > 0);
  }

  private run(index: number): void {
    const { shapes, windowCount } = this;
    const { seed, steps } = this.options;
    const window = windowCount === 0 ? null : this.windowAt(index % windowCount);
    const campaign =
      window === null
        ? shapes[index % shapes.length]
        : shapes.find(({ shape }) => sameShape(shape, window.shape));
    assert(campaign !== undefined, 'each window has a machine of its shape');
    campaign.run(drawOf(seed, index), steps, window);
  }

  /** A window of any of the recordings, which follow each other. */
  private windowAt(index: number): RecordedWindow {
    let i = index;
    for (const windows of this.windows) {
      if (i < windows.length) return windows.at(i);
      i -= windows.length;
    }
    throw new RangeError(`there is no window ${index}`);
  }

  private actions(): Record<string, number> {
    const count = (i: number): number => this.shapes.reduce((sum, s) => sum + s.counts[i], 0);
    return Object.fromEntries(ACTION_NAMES.map((name, i) => [name, count(i)]));
  }

  private get steps(): number {
    return this.shapes.reduce((sum, shape) => sum + shape.steps, 0);
  }

  /** Properties broken so far. */
  private get broken(): number {
    return PROPERTY_NAMES.filter((_, p) => this.shapes.some((s) => s.failures[p].length > 0))
      .length;
  }

  /** The shortest of some failures as a counterexample, or null if there is none. */
  private shortest(
    property: number,
    own: boolean,
    failures: (shape: ShapeCampaign) => readonly Failure[],
  ): Counterexample | null {
    let best: Failure | null = null;
    let from: ShapeCampaign | null = null;
    for (const shape of this.shapes) {
      for (const failure of failures(shape)) {
        if (best !== null && best.schedule.length <= failure.schedule.length) continue;
        best = failure;
        from = shape;
      }
    }
    if (best === null || from === null) return null;
    return from.counterexample(best.schedule, property, own);
  }

  /** What breaks a property: the shortest schedule of each cause, the shortest of all first. */
  private causes(property: number): Counterexample[] {
    const all = this.shapes.flatMap((shape) =>
      shape.shrunk(property).map(({ schedule }) => shape.counterexample(schedule, property, false)),
    );
    return oneForEachCause(all);
  }

  /** What the kernel breaks: for each entry of its list the shortest, and one that is on none. */
  private kernelFinding(property: PropertyName): KernelFinding[] {
    const p = PROPERTY[property];
    const shrunk = new Map(this.shapes.map((shape) => [shape, shape.shrunkOwn(p)]));
    const all = [...shrunk].flatMap(([shape, failures]) =>
      failures.map(({ schedule }) => shape.known(p, schedule)),
    );
    return [...new Set(all)].flatMap((entry) => {
      const counterexample = this.shortest(p, true, (shape) =>
        (shrunk.get(shape) ?? []).filter(({ schedule }) => shape.known(p, schedule) === entry),
      );
      return counterexample === null
        ? []
        : [{ property, known: entry?.why ?? null, counterexample }];
    });
  }

  private result(property: Property, found: Found): Result {
    const { name } = property;
    const { policy } = this;
    const { model, kernel } = this.options;
    const nothing = notApplicable(policy, name, model, kernel) ?? property.notApplicable(model);
    const reach = reachOf(found);
    const common = { policy: this.policy.name, property: name, runs: found.runs, reach };
    if (nothing !== null) {
      const verdict = 'not applicable';
      const none = { counterexample: null, otherCauses: [] };
      return { ...common, verdict, expected: verdict, reason: nothing, ...none };
    }
    const p = PROPERTY[name];
    const [counterexample = null, ...otherCauses] = this.causes(p);
    const known = knownFailure(policy, name, model, kernel);
    const verdict =
      counterexample !== null ? 'fails' : reach[property.reach] === 0 ? 'vacuous' : 'holds';
    // A recording or a machine of the user's need not bring a known failure out, nor meet every
    // risk, and neither need runs without some actions: only the default shapes are made to.
    const { schedules, shapes, without = [] } = this.options;
    const given = schedules.length > 0 || !areDefault(shapes) || without.length > 0;
    const seldom = known !== null && isSeldom(policy, name);
    const lenient = seldom || (given && (known !== null || verdict === 'vacuous'));
    const expected = lenient ? verdict : known === null ? 'holds' : 'fails';
    return { ...common, verdict, expected, reason: known ?? '', counterexample, otherCauses };
  }
}

/** The shortest of each cause, of equals the first; the shortest of all is the first. */
export function oneForEachCause(all: readonly Counterexample[]): Counterexample[] {
  const byLength = all.toSorted((a, b) => a.actions.length - b.actions.length);
  return [...new Set(byLength.map(({ cause }) => cause))].flatMap(
    (key) => byLength.find(({ cause }) => cause === key) ?? [],
  );
}

function reachOf({ shapes }: Found): Record<string, number> {
  const total = (i: number): number => shapes.reduce((sum, { reach }) => sum + reach[i], 0);
  return Object.fromEntries(REACH_NAMES.map((name, i) => [name, total(i)]));
}

/** A range of the runs of a policy. */
export interface Unit {
  /** Number of the first run. */
  readonly from: number;
  /** Number after that of the last; Infinity for all that there are. */
  readonly to: number;
}

const ALL_RUNS: Unit = { from: 0, to: Infinity };

/** A campaign of one policy. */
type PolicyOptions = Omit<CampaignOptions, 'policies'> & { readonly policy: LbrPolicy };

/**
 * Makes a range of the runs of a policy. What it finds depends on its options alone; of ranges that
 * follow each other, mergeFound() makes what all of them find.
 */
export function runUnit({ policy, ...options }: PolicyOptions, unit: Unit): Found {
  return new PolicyCampaign(policy, { ...options, policies: [policy] }).find(unit);
}

/** The report of what all runs of a policy have found, which may have been made elsewhere. */
export function reportOf({ policy, ...options }: PolicyOptions, found: Found): Report {
  return new PolicyCampaign(policy, { ...options, policies: [policy] }).report(found);
}

/** Runs the suite. Same options, same report, whatever the machine it runs on. */
export function runCampaign(options: CampaignOptions): Report {
  const reports: Report[] = [];
  for (const policy of options.policies) {
    const cut = reports.some(({ interrupted }) => interrupted);
    const campaign = new PolicyCampaign(policy, cut ? { ...options, runs: 0 } : options);
    reports.push(campaign.report(campaign.find(ALL_RUNS)));
  }
  return mergedReports(reports, options.properties);
}

/** What `verify` takes where it is not said: the defaults of `vlbr verify`. */
export const DEFAULTS: Omit<CampaignOptions, 'policies'> = {
  model: modelNamed('skylake'),
  kernel: '6.1',
  shapes: DEFAULT_SHAPES,
  properties: PROPERTY_NAMES,
  runs: 4000,
  steps: ACTIONS_PER_RUN,
  seed: 1,
  schedules: [],
};

function modelNamed(name: string): CpuModel {
  const model = findCpuModel(name);
  assert(model !== undefined, 'the default CPU is one of the table');
  return model;
}

/**
 * Judges policies as `vlbr verify` does, and needs no more than the policies.
 *
 * @example
 * import { findPolicy, verify } from 'vlbr';
 *
 * const never = findPolicy('never');
 * const { results } = verify({ policies: [never], runs: 20 });
 * results.find(({ property }) => property === 'no-leak/vm').verdict; // 'fails'
 */
export function verify(
  options: Partial<CampaignOptions> & Pick<CampaignOptions, 'policies'>,
): Report {
  return runCampaign({ ...DEFAULTS, ...options });
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
    kernelFindings: properties.flatMap((name) => {
      const of = findings.filter(({ property }) => property === name);
      return [...new Set(of.map(({ known }) => known))].flatMap((why) =>
        of.filter(({ known }) => known === why).slice(0, 1),
      );
    }),
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

function distinctShapes(recordings: readonly RecordedWindows[]): Shape[] {
  const shapes: Shape[] = [];
  for (const windows of recordings) {
    for (const shape of windows.shapes()) if (!isIn(shapes, shape)) shapes.push(shape);
  }
  return shapes;
}

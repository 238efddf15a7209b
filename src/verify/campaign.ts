/**
 * The suite: every policy against every property, by generated schedules. One run is judged by
 * all properties at once; the first failure of each is kept, and shrunk when the runs are done.
 */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { always } from '../host/policy/always.js';
import type { LbrPolicy, PropertyName } from '../host/policy/policy.js';
import { PROPERTY_NAMES } from '../host/policy/policy.js';
import type { Action } from '../sim/actions.js';
import { ACTION_NAMES } from '../sim/actions.js';
import type { MachineConfig } from '../sim/config.js';
import type { Draw } from '../sim/generate.js';
import { Generator } from '../sim/generate.js';
import { perform } from '../sim/perform.js';
import { Schedule } from '../sim/schedule.js';
import { encodeToken } from '../sim/token.js';
import type { HostSchedule } from '../trace/host_schedule.js';
import type { Property } from './properties.js';
import { PROPERTIES, propertyIndex, REACH_NAMES } from './properties.js';
import type { RecordedWindow } from './recorded.js';
import { RecordedRun, recordedWindows } from './recorded.js';
import { Bench } from './run.js';
import { shrink } from './shrink.js';

export type Verdict = 'holds' | 'fails' | 'vacuous' | 'not applicable';

export interface Counterexample {
  readonly actions: readonly Action[];
  /** What `vlbr replay` takes. */
  readonly token: string;
  /** What broke, in one line. */
  readonly text: string;
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

/** A failure of the guest's kernel itself, on a pCPU of its own as under every policy. */
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

export interface CampaignOptions {
  /** Everything but the policy. */
  readonly machine: Omit<MachineConfig, 'policy'>;
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
}

/** Properties whose failure may be the guest kernel's own even after a wrong read. */
const CONTENT: readonly PropertyName[] = ['no-leak/task', 'callstack-true'];

/** A generator of its own for each run, so that a run does not depend on those before it. */
function drawOf(seed: number, run: number): Draw {
  const rng = xoroshiro128plus(Math.imul(seed, 0x9e3779b1) ^ Math.imul(run + 1, 0x85ebca6b));
  return { below: (n: number): number => (rng.next() >>> 0) % n };
}

/** What is known of one policy. */
class PolicyCampaign {
  readonly policy: LbrPolicy;
  readonly bench: Bench;
  runs = 0;
  steps = 0;
  readonly counts: Float64Array = new Float64Array(ACTION_NAMES.length);
  /** Failing schedules by property index: those of the policy, and those of the kernel. */
  readonly failures: Map<number, Schedule[]> = new Map();
  readonly own: Map<number, Schedule[]> = new Map();
  private readonly options: CampaignOptions;
  private readonly config: MachineConfig;
  private readonly generator: Generator;
  private readonly schedule: Schedule = new Schedule();
  private baseline: Bench | null = null;

  constructor(policy: LbrPolicy, options: CampaignOptions) {
    this.policy = policy;
    this.options = options;
    this.config = { ...options.machine, policy };
    this.bench = new Bench(this.config);
    this.generator = new Generator(this.bench.machine, drawOf(options.seed, 0));
  }

  /** The same machine under a policy that keeps every stack: what fails there fails anywhere. */
  private dedicated(): Bench {
    this.baseline ??= new Bench({ ...this.config, policy: always });
    return this.baseline;
  }

  failsAt(schedule: Schedule, property: number): number {
    const at = this.bench.breaksAt(schedule, property);
    if (at < 0 || !CONTENT.includes(PROPERTY_NAMES[property])) return at;
    return this.dedicated().guestBreaks(schedule, property) ? -1 : at;
  }

  ownAt(schedule: Schedule, property: number): number {
    this.bench.boot();
    const { monitor } = this.bench;
    for (let i = 0; i < schedule.length; i++) {
      if (!this.bench.step(schedule, i)) continue;
      if (monitor.own[property] !== 0) return i + 1;
    }
    return -1;
  }

  /** One run, generated as it goes. */
  run(index: number, window: RecordedWindow | null): void {
    const { bench, generator, schedule } = this;
    const { machine, monitor } = bench;
    bench.boot();
    schedule.clear();
    const draw = drawOf(this.options.seed, index);
    generator.begin(draw, window === null);
    const recorded = window === null ? null : new RecordedRun(window, draw);
    recorded?.begin(machine, schedule);
    for (let i = 0; i < this.options.steps; i++) {
      if (recorded === null) generator.next();
      else if (!recorded.next(machine, generator)) break;
      const { kind, actor, a, b, c } = generator;
      schedule.push(kind, actor, a, b, c);
      this.counts[kind]++;
      perform(machine, kind, actor, a, b, c);
      this.steps++;
      if (monitor.news) this.note();
    }
    this.runs++;
  }

  private note(): void {
    const { monitor } = this.bench;
    monitor.news = false;
    for (let p = 0; p < PROPERTY_NAMES.length; p++) {
      if (monitor.broken[p] !== 0) this.keep(this.failures, p);
      if (monitor.own[p] !== 0) this.keep(this.own, p);
    }
  }

  /** Keeps a few failing schedules of each property, one of a run. */
  private keep(failures: Map<number, Schedule[]>, property: number): void {
    const kept = failures.get(property) ?? [];
    if (kept.length === 0) failures.set(property, kept);
    const last = kept[kept.length - 1];
    if (last !== undefined && sameRun(last, this.schedule)) return;
    if (kept.length < 4) kept.push(this.schedule.copy());
  }

  /** The shortest of the kept schedules, each shrunk; null if none of them is the policy's. */
  shortest(property: number): Counterexample | null {
    const failsAt = (s: Schedule): number => this.failsAt(s, property);
    const best = shortestOf(this.failures.get(property) ?? [], failsAt);
    if (best === null) return null;
    this.failsAt(best, property);
    this.bench.breaksAt(best, property);
    return this.counterexample(best, property, this.bench.monitor.details[property]);
  }

  shortestOwn(property: number): Counterexample | null {
    const best = shortestOf(this.own.get(property) ?? [], (s) => this.ownAt(s, property));
    if (best === null) return null;
    this.ownAt(best, property);
    return this.counterexample(best, property, this.bench.monitor.ownDetails[property]);
  }

  private counterexample(schedule: Schedule, property: number, text: string): Counterexample {
    const { config } = this;
    const token = encodeToken({
      policy: config.policy.name,
      property: PROPERTY_NAMES[property],
      cpu: config.model.name,
      kernel: config.kernel,
      vms: config.vms,
      vcpus: config.vcpus,
      tasks: config.tasks,
      pcpus: config.pcpus,
      schedule,
    });
    return { actions: schedule.actions(), token, text };
  }

  result(property: Property): Result {
    const { name } = property;
    const { knownFailures, notApplicable } = this.policy;
    const nothing = notApplicable[name] ?? property.notApplicable(this.config);
    const reach = this.reach();
    const common = { policy: this.policy.name, property: name, runs: this.runs, reach };
    if (nothing !== null) {
      const verdict = 'not applicable';
      return { ...common, verdict, expected: verdict, reason: nothing, counterexample: null };
    }
    const counterexample = this.shortest(propertyIndex(name));
    const known = knownFailures[name];
    const verdict =
      counterexample !== null ? 'fails' : reach[property.reach] === 0 ? 'vacuous' : 'holds';
    const expected = known === undefined ? 'holds' : 'fails';
    return { ...common, verdict, expected, reason: known ?? '', counterexample };
  }

  private reach(): Record<string, number> {
    const { reach } = this.bench.monitor;
    return Object.fromEntries(REACH_NAMES.map((name, i) => [name, reach[i]]));
  }
}

/** Whether a schedule is the beginning of another: the two are from one run. */
function sameRun(earlier: Schedule, later: Schedule): boolean {
  if (earlier.length > later.length) return false;
  for (let i = 0; i < earlier.length * 5; i++) {
    if (earlier.words[i] !== later.words[i]) return false;
  }
  return true;
}

function shortestOf(
  schedules: readonly Schedule[],
  failsAt: (schedule: Schedule) => number,
): Schedule | null {
  let best: Schedule | null = null;
  for (const schedule of schedules) {
    if (failsAt(schedule) < 0) continue;
    const short = shrink(schedule, failsAt);
    if (best === null || short.length < best.length) best = short;
  }
  return best;
}

/** Runs the suite. Same options, same report, whatever the machine it runs on. */
export function runCampaign(options: CampaignOptions): Report {
  const windows = options.schedules.flatMap(recordedWindows);
  const campaigns: PolicyCampaign[] = [];
  let interrupted = false;
  for (const policy of options.policies) {
    const campaign = new PolicyCampaign(policy, options);
    campaigns.push(campaign);
    const wanted = windows.length === 0 ? options.runs : Math.max(options.runs, windows.length);
    for (let run = 0; run < wanted && !interrupted; run++) {
      const window = windows.length === 0 ? null : windows[run % windows.length];
      campaign.run(run, window);
      const progress = {
        policy: policy.name,
        runs: run + 1,
        runsWanted: wanted,
        steps: campaign.steps,
        found: campaign.failures.size,
      };
      if (options.progress !== undefined && !options.progress(progress)) interrupted = true;
    }
  }
  const properties = PROPERTIES.filter((p) => options.properties.includes(p.name));
  const results = campaigns.flatMap((campaign) => properties.map((p) => campaign.result(p)));
  return { ...totals(campaigns), results, kernelFindings: findings(campaigns), interrupted };
}

function totals(campaigns: readonly PolicyCampaign[]): Pick<Report, 'runs' | 'steps' | 'actions'> {
  let runs = 0;
  let steps = 0;
  const actions: Record<string, number> = Object.fromEntries(ACTION_NAMES.map((n) => [n, 0]));
  for (const campaign of campaigns) {
    runs += campaign.runs;
    steps += campaign.steps;
    ACTION_NAMES.forEach((name, i) => {
      actions[name] += campaign.counts[i];
    });
  }
  return { runs, steps, actions };
}

/** What the guest's kernel breaks by itself, from the first policy that met it. */
function findings(campaigns: readonly PolicyCampaign[]): KernelFinding[] {
  const found: KernelFinding[] = [];
  for (const property of PROPERTIES) {
    for (const campaign of campaigns) {
      const counterexample = campaign.shortestOwn(propertyIndex(property.name));
      if (counterexample === null) continue;
      found.push({ property: property.name, counterexample });
      break;
    }
  }
  return found;
}

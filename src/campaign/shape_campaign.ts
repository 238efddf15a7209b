/** A machine of one shape under one policy, and the runs on it: what fails there is kept. */
import type { MachineConfig, Shape } from '../machine/config.js';
import { PROPERTY_NAMES, REACH, type ReachName } from '../judge/properties.js';
import type { Draw } from '../schedule/draw.js';
import { Generator } from '../schedule/generate.js';
import { RecordedRun, type RecordedWindow } from '../schedule/recorded.js';
import { ACTION_WORDS, performAt, Schedule } from '../schedule/schedule.js';
import { type FailsAt, shrink } from '../schedule/shrink.js';
import { ACTION_NAMES, type ActionName } from '../schedule/table.js';
import { encodeToken, type Replay, replayOf } from '../schedule/token.js';
import { PartingBench } from './because.js';
import type { Counterexample } from './campaign.js';
import { KEPT_PER_SHAPE, type ShapeFound, type Words } from './found.js';
import { type KernelList, knownIn, type KnownFinding, listFor } from './kernel_lists.js';
import { Bench } from './trial.js';

/** A schedule that fails, and the shape of machine on which it does. */
export interface Failure {
  readonly shape: Shape;
  readonly schedule: Schedule;
}

/** Failures of a guest's kernel, by what they are on its list. */
interface Kept {
  readonly property: number;
  readonly known: KnownFinding | null;
  readonly schedules: Schedule[];
}

/** A machine of one shape under one policy, and the runs on it. */
export class ShapeCampaign {
  readonly bench: Bench;
  readonly shape: Shape;
  steps = 0;
  readonly counts: Float64Array = new Float64Array(ACTION_NAMES.length);
  /** By property, the runs in which the policy has broken it. */
  readonly broken: Float64Array = new Float64Array(PROPERTY_NAMES.length);
  /** Failing schedules by property: those of the policy, and those of the guest's kernel. */
  readonly failures: Schedule[][] = PROPERTY_NAMES.map(() => []);
  /** The second ones by what they are on the kernel's list. */
  readonly own: Kept[] = [];
  /** What the guest's kernel is known to break. */
  readonly list: KernelList;
  private readonly config: MachineConfig;
  private readonly generator: Generator;
  private readonly schedule: Schedule = new Schedule();
  /** Made when it is needed. */
  private partings: PartingBench | null = null;

  /** The schedule of the last run. */
  get lastSchedule(): Schedule {
    return this.schedule;
  }

  /** @param alive, without - as in `CampaignOptions`. */
  constructor(
    config: MachineConfig,
    alive?: () => boolean,
    list?: KernelList,
    without?: readonly ActionName[],
  ) {
    this.config = config;
    this.list = list ?? listFor(config.kernel);
    this.shape = config.shape;
    this.bench = new Bench(config, alive);
    this.generator = new Generator(this.bench.machine, without);
  }

  /** What the runs so far have found. */
  get found(): ShapeFound {
    return {
      steps: this.steps,
      counts: [...this.counts],
      reach: [...this.bench.monitor.verdicts.reach],
      broken: [...this.broken],
      failures: this.failures.map((schedules) => schedules.map(wordsOf)),
      own: this.own.map(({ property, known, schedules }) => ({
        property,
        known: known === null ? -1 : this.list.findings.indexOf(known),
        schedules: schedules.map(wordsOf),
      })),
    };
  }

  /** Puts what runs have found in the place of what was found here. */
  take({ steps, counts, broken, failures, own }: ShapeFound): void {
    this.steps = steps;
    this.counts.set(counts);
    this.broken.set(broken);
    for (const [p, schedules] of failures.entries()) this.failures[p] = schedules.map(scheduleOf);
    const kept = own.map(({ property, known, schedules }) => ({
      property,
      known: known < 0 ? null : this.list.findings[known],
      schedules: schedules.map(scheduleOf),
    }));
    this.own.splice(0, this.own.length, ...kept);
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
      this.performLast();
      this.steps++;
      kept ||= verdicts.news;
    }
    if (kept) this.keep();
  }

  /** A bug of the model is thrown with the token of the schedule that shows it. */
  private performLast(): void {
    try {
      performAt(this.bench.machine, this.schedule, this.schedule.length - 1);
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
      this.broken[p] += broken[p];
      if (broken[p] !== 0) keepOne(this.failures[p], schedule);
      if (own[p] === 0) continue;
      const { schedules } = this.keptAs(p, this.known(p, schedule));
      if (schedules.length >= KEPT_PER_SHAPE) continue;
      if (bench.breaksAlone(schedule, schedule.length, p)) keepOne(schedules, schedule);
    }
  }

  /** What a failure of the kernel is on its list, or null. */
  known(property: number, schedule: Schedule): KnownFinding | null {
    return knownIn(this.list, this.config.model, PROPERTY_NAMES[property], schedule);
  }

  private keptAs(property: number, known: KnownFinding | null): Kept {
    const found = this.own.find((kept) => kept.property === property && kept.known === known);
    if (found !== undefined) return found;
    const kept: Kept = { property, known, schedules: [] };
    this.own.push(kept);
    return kept;
  }

  /** The kept failures of a property, each shrunk. */
  shrunk(property: number): Failure[] {
    return this.shrinkAll(this.failures[property], (s) => this.bench.breaksAt(s, property));
  }

  shrunkOwn(property: number): Failure[] {
    const kept = this.own.flatMap((own) => (own.property === property ? own.schedules : []));
    return this.shrinkAll(kept, (s) => this.bench.guestBreaksAt(s, property));
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

  /** Whether the guest's kernel has broken a property by itself. */
  breaksOwn(property: number): boolean {
    return this.own.some((kept) => kept.property === property && kept.schedules.length > 0);
  }

  /** How often a situation arose, over all runs. */
  reached(name: ReachName): number {
    return this.bench.monitor.verdicts.reach[REACH[name]];
  }

  /** A schedule that fails here, for a report. */
  counterexample(schedule: Schedule, property: number, own: boolean): Counterexample {
    const text = this.detail(schedule, property, own);
    this.partings ??= new PartingBench(this.config);
    const by = own ? 'kernel' : 'policy';
    const cause = this.partings.causeOf(schedule, { property: PROPERTY_NAMES[property], by });
    return { ...this.replay(schedule, property), text, cause, label: 'shrunk' };
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

export function wordsOf(schedule: Schedule): Words {
  return [...schedule.words.subarray(0, schedule.length * ACTION_WORDS)];
}

export function scheduleOf(words: Words): Schedule {
  const schedule = new Schedule();
  for (let i = 0; i < words.length; i += ACTION_WORDS) {
    schedule.push(words[i], words[i + 1], words[i + 2], words[i + 3], words[i + 4]);
  }
  return schedule;
}

function keepOne(kept: Schedule[], schedule: Schedule): void {
  if (kept.length < KEPT_PER_SHAPE) kept.push(schedule.copy());
}

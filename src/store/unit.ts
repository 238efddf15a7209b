/**
 * A unit of a campaign's work. What it comes to depends on the campaign and the unit alone, and not
 * on who does it.
 */
import { ACTIONS_PER_RUN, type Report, reportOf } from '../campaign/campaign.js';
import { runUnit, type Unit as Range } from '../campaign/campaign.js';
import { PartingBench } from '../campaign/because.js';
import type { Found, ShapeFound, Words } from '../campaign/found.js';
import { type KernelList, listFor } from '../campaign/kernel_lists.js';
import { scheduleOf, ShapeCampaign, wordsOf } from '../campaign/shape_campaign.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { PROPERTY, PROPERTY_NAMES, type PropertyName } from '../judge/properties.js';
import type { MachineConfig } from '../machine/config.js';
import type { Schedule } from '../schedule/schedule.js';
import type { FailsAt } from '../schedule/shrink.js';
import { shorten } from '../states/shorten.js';
import type { Asked, Target } from './asked.js';

/** What tells failures apart. */
export interface Failure {
  readonly property: PropertyName;
  /** Whether the guest's kernel breaks it, and no policy. */
  readonly own: boolean;
  /** Index in the kernel's list of what it breaks by itself; -1 for what is not on it. */
  readonly known: number;
  /** Which code has decided it (judge/cause.ts). */
  readonly cause: string;
}

/** A schedule that shows a failure, and the index of the shape of machine that it runs on. */
export interface Example {
  readonly shape: number;
  readonly words: Words;
}

/** A failure as a range of runs has met it. */
export interface Met extends Failure, Example {
  /** How many of the runs that were looked at have it. */
  readonly count: number;
}

/** To make some of the runs of a subject. */
export interface RunsUnit {
  readonly kind: 'runs';
  readonly range: Range;
}

/** To make the schedule of a failure short. */
export interface ShrinkUnit {
  readonly kind: 'shrink';
  readonly failure: Failure;
  readonly example: Example;
}

/** To judge a subject by all that was found. */
export interface SumUnit {
  readonly kind: 'sum';
  readonly found: Found;
}

export type Unit = RunsUnit | ShrinkUnit | SumUnit;

export interface RunsDone {
  /** Without schedules. */
  readonly found: Found;
  readonly met: readonly Met[];
}

export type UnitDone = RunsDone | Example | Report;

/** The subject of a unit, and who wants to hear how it goes. */
export interface UnitOptions {
  readonly asked: Asked;
  readonly target: Target;
  readonly model: CpuModel;
  readonly policy: LbrPolicy;
  readonly driver: DriverKind;
  readonly alive: () => boolean;
  /** @param runs - those that are made. */
  readonly ran: (runs: number, steps: number) => boolean;
}

/** Does a unit. Returns null if it was told to end before its end. */
export function doUnit(options: UnitOptions, unit: Unit): UnitDone | null {
  switch (unit.kind) {
    case 'runs':
      return new Subject(options).runs(unit.range);
    case 'shrink':
      return new Subject(options).shrunk(unit);
    case 'sum':
      return new Subject(options).sum(unit.found);
  }
}

class Subject {
  private readonly options: UnitOptions;
  private readonly list: KernelList;
  /** By shape. */
  private readonly partings: Map<number, PartingBench> = new Map();

  constructor(options: UnitOptions) {
    this.options = options;
    this.list = listFor(options.target.version);
  }

  private get campaign(): Parameters<typeof runUnit>[0] {
    const { asked, target, model, policy, driver, alive, ran } = this.options;
    const { shapes, properties, runs, seed, without } = asked;
    const { kernel } = target;
    return {
      model,
      kernel,
      policy,
      driver,
      list: this.list,
      alive,
      shapes,
      properties,
      runs,
      seed,
      without,
      steps: ACTIONS_PER_RUN,
      schedules: [],
      progress: (now) => ran(now.runs, now.steps),
    };
  }

  runs(range: Range): RunsDone | null {
    const found = runUnit(this.campaign, range);
    if (found.interrupted) return null;
    const met = found.shapes.flatMap((shape, s) => this.metOn(shape, s));
    if (!this.options.alive()) return null;
    return { found: withoutSchedules(found), met: merged(met) };
  }

  /** Looks at each schedule that a range of runs has kept. */
  private metOn({ failures, own }: ShapeFound, shape: number): Met[] {
    const { properties } = this.options.asked;
    const policys = failures.flatMap((schedules, p) =>
      schedules.map((words) => ({ property: PROPERTY_NAMES[p], own: false, known: -1, words })),
    );
    const kernels = own.flatMap(({ property, known, schedules }) =>
      schedules.map((words) => ({ property: PROPERTY_NAMES[property], own: true, known, words })),
    );
    return [...policys, ...kernels]
      .filter(({ property }) => properties.includes(property))
      .map((one) => ({ ...one, shape, count: 1, cause: this.causeOf(one, { ...one, shape }) }));
  }

  private causeOf({ property, own }: Omit<Failure, 'cause'>, { shape, words }: Example): string {
    const bench = this.partings.get(shape) ?? new PartingBench(this.configOn(shape));
    this.partings.set(shape, bench);
    return bench.causeOf(scheduleOf(words), { property, by: own ? 'kernel' : 'policy' });
  }

  private configOn(shape: number): MachineConfig {
    const { asked, target, model, policy, driver } = this.options;
    return { shape: asked.shapes[shape], model, kernel: target.kernel, policy, driver };
  }

  /** What is made short is to fail for the same cause. */
  shrunk({ failure, example }: ShrinkUnit): Example | null {
    const { alive, asked } = this.options;
    const { shape, words } = example;
    const campaign = new ShapeCampaign(this.configOn(shape), alive, this.list, asked.without);
    const failsAt = failsAtOf(campaign, failure);
    const cause = (schedule: Schedule): string =>
      this.causeOf(failure, { shape, words: wordsOf(schedule) });
    const first = campaign.shrink(scheduleOf(words), failsAt);
    const short =
      cause(first) === failure.cause
        ? first
        : campaign.shrink(scheduleOf(words), (schedule) => {
            const at = failsAt(schedule);
            return at >= 0 && cause(schedule) === failure.cause ? at : -1;
          });
    return alive() ? { shape, words: wordsOf(short) } : null;
  }

  sum(found: Found): Report | null {
    const { asked, alive } = this.options;
    const report = reportOf(this.campaign, found);
    if (report.interrupted && !found.interrupted) return null;
    if (!asked.shorten || found.interrupted) return report;
    const results = shorten(report.results, { ...this.campaign, poll: alive });
    return alive() ? { ...report, results } : null;
  }
}

/** Where a schedule fails; what the kernel breaks is to stay the same entry of its list. */
function failsAtOf(campaign: ShapeCampaign, { property, own, known }: Failure): FailsAt {
  const { bench, list } = campaign;
  const p = PROPERTY[property];
  if (!own) return (schedule) => bench.breaksAt(schedule, p);
  const entry = list.findings[known] ?? null;
  return (schedule) =>
    campaign.known(p, schedule) === entry ? bench.guestBreaksAt(schedule, p) : -1;
}

function withoutSchedules(found: Found): Found {
  const shapes = found.shapes.map((shape) => ({
    ...shape,
    failures: shape.failures.map(() => []),
    own: [],
  }));
  return { ...found, shapes };
}

/** Whether two failures are the same. */
export function isSame(a: Failure, b: Failure): boolean {
  return a.property === b.property && a.own === b.own && a.known === b.known && a.cause === b.cause;
}

/** Each failure once, with the first schedule that shows it. */
function merged(all: readonly Met[]): Met[] {
  const met: Met[] = [];
  for (const one of all) {
    const i = met.findIndex((other) => isSame(other, one));
    if (i < 0) met.push(one);
    else met[i] = { ...met[i], count: met[i].count + one.count };
  }
  return met;
}

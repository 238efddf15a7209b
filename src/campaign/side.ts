/**
 * One side of a comparison: a machine with one of the drivers, and the schedules that fail on it
 * and not on the other.
 */
import { PolicyError } from '../host/policy/guarded.js';
import { PROPERTY_NAMES } from '../judge/properties.js';
import type { Draw } from '../schedule/draw.js';
import { interruptionsIn, type Schedule } from '../schedule/schedule.js';
import { accessesMost } from '../machine/guest_call.js';
import type { Replay } from '../schedule/token.js';
import type { ShapeCampaign } from './shape_campaign.js';
import type { FailsAt } from '../schedule/shrink.js';
import type { Verdicts } from '../judge/verdicts.js';

/** Who breaks a property: the policy, or the guest's kernel as it would on any machine. */
export type Breaking = 'policy' | 'kernel';

/**
 * A driver that went wrong in a way that ends the machine: a trap, or a claim of the model. The
 * schedule ends there.
 */
export interface Crash extends Replay {
  readonly side: 'before' | 'after';
  readonly error: string;
}

/** Schedules kept for each property and shape. */
const KEPT = 3;
/** Failing runs that are tried on the other side, for each property and shape. */
const TRIED = 300;

/** What the exception of a driver says. @throws the exception of a policy, which is no driver's. */
function crashText(error: unknown): string {
  if (error instanceof PolicyError) throw error;
  return String(error);
}

/** Verdicts by who breaks the property. */
function brokenBy(verdicts: Verdicts, by: Breaking): Uint8Array {
  return by === 'policy' ? verdicts.broken : verdicts.own;
}

/**
 * The same schedule with every switch and every NMI moved to the end of the kernel function in
 * which it came: then it does not matter in which order that function accesses MSRs.
 */
function withoutInterruptions(schedule: Schedule): Schedule {
  const plain = schedule.copy();
  for (const at of interruptionsIn(plain)) plain.words[at] = 0;
  return plain;
}

/** An interruption may come anywhere in a kernel function, whatever the depth. */
const SWEEP: number = accessesMost(32);

/**
 * The schedule with one of its interruptions at another time, or with none, so that it fails; or
 * null. When a function has come to make more accesses, or others, then whatever interrupts it
 * comes elsewhere, and a failure that was there all along is met on another schedule.
 */
export function failingAtAnotherTime(schedule: Schedule, fails: FailsAt): Schedule | null {
  const words = interruptionsIn(schedule);
  const plain = withoutInterruptions(schedule);
  if (words.length > 0 && fails(plain) >= 0) return plain;
  for (const at of words) {
    const moved = schedule.copy();
    for (let after = 0; after <= SWEEP; after++) {
      moved.words[at] = after;
      if (fails(moved) >= 0) return moved;
    }
  }
  return null;
}

type ByProperty<T> = Readonly<Record<Breaking, T[]>>;

function byProperty<T>(make: () => T): ByProperty<T> {
  return { policy: PROPERTY_NAMES.map(make), kernel: PROPERTY_NAMES.map(make) };
}

/** One shape of machine on one side, and what fails there but not on the other. */
export class Side {
  readonly campaign: ShapeCampaign;
  /** The schedule on which the driver crashed, and how. */
  crash: { readonly schedule: Schedule; readonly error: string } | null = null;
  /** Schedules that fail on this side only, even without interruptions. */
  private readonly plain: ByProperty<Schedule[]> = byProperty(() => []);
  /** Weaker evidence: on the other side, the interruption may merely come at another time. */
  private readonly interrupted: ByProperty<Schedule[]> = byProperty(() => []);
  private readonly tried: ByProperty<number> = byProperty(() => 0);

  constructor(campaign: ShapeCampaign) {
    this.campaign = campaign;
  }

  fails(by: Breaking, property: number): boolean {
    const { campaign } = this;
    return by === 'policy' ? campaign.failures[property].length > 0 : campaign.breaksOwn(property);
  }

  /** Schedules that failed on this side only, the more telling ones first. */
  candidates(by: Breaking, property: number): readonly Schedule[] {
    return [...this.plain[by][property], ...this.interrupted[by][property]];
  }

  /** Where a schedule fails here. One on which the driver crashes fails in no other way. */
  failsAt(by: Breaking, property: number): FailsAt {
    const { bench } = this.campaign;
    return (schedule) => {
      try {
        return by === 'policy'
          ? bench.breaksAt(schedule, property)
          : bench.guestBreaksAt(schedule, property);
      } catch (error) {
        this.crash ??= { schedule, error: crashText(error) };
        return -1;
      }
    };
  }

  /**
   * Where a schedule breaks a property here, whoever breaks it. What was blamed on the policy may
   * be blamed on the kernel when one of them changes: the property is broken all the same.
   *
   * A kernel is not judged by itself any more once its host has misled it. What it is said to break
   * on the other side it has to keep here without a host, or else it was only not looked at.
   */
  breaksAt(by: Breaking, property: number): FailsAt {
    const [byPolicy, byKernel] = [
      this.failsAt('policy', property),
      this.failsAt('kernel', property),
    ];
    return (schedule) => {
      const first = byPolicy(schedule);
      const at = first >= 0 ? first : byKernel(schedule);
      return at < 0 && by === 'kernel' && this.breaksAlone(schedule, property)
        ? schedule.length
        : at;
    };
  }

  private breaksAlone(schedule: Schedule, property: number): boolean {
    try {
      return this.campaign.bench.breaksAlone(schedule, schedule.length, property);
    } catch (error) {
      this.crash ??= { schedule, error: crashText(error) };
      return false;
    }
  }

  /** A run, generated on this side; if it fails, the other side has to show what it does. */
  run(draw: Draw, steps: number, guestsOnly: boolean, other: Side): void {
    const { bench } = this.campaign;
    if (this.crash !== null || other.crash !== null) return;
    try {
      if (guestsOnly) this.campaign.runGuestsOnly(draw, steps);
      else this.campaign.run(draw, steps, null);
    } catch (error) {
      this.crash = { schedule: this.campaign.lastSchedule.copy(), error: crashText(error) };
      return;
    }
    const { verdicts } = bench.monitor;
    const open = (['policy', 'kernel'] as const).flatMap((by) =>
      PROPERTY_NAMES.flatMap((_, p) => {
        const wanted = this.plain[by][p].length < KEPT && this.tried[by][p] < TRIED;
        return wanted && brokenBy(verdicts, by)[p] !== 0 ? [{ by, p }] : [];
      }),
    );
    if (open.length === 0) return;
    const schedule = this.campaign.lastSchedule.copy();
    other.replay(schedule);
    const alone = open.filter(({ by, p }) => {
      this.tried[by][p]++;
      const { broken, own } = other.campaign.bench.monitor.verdicts;
      return broken[p] === 0 && own[p] === 0;
    });
    for (const { by, p } of alone) this.keep(schedule, by, p, other);
  }

  private keep(schedule: Schedule, by: Breaking, p: number, other: Side): void {
    const plain = withoutInterruptions(schedule);
    const breaks = other.breaksAt(by, p);
    const strong = this.failsAt(by, p)(plain) >= 0 && breaks(plain) < 0;
    if (strong) this.plain[by][p].push(plain);
    else if (this.interrupted[by][p].length < KEPT && breaks(schedule) < 0) {
      this.interrupted[by][p].push(schedule);
    }
  }

  private replay(schedule: Schedule): void {
    const { bench } = this.campaign;
    try {
      bench.boot();
      for (let i = 0; i < schedule.length; i++) bench.step(schedule, i);
    } catch (error) {
      this.crash = { schedule, error: crashText(error) };
    }
  }

  /** A short schedule on which the driver crashes. */
  shortCrash(side: Crash['side']): Crash | null {
    if (this.crash === null) return null;
    const { campaign } = this;
    const schedule = campaign.shrink(this.crash.schedule, (s) => campaign.crashesAt(s));
    return { ...campaign.replay(schedule, 0), side, error: this.crash.error };
  }
}

/** A short schedule that fails on the bad side only, whenever its interruptions come; or null. */
export function onlyOnOne(
  found: Schedule,
  bad: Side,
  good: Side,
  by: Breaking,
  property: number,
): Schedule | null {
  const badAt = bad.failsAt(by, property);
  const goodAt = good.breaksAt(by, property);
  const differs: FailsAt = (schedule) => {
    const at = badAt(schedule);
    return at >= 0 && goodAt(schedule) < 0 ? at : -1;
  };
  if (differs(found) < 0) return null;
  const short = bad.campaign.shrink(found, differs);
  return failingAtAnotherTime(short, goodAt) === null ? short : null;
}

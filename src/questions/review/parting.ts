/** Where the MSR accesses of two drivers first part, and what their switches cost. */
import { driverOf } from '../../guest/perf/kernel.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { type Draw, drawOf } from '../../schedule/draw.js';
import { type Access, AccessLog, partsAt, type SwitchCosts } from './access_log.js';
import type { Shape } from '../../machine/config.js';
import { ShapeCampaign } from '../../campaign/shape_campaign.js';
import type { CompareOptions } from '../../campaign/compare.js';
import type { Crash } from '../../campaign/side.js';
import type { Schedule } from '../../schedule/schedule.js';
import type { Replay } from '../../schedule/token.js';

/** A short schedule on which accesses part. */
export interface Parting extends Replay {
  /** Index of the first access that differs, in both lists. */
  readonly at: number;
  readonly before: readonly Access[];
  readonly after: readonly Access[];
}

export interface AccessComparison {
  readonly policy: string;
  readonly cpu: string;
  readonly schedules: number;
  /** Number of compared accesses, counted on one side. */
  readonly accesses: number;
  /** Number of schedules in which accesses part. */
  readonly parted: number;
  readonly parting: Parting | null;
  readonly costs: { readonly before: SwitchCosts; readonly after: SwitchCosts };
}

/** Number of schedules to run. Few are enough: a difference nearly always shows at once. */
const SCHEDULES = 100;

class Logs {
  readonly campaign: ShapeCampaign;
  readonly before: AccessLog;
  readonly after: AccessLog;

  constructor(options: CompareOptions, shape: Shape) {
    const { model, kernel, policy, before, alive } = options;
    const on = (driver: DriverKind) => ({ shape, model, kernel, policy, driver });
    this.campaign = new ShapeCampaign(on(before), alive);
    this.before = new AccessLog(on(before));
    this.after = new AccessLog(on(driverOf(options)));
  }

  /** Draws a schedule on the machine of `before`. */
  generate(draw: Draw, steps: number): Schedule {
    const { campaign } = this;
    try {
      campaign.run(draw, steps, null);
    } catch {
      // The schedule crashes again when run() repeats it, and run() reports the crash.
    }
    return campaign.lastSchedule;
  }

  private run(side: Crash['side'], schedule: Schedule): readonly Access[] {
    const { campaign } = this;
    campaign.bench.alive();
    try {
      return this[side].run(schedule);
    } catch (error) {
      throw new SideCrash({ ...campaign.replay(schedule, 0), side, error: String(error) });
    }
  }

  /** Number of actions up to the first access that differs, or -1. */
  partsAfter(schedule: Schedule): number {
    const a = this.run('before', schedule);
    const b = this.run('after', schedule);
    const at = partsAt(a, b);
    return at < 0 ? -1 : Math.min(a[at]?.action ?? Infinity, b[at]?.action ?? Infinity) + 1;
  }

  /** Compares a short schedule whose accesses part. */
  parting(found: Schedule): Parting {
    const schedule = this.campaign.shrink(found, (s) => this.partsAfter(s));
    const before = this.run('before', schedule);
    const after = this.run('after', schedule);
    const at = partsAt(before, after);
    return { ...this.campaign.replay(schedule, 0), at, before, after };
  }
}

/** A crash on one side, with the schedule. */
class SideCrash extends Error {
  readonly crash: Crash;

  constructor(crash: Crash) {
    super(crash.error);
    this.crash = crash;
  }
}

/** Runs the same schedules on both drivers. The same options give the same result. */
export function compareAccesses(
  options: CompareOptions,
):
  | { readonly crash: Crash; readonly accesses: null }
  | { readonly crash: null; readonly accesses: AccessComparison } {
  try {
    return { crash: null, accesses: accessesOf(options) };
  } catch (error) {
    if (error instanceof SideCrash) return { crash: error.crash, accesses: null };
    throw error;
  }
}

function accessesOf(options: CompareOptions): AccessComparison {
  const { policy, shapes, seed, steps } = options;
  const logs = shapes.map((shape) => new Logs(options, shape));
  let accesses = 0;
  let parted = 0;
  let first: { readonly schedule: Schedule; readonly log: Logs } | null = null;
  for (let run = 0; run < SCHEDULES; run++) {
    const log = logs[run % logs.length];
    const schedule = log.generate(drawOf(seed, run), steps);
    const differs = log.partsAfter(schedule) >= 0;
    accesses += log.before.accesses.length;
    if (!differs) continue;
    parted++;
    first ??= { schedule: schedule.copy(), log };
  }
  const costs = {
    before: AccessLog.costs(logs.map(({ before }) => before)),
    after: AccessLog.costs(logs.map(({ after }) => after)),
  };
  // Shrinking comes after the costs, since it runs schedules whose switches must not count.
  const parting = first === null ? null : first.log.parting(first.schedule);
  const where = { policy: policy.name, cpu: options.model.name };
  return { ...where, schedules: SCHEDULES, accesses, parted, parting, costs };
}

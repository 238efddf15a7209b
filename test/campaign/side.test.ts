/**
 * What counts as a difference between two sides. Here a function says which schedules fail, so
 * every answer is known.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import { type Breaking, onlyOnOne, Side } from '../../src/campaign/side.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { accessesMost } from '../../src/machine/guest_call.js';
import type { Action } from '../../src/schedule/table.js';
import { drawOf } from '../../src/schedule/draw.js';
import { interruptionsIn, Schedule } from '../../src/schedule/schedule.js';
import { shrink } from '../../src/schedule/shrink.js';
import { seeded } from '../rig/seed.js';

const P = 3;
const BY: readonly Breaking[] = ['policy', 'kernel'];

/** The `after` of each switch in a schedule. */
function timesOf(schedule: Schedule): number[] {
  return schedule.actions().map(({ args }) => args[1]);
}

/** A schedule of switches to one vCPU, one switch for each `after` in `times`. */
function scheduleOf(times: readonly number[], vcpu = 0): Schedule {
  return Schedule.of(
    times.map((after): Action => ({ kind: 'run', actor: 0, args: [vcpu, after] })),
  );
}

type Fails = (schedule: Schedule) => boolean;

/**
 * A side on which `by` breaks property P in the schedules for which `fails` is true, and the kernel
 * breaks it without a host in those for which `alone` is.
 */
class Rig {
  readonly side: Side;
  private now = new Schedule();

  constructor(by: Breaking, fails: Fails, alone: Fails = () => false) {
    const at = (who: Breaking) => (schedule: Schedule, property: number) =>
      who === by && property === P && fails(schedule) ? schedule.length : -1;
    const broken = (who: Breaking): Uint8Array =>
      Uint8Array.from(PROPERTY_NAMES, (_, p) => (at(who)(this.now, p) < 0 ? 0 : 1));
    const monitor = Object.defineProperty({}, 'verdicts', {
      get: () => ({ broken: broken('policy'), own: broken('kernel') }),
    });
    const step = (schedule: Schedule): void => void (this.now = schedule);
    const breaksAlone = (schedule: Schedule, actions: number, property: number): boolean =>
      property === P && actions === schedule.length && alone(schedule);
    const runs = { breaksAt: at('policy'), guestBreaksAt: at('kernel'), breaksAlone };
    const bench = { ...runs, monitor, boot: () => {}, step };
    const campaign = Object.defineProperty({ bench, shrink, run: () => {} }, 'lastSchedule', {
      get: () => this.now,
    });
    this.side = new Side(campaign as unknown as ShapeCampaign);
  }

  /** Finds a schedule in a run, and tries it on the other side. */
  run(schedule: Schedule, other: Rig): void {
    this.now = schedule;
    this.side.run(drawOf(1, 1), 1, false, other.side);
  }
}

describe('onlyOnOne', () => {
  const times = fc.array(fc.integer({ min: 2, max: 9 }), { minLength: 2, maxLength: 4 });

  /** Shrinks the times of a schedule that fails on one side only with all of its interruptions. */
  function left(by: Breaking, found: readonly number[], good: (now: readonly number[]) => boolean) {
    const all: Fails = (schedule) => {
      const now = timesOf(schedule);
      return now.length === found.length && now.every((after) => after > 0);
    };
    const [one, other] = [new Rig(by, all), new Rig(by, (schedule) => good(timesOf(schedule)))];
    const short = onlyOnOne(scheduleOf(found), one.side, other.side, by, P);
    return short === null ? null : timesOf(short);
  }

  it('onlyOnOne moves each interruption by itself, over all accesses of a function', () => {
    const most = accessesMost(32);
    const moved = fc.oneof(fc.nat(12), fc.constantFrom(most - 1, most, most + 1, most + 9));
    fc.assert(
      fc.property(times, fc.nat(), moved, fc.constantFrom(...BY), (found, n, at, by) => {
        fc.pre(at !== 1);
        const which = n % found.length;
        const only = left(by, found, (now) => now.every((t, i) => t === (i === which ? at : 1)));
        expect(only).toEqual(at <= most ? null : found.map(() => 1));
      }),
      seeded(60),
    );
  });

  it('onlyOnOne always tries the schedule without any of its interruptions', () => {
    fc.assert(
      fc.property(times, fc.constantFrom(...BY), (found, by) => {
        expect(left(by, found, (now) => now.every((t) => t === 0))).toBeNull();
      }),
      seeded(30),
    );
  });

  it('onlyOnOne shrinks a failure of one side, unless the other side always fails', () => {
    fc.assert(
      fc.property(times, fc.constantFrom(...BY), (found, by) => {
        expect(left(by, found, () => false)).toEqual(found.map(() => 1));
        expect(left(by, found, () => true)).toBeNull();
      }),
      seeded(10),
    );
  });
});

describe('candidates', () => {
  /** Whether a schedule fails on the other side, and on each side without its interruptions. */
  const fate = fc.record({
    other: fc.constantFrom(false, false, false, true),
    plain: fc.boolean(),
    otherPlain: fc.boolean(),
  });
  /** The number of a schedule, and whether it has its interruptions. */
  const nameOf = (schedule: Schedule): [number, boolean] => {
    return [schedule.action(0).args[0], interruptionsIn(schedule).length > 0];
  };

  it('the first candidates fail on their side only, even without interruptions', () => {
    const fates = fc.array(fate, { maxLength: 14 });
    fc.assert(
      fc.property(fates, fc.constantFrom(...BY), (list, by) => {
        const one = new Rig(by, (schedule) => {
          const [i, interrupted] = nameOf(schedule);
          return interrupted || list[i].plain;
        });
        const other = new Rig(by, (schedule) => {
          const [i, interrupted] = nameOf(schedule);
          return interrupted ? list[i].other : list[i].otherPlain;
        });
        list.forEach((_, i) => one.run(scheduleOf([3, 1], i), other));
        const alone = list.flatMap((is, i) => (is.other ? [] : [{ ...is, i }]));
        const telling = alone.filter(({ plain, otherPlain }) => plain && !otherPlain).slice(0, 3);
        // The search stops at the third.
        const end = telling.length === 3 ? telling[2].i : list.length;
        const rest = alone.filter(({ plain, otherPlain, i }) => i < end && !(plain && !otherPlain));
        expect(one.side.candidates(by, P).map(nameOf)).toEqual([
          ...telling.map(({ i }) => [i, false]),
          ...rest.slice(0, 3).map(({ i }) => [i, true]),
        ]);
        for (const who of BY) {
          if (who !== by) expect(one.side.candidates(who, P)).toEqual([]);
        }
        expect(one.side.candidates(by, P + 1)).toEqual([]);
      }),
      seeded(200),
    );
  });

  it('what a kernel breaks without a host does not hold, though no host shows it', () => {
    const never: Fails = () => false;
    for (const by of BY) {
      const one = new Rig(by, () => true);
      const other = new Rig(by, never, () => true);
      one.run(scheduleOf([3, 1], 0), other);
      const found = by === 'policy' ? [[0, false]] : [];
      expect(one.side.candidates(by, P).map(nameOf)).toEqual(found);
      const short = onlyOnOne(scheduleOf([3, 1]), one.side, other.side, by, P);
      expect(short === null).toBe(by === 'kernel');
      // Here it breaks it without interruptions only.
      const half = new Rig(by, never, (schedule) => interruptionsIn(schedule).length === 0);
      const two = new Rig(by, () => true);
      two.run(scheduleOf([3, 1], 0), half);
      const kept = by === 'policy' ? [[0, false]] : [[0, true]];
      expect(two.side.candidates(by, P).map(nameOf)).toEqual(kept);
    }
  });

  it('candidates come from at most 300 failing runs', () => {
    for (const [runs, found] of [
      [299, 1],
      [300, 0],
    ]) {
      const one = new Rig('policy', () => true);
      const other = new Rig('policy', (schedule) => nameOf(schedule)[0] < runs);
      for (let i = 0; i <= runs; i++) one.run(scheduleOf([0], i), other);
      expect(one.side.candidates('policy', P).length).toBe(found);
    }
  });
});

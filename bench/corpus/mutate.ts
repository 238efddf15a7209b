/** Makes a plan for a run out of schedules that were kept. */
import type { Draw } from '../../src/schedule/draw.js';
import { Schedule } from '../../src/schedule/schedule.js';

/** A schedule to follow as far as it is possible. */
export interface Plan {
  readonly schedule: Schedule;
  /** Index of the action whose parameters are drawn anew when it comes; -1 for none. */
  readonly redrawn: number;
}

/** Actions of a stretch that is dropped or repeated, at the most. */
const STRETCH = 8;

/** Actions [from, to) of a schedule. */
type Part = readonly [of: Schedule, from: number, to: number];

function joined(...parts: readonly Part[]): Plan {
  const schedule = new Schedule();
  for (const [of, from, to] of parts) schedule.append(of, from, to);
  return { schedule, redrawn: -1 };
}

/**
 * A kept schedule with one change: it goes on as another one from some action on, a stretch is
 * dropped or repeated, or an action gets other parameters.
 *
 * @param kept - at least one schedule, none of them empty.
 */
export function mutated(kept: readonly Schedule[], draw: Draw): Plan {
  const one = kept[draw.below(kept.length)];
  const at = draw.below(one.length);
  const end = Math.min(one.length, at + 1 + draw.below(STRETCH));
  switch (draw.below(4)) {
    case 0: {
      const other = kept[draw.below(kept.length)];
      return joined([one, 0, at], [other, draw.below(other.length), other.length]);
    }
    case 1:
      return joined([one, 0, at], [one, end, one.length]);
    case 2:
      return joined([one, 0, end], [one, at, one.length]);
    default:
      return { schedule: one, redrawn: at };
  }
}

/**
 * Finds a short schedule that still fails: cuts actions away, one, two or many at a time, and
 * brings parameters towards their smallest value, until nothing more can go.
 */
import type { Param } from './param.js';
import { KINDS } from './table.js';
import { ACTION_WORDS, Schedule } from './schedule.js';

/** Where a schedule fails, counted in actions, or -1. */
export type FailsAt = (schedule: Schedule) => number;

/** Longest schedule in which removing each pair of actions is tried. */
const PAIRS_UP_TO = 24;

function without(schedule: Schedule, from: number, to: number): Schedule {
  const rest = new Schedule();
  rest.append(schedule, 0, from);
  rest.append(schedule, to, schedule.length);
  return rest;
}

/** The schedule up to its failure, if it fails, else null. */
function failing(schedule: Schedule, failsAt: FailsAt): Schedule | null {
  const at = failsAt(schedule);
  if (at < 0) return null;
  const cut = new Schedule();
  cut.append(schedule, 0, at);
  return cut;
}

function cutChunks(start: Schedule, failsAt: FailsAt): Schedule {
  let best = start;
  for (let size = best.length >> 1; size >= 1; size >>= 1) {
    for (let from = best.length - size; from >= 0; from -= size) {
      if (from + size > best.length) continue;
      best = failing(without(best, from, from + size), failsAt) ?? best;
    }
  }
  return best;
}

function cutPairs(start: Schedule, failsAt: FailsAt): Schedule {
  let best = start;
  if (best.length > PAIRS_UP_TO) return best;
  for (let i = best.length - 1; i >= 1; i--) {
    for (let j = i - 1; j >= 0 && i < best.length; j--) {
      const rest = without(without(best, i, i + 1), j, j + 1);
      best = failing(rest, failsAt) ?? best;
    }
  }
  return best;
}

/** How far a value is from what a reader would like to see; shrinking only ever lowers it. */
function cost({ min, liking }: Param, value: number): number {
  return liking === undefined ? (value >>> 0) - min : liking.cost(value);
}

/** Values to try in place of a parameter's, the most wanted first. */
function candidates(param: Param, value: number): number[] {
  const { min, liking } = param;
  const tries = [...(liking?.first ?? [min])];
  const halves = liking?.halves ?? true;
  if (halves) for (let d = (value - min) >> 1; d > 0; d >>= 1) tries.push(value - d);
  const now = cost(param, value);
  return tries.filter((v) => cost(param, v) < now);
}

function withWord(schedule: Schedule, at: number, value: number): Schedule {
  const changed = schedule.copy();
  changed.words[at] = value;
  return changed;
}

/** Lowers one parameter as far as it goes. */
function reduceParam(start: Schedule, at: number, param: Param, failsAt: FailsAt): Schedule {
  for (const value of candidates(param, start.words[at])) {
    const smaller = failing(withWord(start, at, value), failsAt);
    if (smaller !== null) return reduceParam(smaller, at, param, failsAt);
  }
  return start;
}

function reduceParams(start: Schedule, failsAt: FailsAt): Schedule {
  let best = start;
  for (let i = 0; i < best.length; i++) {
    const { params } = KINDS[best.words[i * ACTION_WORDS]];
    for (let p = 0; p < params.length && i < best.length; p++) {
      best = reduceParam(best, i * ACTION_WORDS + 2 + p, params[p], failsAt);
    }
  }
  return best;
}

function equal(a: Schedule, b: Schedule): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length * ACTION_WORDS; i++) if (a.words[i] !== b.words[i]) return false;
  return true;
}

/**
 * Returns a schedule that fails and can't be cut any more.
 *
 * @param start - a schedule that fails.
 * @param goOn - once it returns false, the shortest schedule until then is returned.
 */
export function shrink(
  start: Schedule,
  failsAt: FailsAt,
  goOn: () => boolean = () => true,
): Schedule {
  const stillFailsAt: FailsAt = (schedule) => (goOn() ? failsAt(schedule) : -1);
  let best = failing(start, stillFailsAt) ?? start;
  for (;;) {
    const before = best;
    best = cutChunks(best, stillFailsAt);
    best = reduceParams(best, stillFailsAt);
    best = cutPairs(best, stillFailsAt);
    if (equal(before, best)) return best;
  }
}

/**
 * What runs have found, as plain data: it may cross to another thread or be kept in a file. Runs
 * depend on the seed and their number alone, so whoever makes them finds the same, and what parts
 * of a campaign have found is put together as if one had made all of them.
 */

/** A schedule as its words. */
export type Words = readonly number[];

/** Failures of a guest's kernel that are the same entry of its list. */
export interface OwnFound {
  readonly property: number;
  /** Index in the list's findings; -1 for what is on no list. */
  readonly known: number;
  readonly schedules: readonly Words[];
}

/** What runs on machines of one shape have found. */
export interface ShapeFound {
  readonly steps: number;
  /** How often each action was performed, and each situation met. */
  readonly counts: readonly number[];
  readonly reach: readonly number[];
  /** By property, the runs in which a policy has broken it. */
  readonly broken: readonly number[];
  /** By property, the first schedules that break it, in the order of runs. */
  readonly failures: readonly (readonly Words[])[];
  /** In the order in which their first failure was met. */
  readonly own: readonly OwnFound[];
}

/** What a range of the runs of one policy has found. */
export interface Found {
  readonly runs: number;
  /** By shape, in the order of the campaign. */
  readonly shapes: readonly ShapeFound[];
  readonly interrupted: boolean;
}

/** Failing schedules that are kept for each property and shape: shrinking one may go wrong. */
export const KEPT_PER_SHAPE = 3;

function sums(rows: readonly (readonly number[])[]): number[] {
  return rows[0].map((_, i) => rows.reduce((total, row) => total + row[i], 0));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}

function mergeOwn(all: readonly OwnFound[]): OwnFound[] {
  const merged = new Map<string, OwnFound>();
  for (const own of all) {
    const key = `${own.property} ${own.known}`;
    const earlier = merged.get(key)?.schedules ?? [];
    merged.set(key, { ...own, schedules: [...earlier, ...own.schedules].slice(0, KEPT_PER_SHAPE) });
  }
  return [...merged.values()];
}

function mergeShapes(parts: readonly ShapeFound[]): ShapeFound {
  return {
    steps: sum(parts.map(({ steps }) => steps)),
    counts: sums(parts.map(({ counts }) => counts)),
    reach: sums(parts.map(({ reach }) => reach)),
    broken: sums(parts.map(({ broken }) => broken)),
    failures: parts[0].failures.map((_, p) =>
      parts.flatMap(({ failures }) => failures[p]).slice(0, KEPT_PER_SHAPE),
    ),
    own: mergeOwn(parts.flatMap(({ own }) => own)),
  };
}

/**
 * What ranges of runs that follow each other have found together.
 *
 * @param parts - at least one, in the order of their runs, all of one policy and the same shapes.
 */
export function mergeFound(parts: readonly Found[]): Found {
  return {
    runs: sum(parts.map(({ runs }) => runs)),
    shapes: parts[0].shapes.map((_, s) => mergeShapes(parts.map(({ shapes }) => shapes[s]))),
    interrupted: parts.some(({ interrupted }) => interrupted),
  };
}

/** Whether the lines that a series changes have run, on the side that has them. */
import { diffLines } from 'diff';
import type { FileCounts } from '../../guest/image/arcs.js';
import type { LineCount } from '../../tree/gcov/gcov.js';
import { type LinesRun, linesRun } from '../../tree/image/lines.js';

/** Numbers of lines, from 1, by path in a tree. */
export type LineNumbers = ReadonlyMap<string, readonly number[]>;

/** A tree whose image counts which of its lines run. */
export interface CountedTree {
  readonly tree: string;
  readonly cache: string;
  /** Whether its image has KVM. */
  readonly kvm: boolean;
  /** Files that count. */
  readonly counted: readonly string[];
  /** Lines that only this side has. */
  readonly changed: LineNumbers;
}

/** A changed line with code that did not run. */
export interface NotReached {
  readonly side: 'before' | 'after';
  readonly path: string;
  readonly line: number;
  readonly function: string;
}

export interface Reached {
  /** Changed lines with code, of both sides. */
  readonly lines: number;
  readonly notReached: readonly NotReached[];
}

/** The lines of two texts of a file that only one of them has. */
export function changedLines(
  before: string,
  after: string,
): { readonly before: readonly number[]; readonly after: readonly number[] } {
  const changed = { before: [] as number[], after: [] as number[] };
  const at = { before: 1, after: 1 };
  for (const { count, added, removed } of diffLines(before, after)) {
    for (const side of ['before', 'after'] as const) {
      const skipped = side === 'before' ? added : removed;
      if (skipped) continue;
      if (added || removed) {
        for (let i = 0; i < count; i++) changed[side].push(at[side] + i);
      }
      at[side] += count;
    }
  }
  return changed;
}

/**
 * What of the changed lines has run.
 *
 * @throws KernelError if llvm-cov fails.
 */
export async function reachedOf(
  trees: { readonly before: CountedTree; readonly after: CountedTree },
  ran: { readonly before: readonly FileCounts[]; readonly after: readonly FileCounts[] },
): Promise<Reached> {
  const sides = await Promise.all(
    (['before', 'after'] as const).map(async (side) => {
      const { tree, cache, kvm, counted, changed } = trees[side];
      const lines = await linesRun(tree, cache, { kvm, counted }, ran[side]);
      return withCode(changed, lines).map((line) => ({ side, ...line }));
    }),
  );
  const all = sides.flat();
  const missing = all.filter(({ count }) => count === 0);
  const notReached = missing.map(({ side, path, line, function: name }) => {
    return { side, path, line, function: name };
  });
  return { lines: all.length, notReached };
}

/** Those of the changed lines for which there is code. */
function withCode(
  changed: LineNumbers,
  lines: LinesRun,
): (LineCount & { readonly path: string })[] {
  return [...changed].flatMap(([path, numbers]) => {
    const wanted = new Set(numbers);
    const found = (lines.get(path) ?? []).filter(({ line }) => wanted.has(line));
    return found.map((line) => ({ ...line, path }));
  });
}

/** Whether there is changed code, and none of it has run. */
export function noneReached(reached: Reached | null): boolean {
  return reached !== null && reached.lines > 0 && reached.notReached.length === reached.lines;
}

/** What is not modelled, by functions that need it (docs/WHOLE_PATH.md, "What is left out"). */
const NOT_MODELLED: readonly (readonly [functions: RegExp, says: string])[] = [
  [/arch_lbr|xsave|xrstor/, 'architectural LBR is not modelled'],
  [/pebs|drain|_ds_|latency_data/, 'PEBS is not modelled'],
  [/bts/, 'BTS is not modelled'],
  [/topdown|hybrid|^adl_|^mtl_|^arl_|^lnl_/, 'hybrid CPUs and topdown metrics are not modelled'],
  [/aux/, 'PT and AUX areas are not modelled'],
  [/mmap|ring_buffer|^rb_|wakeup|userpage/, 'the ring buffer is not modelled'],
  [/swevent|sw_event|tp_event|kprobe|uprobe/, 'software events are not modelled'],
  [/css_free|^perf_event_cgroup/, 'cgroups are made at boot, and none is removed'],
  [/_show$|_store$|is_visible|sysfs/, 'there is no sysfs'],
  [/ioctl|perf_read|perf_poll/, 'nobody reads events or changes them by ioctl'],
];

/** Why lines may not have run: what their functions need; empty where that is not known. */
export function whyNot(notReached: readonly NotReached[]): readonly string[] {
  const reasons = notReached.map(
    (line) => NOT_MODELLED.find(([functions]) => functions.test(line.function))?.[1],
  );
  return reasons.includes(undefined) ? [] : [...new Set(reasons as readonly string[])];
}

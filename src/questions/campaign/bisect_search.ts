/** The first commit of a history on which something fails, by halving. */
import { assert } from '../../hw/assert.js';
import type { Between } from '../../tree/git.js';
import type { Ending } from './bisect_ending.js';

/** What is known at the end. */
export interface Searched {
  /** The first commit that fails is in this part of the history. */
  readonly part: Between;
  readonly interrupted: boolean;
}

/** Beside a commit of which nothing can be said are others: each turn goes far from all before. */
const GOLDEN = 0.618;

/**
 * Searches for the first commit that fails. What lies before a commit that holds, holds; a commit
 * of which nothing can be said is passed over.
 *
 * @param between - the commits of a part of the history, those that halve it best first.
 * @param judge - says how a commit ends, given how many are left; null to end the search.
 */
export async function searched(
  range: Between,
  between: (part: Between) => Promise<readonly string[]>,
  judge: (hash: string, left: number) => Promise<Ending | null>,
): Promise<Searched> {
  let part = range;
  const skipped = new Set<string>();
  /** Commits that were passed over since one was judged. */
  let turns = 0;
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    const all = await between(part);
    assert(all.length > 0, 'what fails on one commit and not on another has a reason between');
    const open = all.filter((hash) => hash !== part.head && !skipped.has(hash));
    if (open.length === 0) return { part, interrupted: false };
    const next = open[Math.floor(open.length * ((turns * GOLDEN) % 1))];
    // oxlint-disable-next-line no-await-in-loop
    const ending = await judge(next, all.length);
    if (ending === null) return { part, interrupted: true };
    turns = ending.kind === 'skipped' ? turns + 1 : 0;
    if (ending.kind === 'skipped') skipped.add(next);
    else if (ending.kind === 'holds') part = { ...part, without: [...part.without, next] };
    else part = { ...part, head: next };
  }
}

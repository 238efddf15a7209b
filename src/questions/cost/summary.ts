/** Sums of what was counted, and what follows from them. All of it is arithmetic on counts. */
import {
  type Count,
  COUNTS,
  countOf,
  type Counts,
  cyclesOfCounts,
  PRICED,
  priceNameOf,
} from './ledger.js';
import type { CostTable, PriceName } from './cost_table.js';
import type { PlayedResult, PolicyResult } from './worker.js';

/** What a policy costs on one recording with one profile, over all vCPUs. */
export interface Total {
  readonly policy: string;
  readonly counts: Counts;
  /** Nanoseconds that vCPUs have run. */
  readonly ran: number;
  readonly complete: boolean;
}

function sumOf(all: readonly Counts[]): Counts {
  const sum = new Float64Array(COUNTS.length);
  for (const counts of all) for (let i = 0; i < sum.length; i++) sum[i] += counts[i];
  return sum;
}

export function totalOf(policy: string, { counts, ran, complete }: PlayedResult): Total {
  return { policy, counts: sumOf(counts), ran: ran.reduce((a, b) => a + b, 0), complete };
}

/** What was played of a recording with a profile, in the order of the policies. */
export function playedOf(
  policies: readonly PolicyResult[],
  host: number,
  profile: number,
): { readonly policy: string; readonly played: PlayedResult }[] {
  return policies.flatMap(({ policy, results }) =>
    results
      .filter((result) => result.host === host && result.profile === profile)
      .map((played) => ({ policy, played })),
  );
}

/** The totals of a recording and a profile, in the order of the policies. */
export function totalsOf(
  policies: readonly PolicyResult[],
  host: number,
  profile: number,
): Total[] {
  return playedOf(policies, host, profile).map(({ policy, played }) => totalOf(policy, played));
}

/** Part of the time of the vCPUs that the cycles are, 0 if none ran. */
export function shareOf({ counts, ran }: Pick<Total, 'counts' | 'ran'>, costs: CostTable): number {
  return ran === 0 ? 0 : cyclesOfCounts(counts, costs) / (ran * costs.ghz.value);
}

/** Groups of policies that the recording can't tell apart: everything counted is the same. */
export function alike(totals: readonly Total[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const { policy, counts } of totals) {
    const key = counts.join(' ');
    groups.set(key, [...(groups.get(key) ?? []), policy]);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

/** A range of one cost. */
export interface Sweep {
  readonly name: PriceName;
  readonly low: number;
  readonly high: number;
}

/** Two policies that cost the same at one value of a cost. */
export interface Crossing {
  /** Cheaper below that value, and above it. */
  readonly below: string;
  readonly above: string;
  readonly at: number;
}

/** Cycles are `fixed + each * price`. */
function lineOf(
  counts: Counts,
  costs: CostTable,
  name: PriceName,
): { fixed: number; each: number } {
  const each = PRICED.filter((count) => priceNameOf(count) === name)
    .map((count: Count) => countOf(counts, count))
    .reduce((a, b) => a + b, 0);
  return { fixed: cyclesOfCounts(counts, costs) - each * costs[name].value, each };
}

/** Where, inside a range, the order of two policies changes; by ascending value. */
export function crossings(totals: readonly Total[], costs: CostTable, sweep: Sweep): Crossing[] {
  const lines = totals.map(({ policy, counts }) => ({
    policy,
    ...lineOf(counts, costs, sweep.name),
  }));
  const found = lines.flatMap((a, i) =>
    lines.slice(i + 1).flatMap((b) => {
      if (a.each === b.each) return [];
      const at = (a.fixed - b.fixed) / (b.each - a.each);
      if (!(at > sweep.low && at < sweep.high)) return [];
      const [below, above] = a.each > b.each ? [a.policy, b.policy] : [b.policy, a.policy];
      return [{ below, above, at }];
    }),
  );
  return found.sort((a, b) => a.at - b.at || a.below.localeCompare(b.below));
}

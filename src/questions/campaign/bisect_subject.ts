/** What is bisected: a schedule that breaks a property on the bad commit, not on the good one. */
import type { Change } from '../../campaign/compare.js';
import { caseOf, type ReplayCase } from '../../campaign/replay_file.js';
import type { Breaking } from '../../campaign/side.js';
import { UsageError } from '../../console/errors.js';
import { explainedAsync, type KernelCode, runsSchedulesOf } from '../../console/kernel_source.js';
import { plural } from '../../console/text.js';
import type { PropertyName } from '../../judge/properties.js';
import type { Range, SmallCampaign } from './bisect_asked.js';
import type { Failing } from './bisect_ending.js';
import type { Kernels } from './bisect_kernels.js';
import { nameOf } from './bisect_text.js';

export interface Subject {
  readonly replay: ReplayCase;
  /** Who breaks the property on the bad commit. */
  readonly by: Breaking;
  /** How the schedule ends there. */
  readonly ending: Failing;
  /** What has found the schedule; null if the user has. */
  readonly campaign: SmallCampaign | null;
  /** Further properties that it has found to be lost. */
  readonly others: readonly PropertyName[];
}

/** The kernels of the two commits. */
export interface Ends {
  readonly good: KernelCode;
  readonly bad: KernelCode;
}

/** Builds both; null if that was interrupted. @throws UsageError when one can't be built. */
export async function endsOf({ good, bad }: Range, kernels: Kernels): Promise<Ends | null> {
  return explainedAsync(undefined, async () => {
    const first = await kernels.at(good.hash);
    const second = first === null ? null : await kernels.at(bad.hash);
    return first === null || second === null ? null : { good: first, bad: second };
  });
}

/**
 * Sees that a schedule fails on the bad commit, and not on the good one.
 *
 * Returns null if that was interrupted.
 *
 * @throws UsageError where it does not.
 */
export async function subjectOf(
  range: Range,
  { good, bad }: Ends,
  replay: ReplayCase,
  kernels: Kernels,
): Promise<Subject | null> {
  const { kernel, policy, model } = replay.config;
  if (!runsSchedulesOf(good, kernel) || !runsSchedulesOf(bad, kernel)) {
    throw new UsageError(
      `this is a schedule for the port of Linux ${kernel}, which other versions do not run; give ` +
        'commits of that version, or a schedule for 6.1',
    );
  }
  const what = `${replay.property} under ${policy.name} on ${model.name}`;
  const worse = await kernels.ending(bad, replay, 'policy');
  if (worse === null) return null;
  if (worse.kind === 'skipped') throw unjudged(range.bad, worse.why);
  if (worse.kind === 'holds') {
    throw new UsageError(
      `${nameOf(range.bad)}: the schedule does not break ${what} there, so it is not a bad commit`,
    );
  }
  const by = worse.breaker === 'kernel' ? 'kernel' : 'policy';
  const better = await kernels.ending(good, replay, by);
  if (better === null) return null;
  if (better.kind === 'skipped') throw unjudged(range.good, better.why);
  if (better.kind === 'fails') {
    throw new UsageError(
      `${nameOf(range.good)}: the schedule breaks ${what} there, so it is not a good commit`,
    );
  }
  return { replay, by, ending: worse, campaign: null, others: [] };
}

/**
 * Searches for such a schedule.
 *
 * Returns null if that was interrupted.
 *
 * @throws UsageError if there is none.
 */
export async function subjectBy(
  range: Range,
  ends: Ends,
  campaign: SmallCampaign,
  kernels: Kernels,
): Promise<Subject | null> {
  const comparisons = await kernels.losses(ends.good, ends.bad, campaign);
  if (comparisons === null) return null;
  const crash = comparisons.flatMap(({ crashes }) => crashes)[0];
  if (crash !== undefined) {
    const commit = crash.side === 'before' ? range.good : range.bad;
    throw unjudged(commit, `it crashes: ${crash.error}`);
  }
  const lost = comparisons.flatMap(({ changes }) => changes.filter(({ kind }) => kind === 'lost'));
  if (lost.length === 0) {
    const { runs, seed, policies, cpu } = campaign;
    throw new UsageError(
      `${nameOf(range.bad)}: it loses nothing in ${plural(runs, 'run')} of seed ${seed} on ` +
        `${cpu} under ${policies.join(', ')}; give more --runs, another --policy or --cpu, or a ` +
        'schedule',
    );
  }
  const loss = lost.reduce((best, change) => (isBetter(change, best) ? change : best));
  const subject = await subjectOf(range, ends, caseOf(loss.counterexample), kernels);
  if (subject === null) return null;
  const others = new Set(lost.map(({ property }) => property));
  others.delete(loss.property);
  return { ...subject, campaign, others: [...others] };
}

/** What 6.1 does not share, then what did not fail on other schedules before, then the shorter. */
function isBetter(a: Change, b: Change): boolean {
  if (a.onLinux61 !== b.onLinux61) return b.onLinux61;
  if (a.elsewhere !== b.elsewhere) return b.elsewhere;
  return a.counterexample.actions.length < b.counterexample.actions.length;
}

function unjudged(commit: Range['good'], why: string): UsageError {
  return new UsageError(`${nameOf(commit)} can't be judged: ${why}`);
}

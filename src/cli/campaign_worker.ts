/** A worker thread that judges policies by campaigns. */
import { shorten } from '../explore/shorten.js';
import type { KernelVersion } from '../guest/perf/kernel.js';
import type { PropertyName } from '../host/policy/policy.js';
import type { HostSchedule } from '../trace/host_schedule.js';
import type { Progress, Report, Shape } from '../verify/campaign.js';
import { ACTIONS_PER_RUN, runCampaign } from '../verify/campaign.js';
import type { PolicyReview } from '../verify/review.js';
import { reviewPolicy } from '../verify/review.js';
import type { Job, Judge } from './worker.js';
import { driverOfBytes, judgeBy } from './worker.js';

/** A campaign as its workers are given it. */
export interface CampaignJob extends Job {
  readonly kernel: KernelVersion;
  /** A compiled lbr.c, or null. With one, a worker says what `binary` changes about it. */
  readonly before: Uint8Array | null;
  readonly shapes: readonly Shape[];
  readonly properties: readonly PropertyName[];
  /** Runs for each policy. */
  readonly runs: number;
  readonly seed: number;
  readonly schedules: readonly HostSchedule[];
  /** Whether to explore for schedules that are shorter than those found. */
  readonly shorten: boolean;
}

/** A review, if there is something to compare with, else a report. */
type CampaignResult = Report | PolicyReview;

export const judge: Judge<CampaignJob, Progress, CampaignResult> = judgeBy((job, named, tell) => {
  let last: Progress | null = null;
  const alive = (): boolean => last === null || tell(last);
  const options = {
    ...job,
    ...named,
    steps: ACTIONS_PER_RUN,
    alive,
    progress: (run: Progress): boolean => {
      const where = job.cpus.length === 1 ? run.policy : `${run.policy} on ${named.model.name}`;
      last = { ...run, policy: where };
      return tell(last, run.runs === run.runsWanted);
    },
  };
  if (job.before !== null) return reviewPolicy({ ...options, before: driverOfBytes(job.before) });
  const report = runCampaign({ ...options, policies: [named.policy] });
  if (!job.shorten || report.interrupted) return report;
  return { ...report, results: shorten(report.results, { ...options, poll: alive }) };
});

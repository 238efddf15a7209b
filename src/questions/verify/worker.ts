/** A worker thread of `vlbr verify`: a campaign, and a search for shorter schedules. */
import { type Progress, type Report, runCampaign } from '../../campaign/campaign.js';
import { listFor } from '../../campaign/kernel_lists.js';
import { type CampaignJob, workerCampaign } from '../../console/campaigns.js';
import { type Judge, judgeBy } from '../../console/worker.js';
import { shorten } from '../../states/shorten.js';

export interface VerifyJob extends CampaignJob {
  /** Version of the guest's kernel, whose list of known findings counts. */
  readonly version: string;
  /** Whether to explore for schedules that are shorter than those found. */
  readonly shorten: boolean;
}

export const judge: Judge<VerifyJob, Progress, Report> = judgeBy((job, named, tell) => {
  const options = workerCampaign(job, named, tell);
  const list = listFor(job.version);
  const report = runCampaign({ ...options, list, policies: [named.policy] });
  if (!job.shorten || report.interrupted) return report;
  return { ...report, results: shorten(report.results, { ...options, poll: options.alive }) };
});

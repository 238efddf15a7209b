/** A worker thread of `vlbr verify`: part of a campaign, or what comes of all parts. */
import {
  type Progress,
  type Report,
  reportOf,
  runUnit,
  type Unit,
} from '../../campaign/campaign.js';
import type { Found } from '../../campaign/found.js';
import { listFor } from '../../campaign/kernel_lists.js';
import { type CampaignJob, workerCampaign } from '../../console/campaigns.js';
import { type Judge, judgeBy } from '../../console/worker.js';
import type { ActionName } from '../../schedule/table.js';
import { shorten } from '../../states/shorten.js';

export interface VerifyJob extends CampaignJob {
  /** Version of the guest's kernel, whose list of known findings counts. */
  readonly version: string;
  /** Whether to explore for schedules that are shorter than those found. */
  readonly shorten: boolean;
  /** Actions that are never drawn. */
  readonly without: readonly ActionName[];
}

/** Runs a unit, or shrinks what all units have found and looks for shorter schedules. */
export const judge: Judge<VerifyJob, Progress, Found | Report> = judgeBy(
  (job, named, tell, part) => {
    const options = { ...workerCampaign(job, named, tell), list: listFor(job.version) };
    const asked = part as Unit | Found;
    if ('from' in asked) return runUnit(options, asked);
    const report = reportOf(options, asked);
    if (!job.shorten || report.interrupted) return report;
    return { ...report, results: shorten(report.results, { ...options, poll: options.alive }) };
  },
);

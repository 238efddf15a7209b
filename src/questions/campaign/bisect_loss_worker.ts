/** A worker thread of `vlbr campaign bisect`: what one kernel loses against another. */
import type { Progress } from '../../campaign/campaign.js';
import { compareDrivers, type Comparison } from '../../campaign/compare.js';
import { type CampaignJob, workerCampaign } from '../../console/campaigns.js';
import { driverOfBytes, type Judge, judgeBy } from '../../console/worker.js';

export interface LossJob extends CampaignJob {
  /** The image with which `binary` is compared. */
  readonly before: Uint8Array;
}

export const judge: Judge<LossJob, Progress, Comparison> = judgeBy((job, named, tell) =>
  compareDrivers({ ...workerCampaign(job, named, tell), before: driverOfBytes(job.before) }),
);

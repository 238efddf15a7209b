/** A worker thread of `vlbr review`: two files of lbr.c under one policy. */
import type { Progress } from '../../campaign/campaign.js';
import { type CampaignJob, workerCampaign } from '../../console/campaigns.js';
import { driverOfBytes, type Judge, judgeBy } from '../../console/worker.js';
import { type PolicyReview, reviewPolicy } from './comparison.js';

export interface ReviewJob extends CampaignJob {
  /** The compiled lbr.c that `binary` is compared with. */
  readonly before: Uint8Array;
}

export const judge: Judge<ReviewJob, Progress, PolicyReview> = judgeBy((job, named, tell) =>
  reviewPolicy({ ...workerCampaign(job, named, tell), before: driverOfBytes(job.before) }),
);

/** A campaign as its workers are given it. */
import type { KernelVersion } from '../../guest/perf/kernel.js';
import type { PropertyName } from '../../judge/properties.js';
import type { HostSchedule } from '../../schedule/host_schedule.js';
import type { Report, Shape } from '../../campaign/campaign.js';
import type { PolicyReview } from '../review/comparison.js';
import type { Job } from '../../console/worker_job.js';

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

/** What a worker finds: a review, if there is something to compare with. */
export type CampaignResult = Report | PolicyReview;

/** Actions in a run. */
export const ACTIONS_PER_RUN = 60;

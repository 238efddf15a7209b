/** What the main thread and the workers of a campaign tell each other: plain data. */
import type { KernelVersion } from '../guest/perf/kernel.js';
import type { PropertyName } from '../host/policy/policy.js';
import type { HostSchedule } from '../trace/host_schedule.js';
import type { Progress, Report, Shape } from '../verify/campaign.js';
import type { PolicyReview } from '../verify/review.js';

/** A campaign by name, so that it can cross to a worker. */
export interface CampaignJob {
  /** Every policy is judged on each. */
  readonly cpus: readonly string[];
  readonly kernel: KernelVersion;
  /** A compiled lbr.c to run in place of the port, or null. */
  readonly binary: Uint8Array | null;
  /** A compiled lbr.c, or null. With one, a worker says what `binary` changes about it. */
  readonly before: Uint8Array | null;
  readonly shapes: readonly Shape[];
  readonly policies: readonly string[];
  readonly properties: readonly PropertyName[];
  /** Runs for each policy. */
  readonly runs: number;
  readonly seed: number;
  readonly schedules: readonly HostSchedule[];
}

/** What a worker is started with. */
export interface WorkerStart {
  readonly job: CampaignJob;
  /** One 32-bit word; not 0 once the campaign is to end with what is known. */
  readonly stop: SharedArrayBuffer;
}

/** To a worker: judge this policy on this CPU. */
export interface WorkerRequest {
  readonly policy: string;
  readonly cpu: string;
}

/** What a worker finds: a review, if there is something to compare with. */
export type WorkerResult = Report | PolicyReview;

/** From a worker. */
export type WorkerReply =
  | { readonly kind: 'progress'; readonly progress: Progress }
  | { readonly kind: 'result'; readonly result: WorkerResult }
  | {
      readonly kind: 'bug';
      readonly stack: string;
      /** The schedule up to the exception, if the exception has it. */
      readonly token: string | null;
      /** The last whole run before it. */
      readonly progress: Progress | null;
    };

/** Actions in a run. */
export const ACTIONS_PER_RUN = 60;

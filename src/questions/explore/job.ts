/** An exploration as its workers are given it. */
import type { ExploreOptions } from '../../states/explore.js';
import type { Job } from '../../console/worker_job.js';

/** What of the options crosses as it is. */
type Crossing = Pick<
  ExploreOptions,
  | 'kernel'
  | 'shape'
  | 'bounds'
  | 'properties'
  | 'maxLength'
  | 'memoryBytes'
  | 'fingerprints'
  | 'symmetry'
>;

/** The CPU's name says the depth, as `haswell/4` does. */
export interface ExploreJob extends Job, Crossing {}

/** How far the search of one policy is. */
export interface ExploreProgress {
  readonly policy: string;
  readonly states: number;
  readonly frontier: number;
  readonly bytes: number;
  /** States that there will be, as far as that can be told; else -1. */
  readonly estimate: number;
  /** `cycles` is what comes after the search: whether something goes on for ever. */
  readonly phase: 'searching' | 'cycles' | 'done';
}

/** An exploration as its workers are given it. */
import type { Bounds } from '../explore/alphabet.js';
import type { KernelVersion } from '../guest/perf/kernel.js';
import type { PropertyName } from '../host/policy/policy.js';
import type { Shape } from '../verify/campaign.js';
import type { Job } from './worker_job.js';

/** The CPU's name says the depth, as `haswell/4` does. */
export interface ExploreJob extends Job {
  readonly kernel: KernelVersion;
  readonly shape: Shape;
  readonly bounds: Bounds;
  readonly properties: readonly PropertyName[];
  /** Infinity for schedules of any length. */
  readonly maxLength: number;
  /** For each policy. */
  readonly memoryBytes: number;
  readonly fingerprints: boolean;
  readonly symmetry: boolean;
}

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

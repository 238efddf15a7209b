/** A worker thread that goes through the schedules of kernels that run as C code. */
import { listFor } from '../../campaign/kernel_lists.js';
import { type Job, type Judge, judgeBy } from '../../console/worker.js';
import {
  enumerate,
  type EnumerateOptions,
  type EnumerateProgress,
} from '../../states/enumerate.js';
import type { TimedEnumeration } from './image_text.js';

/** What of the options crosses as it is. */
type Crossing = Pick<EnumerateOptions, 'kernel' | 'shape' | 'bounds' | 'properties' | 'maxLength'>;

export interface ImageJob extends Job, Crossing {
  /** Version of the kernel, whose list of known findings counts. */
  readonly version: string;
}

/** How far the schedules of one policy are. */
export interface ImageProgress extends EnumerateProgress {
  readonly policy: string;
}

export const judge: Judge<ImageJob, ImageProgress, TimedEnumeration> = judgeBy(
  (job, named, tell) => {
    const { name } = named.policy;
    const began = performance.now();
    const poll = (now: EnumerateProgress): boolean => tell({ policy: name, ...now });
    const explored = enumerate({ ...job, ...named, list: listFor(job.version), poll });
    return { explored, seconds: (performance.now() - began) / 1000 };
  },
);

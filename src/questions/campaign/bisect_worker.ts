/** A worker thread of `vlbr campaign bisect`: one schedule on the kernel of a commit. */
import { replayToken, withDriver } from '../../campaign/replay_file.js';
import type { Breaking } from '../../campaign/side.js';
import { type Job, type Judge, judgeBy } from '../../console/worker.js';
import { type Ending, endingOf } from './bisect_ending.js';

export interface EndingJob extends Job {
  /** The schedule, with what it is to break. */
  readonly token: string;
  /** As `endingOf` takes it. */
  readonly by: Breaking;
}

export const judge: Judge<EndingJob, { readonly policy: string }, Ending> = judgeBy(
  ({ token, by }, { policy, driver }, tell) => {
    const alive = (): boolean => tell({ policy: policy.name });
    return endingOf(withDriver(replayToken(token), driver, policy), by, alive);
  },
);

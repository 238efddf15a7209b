/** A worker thread that explores policies. */
import { explore, type ExploreOptions } from '../../states/explore.js';
import type { Outcome, Progress } from '../../search/search.js';
import type { TimedExploration } from './text.js';
import { type Job, type Judge, judgeBy } from '../../console/worker.js';

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

/** An exploration as its workers are given it. The CPU's name says the depth: `haswell/4`. */
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

export const judge: Judge<ExploreJob, ExploreProgress, TimedExploration> = judgeBy(
  (job, named, tell) => {
    const { name } = named.policy;
    const began = performance.now();
    let found: ExploreProgress | null = null;
    let seconds = 0;
    const explored = explore({
      ...job,
      ...named,
      untilBroken: true,
      poll: ({ states, frontier, bytes, estimate }: Progress): boolean => {
        const searching = 'searching' as const;
        const now = { policy: name, states, frontier, bytes, estimate, phase: searching };
        return tell(found ?? now);
      },
      searched: ({ states, frontier, bytes }: Outcome): void => {
        seconds = (performance.now() - began) / 1000;
        found = { policy: name, states, frontier, bytes, estimate: states, phase: 'cycles' };
        tell(found, true);
      },
    });
    const { states, frontier, bytes } = explored.outcome;
    tell({ policy: name, states, frontier, bytes, estimate: states, phase: 'done' }, true);
    return { explored, seconds };
  },
);

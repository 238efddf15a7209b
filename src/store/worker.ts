/** A worker thread of a campaign that is kept: it does units. */
import type { Progress } from '../campaign/campaign.js';
import { type Job, type Judge, judgeBy } from '../console/worker.js';
import type { Asked, Target } from './asked.js';
import { doUnit, type Unit, type UnitDone } from './unit.js';

/** What the units of one kernel's code have in common. */
export interface UnitJob extends Job {
  readonly asked: Asked;
  readonly target: Target;
}

/** Does a unit; null if it was told to end before its end. */
export const judge: Judge<UnitJob, Progress, UnitDone | null> = judgeBy(
  ({ asked, target }, named, tell, part) => {
    let last: Progress = {
      policy: named.policy.name,
      runs: 0,
      runsWanted: asked.runs,
      steps: 0,
      found: 0,
    };
    return doUnit(
      {
        ...named,
        asked,
        target,
        alive: () => tell(last),
        ran: (runs, steps) => {
          last = { ...last, runs, steps };
          return tell(last);
        },
      },
      part as Unit,
    );
  },
);

/** Campaigns in worker threads: what the questions that draw schedules have in common. */
import type { PropertyName } from '../judge/properties.js';
import type { HostSchedule } from '../recording/recording.js';
import type { Shape } from '../machine/config.js';
import { ACTIONS_PER_RUN, type Progress } from '../campaign/campaign.js';
import { inWorkers, type PoolResults } from './pool.js';
import { campaignLine } from './progress.js';
import type { Crash, Job, Named, Request, Tell } from './worker.js';

/** The longest that one run may take: with recorded schedules, runs are long. */
const SILENCE_MS = 5 * 60_000;

/** A campaign as its workers are given it. */
export interface CampaignJob extends Job {
  readonly shapes: readonly Shape[];
  readonly properties: readonly PropertyName[];
  /** Runs for each policy. */
  readonly runs: number;
  readonly seed: number;
  readonly schedules: readonly HostSchedule[];
}

/** The options of a campaign that a worker runs for one policy on one CPU. */
export type WorkerCampaign<J> = J &
  Named & {
    readonly steps: number;
    /** Says that the work goes on, and returns whether it is to. */
    readonly alive: () => boolean;
    readonly progress: (run: Progress) => boolean;
  };

export function workerCampaign<J extends CampaignJob>(
  job: J,
  named: Named,
  tell: Tell<Progress>,
): WorkerCampaign<J> {
  let last: Progress | null = null;
  return {
    ...job,
    ...named,
    steps: ACTIONS_PER_RUN,
    alive: () => last === null || tell(last),
    progress: (run) => {
      const where = job.cpus.length === 1 ? run.policy : `${run.policy} on ${named.model.name}`;
      last = { ...run, policy: where };
      return tell(last, run.runs === run.runsWanted);
    },
  };
}

/**
 * Gives each policy of a job to a worker; results come in the order of the policies.
 *
 * @param silence_ms - a worker that says nothing for so long is in an endless loop.
 * @param says - as in `Work`.
 * @throws WorkerBug when a worker met an exception.
 */
export async function campaignsInWorkers<J extends CampaignJob, R>(
  worker: URL,
  job: J,
  silence_ms: number = SILENCE_MS,
  says: (result: R) => string | null = () => null,
): Promise<PoolResults<R>> {
  const advice = ({ policy }: Request, crash: Crash<Progress>): string[] =>
    adviceOf(policy, crash, job.seed);
  const line = campaignLine(job.cpus.length * job.policies.length, job.runs);
  return inWorkers<J, Progress, R>({ worker, job, silence_ms, advice, says }, line);
}

/** How to see a bug again. */
function adviceOf(policy: string, { token, progress }: Crash<Progress>, seed: number): string[] {
  const run = (progress?.runs ?? 0) + 1;
  const where = `policy ${policy}, run ${run} of seed ${seed}: the same command with`;
  const again = `--policy ${policy} --runs ${run} shows it again`;
  return token === null ? [`${where} ${again}`] : [`${where} ${again}`, `vlbr replay ${token}`];
}

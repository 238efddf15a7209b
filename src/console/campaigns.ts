/** Campaigns in worker threads: what the questions that draw schedules have in common. */
import type { PropertyName } from '../judge/properties.js';
import type { HostSchedule } from '../recording/recording.js';
import type { Shape } from '../machine/config.js';
import { ACTIONS_PER_RUN, type Progress, type Unit } from '../campaign/campaign.js';
import { type Found, mergeFound } from '../campaign/found.js';
import { inWorkers, planned, type PoolResults, requestsOf, threadsFor } from './pool.js';
import { campaignLine } from './progress.js';
import type { Crash, Job, Named, Request, Tell } from './worker.js';

/** The longest that one run may take: with recorded schedules, runs are long. */
export const SILENCE_MS: number = 5 * 60_000;

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
  const { name } = named.policy;
  const policy = job.cpus.length === 1 ? name : `${name} on ${named.model.name}`;
  let last: Progress = { policy, runs: 0, runsWanted: job.runs, steps: 0, found: 0 };
  return {
    ...job,
    ...named,
    steps: ACTIONS_PER_RUN,
    alive: () => tell(last),
    progress: (run) => {
      last = { ...run, policy };
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
  jobs?: number,
): Promise<PoolResults<R>> {
  const line = campaignLine(job.cpus.length * job.policies.length, job.runs);
  const most = jobs === undefined ? {} : { jobs };
  return inWorkers<J, Progress, R>(
    { worker, job, silence_ms, advice: adviceOf, says, ...most },
    line,
  );
}

/** A unit has its machines made anew, so it should not be smaller. */
const UNIT_RUNS = 200;

/** Units for each thread: the last one to end keeps the others waiting for a part of its time. */
const UNITS_PER_THREAD = 4;

/**
 * Cuts the runs of each policy into ranges. Recorded runs are one, since the windows of a recording
 * are cut by who runs them.
 */
export function unitsFor(job: CampaignJob, threads: number): Unit[] {
  const policies = job.cpus.length * job.policies.length;
  const parts = job.schedules.length > 0 ? 1 : Math.ceil((UNITS_PER_THREAD * threads) / policies);
  const size = Math.max(UNIT_RUNS, Math.ceil(job.runs / parts));
  const count = parts === 1 ? 1 : Math.ceil(job.runs / size);
  return Array.from({ length: count }, (_, i) => {
    return { from: i * size, to: i === count - 1 ? Infinity : (i + 1) * size };
  });
}

/**
 * The same with the runs of each policy cut into units, for workers that make a `Found` of a `Unit`
 * and a result of all that was found. The results do not depend on how the runs are cut.
 *
 * @param jobs - the most threads; by default, one for each core.
 */
export async function campaignsInUnits<J extends CampaignJob, R>(
  worker: URL,
  job: J,
  jobs?: number,
): Promise<PoolResults<R>> {
  const units = unitsFor(job, threadsFor(jobs));
  const requests = requestsOf(job);
  const line = campaignLine(requests.length, job.runs);
  const most = jobs === undefined ? {} : { jobs };
  const work = { worker, silence_ms: SILENCE_MS, advice: adviceOf, ...most };
  const tasks = requests.length * units.length;
  return planned<J, Progress, Found | R, R>(work, line, tasks, async (ask) => {
    const reports = requests.map(async (request) => {
      const parts = await Promise.all(units.map((unit) => ask({ ...request, part: unit }, job)));
      const found = parts.flat() as Found[];
      if (found.length === 0) return [];
      return (await ask({ ...request, part: mergeFound(found), sumsUp: true }, job)) as R[];
    });
    return (await Promise.all(reports)).flat();
  });
}

/** How to see a bug again. */
export function adviceOf(
  { policy, part }: Request,
  { token, progress }: Crash<Progress>,
  { seed }: Pick<CampaignJob, 'seed'>,
): string[] {
  const { from = 0 } = (part ?? {}) as Partial<Unit>;
  const run = from + (progress?.runs ?? 0) + 1;
  const where = `policy ${policy}, run ${run} of seed ${seed}: the same command with`;
  const again = `--policy ${policy} --runs ${run} shows it again`;
  return token === null ? [`${where} ${again}`] : [`${where} ${again}`, `vlbr replay ${token}`];
}

/** Runs campaigns in worker threads, and puts the reports together. */
import type { PropertyName } from '../../judge/properties.js';
import type { KernelFinding, Progress, Report } from '../../campaign/campaign.js';
import type { PolicyReview } from '../review/comparison.js';
import type { CampaignJob } from './job.js';
import type { PoolHooks, PoolResults, Work } from '../../console/pool.js';
import { inWorkers } from '../../console/pool.js';
import type { WorkerCrash } from '../../console/worker_job.js';

/** Shrinking takes seconds. */
const SILENCE_MS = 5 * 60_000;

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./campaign_worker.js', import.meta.url);

/** Judges every policy of the job. @throws WorkerBug when a worker met an exception. */
export async function runJob(job: CampaignJob, hooks: PoolHooks<Progress>): Promise<Report> {
  const { results, interrupted } = await inWorkers<CampaignJob, Progress, Report>(
    workOf(job),
    hooks,
  );
  return merged(results, job.properties, interrupted);
}

/** Reviews under every policy of the job, in order. @throws WorkerBug as above. */
export async function runReview(
  job: CampaignJob,
  hooks: PoolHooks<Progress>,
): Promise<PoolResults<PolicyReview>> {
  return inWorkers<CampaignJob, Progress, PolicyReview>(workOf(job), hooks);
}

function workOf(job: CampaignJob): Work<CampaignJob, Progress> {
  return {
    worker: WORKER,
    job,
    silence_ms: SILENCE_MS,
    advice: ({ policy }, crash) => adviceOf(policy, crash, job),
  };
}

/** How to see a bug again. */
function adviceOf(
  policy: string,
  { token, progress }: WorkerCrash<Progress>,
  { seed }: CampaignJob,
): string[] {
  const run = (progress?.runs ?? 0) + 1;
  const where = `policy ${policy}, run ${run} of seed ${seed}: the same command with`;
  const again = `--policy ${policy} --runs ${run} shows it again`;
  return token === null ? [`${where} ${again}`] : [`${where} ${again}`, `vlbr replay ${token}`];
}

/** One report out of one for each policy, in the order of the policies. */
function merged(
  reports: readonly Report[],
  properties: readonly PropertyName[],
  interrupted: boolean,
): Report {
  const sum = (of: (report: Report) => number): number =>
    reports.reduce((total, report) => total + of(report), 0);
  const names = Object.keys(reports[0]?.actions ?? {});
  return {
    results: reports.flatMap((report) => report.results),
    kernelFindings: properties.flatMap((name): KernelFinding[] => {
      // What the kernel does wrong by itself, it does under every policy: one of them is enough.
      const found = reports.flatMap((report) => report.kernelFindings);
      return found.filter(({ property }) => property === name).slice(0, 1);
    }),
    runs: sum((report) => report.runs),
    steps: sum((report) => report.steps),
    actions: Object.fromEntries(
      names.map((name) => [name, sum((report) => report.actions[name] ?? 0)]),
    ),
    interrupted: interrupted || reports.some((report) => report.interrupted),
  };
}

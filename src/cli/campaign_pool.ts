/** Runs campaigns in worker threads, and puts the reports together. */
import type { PropertyName } from '../host/policy/policy.js';
import type { KernelFinding, Progress, Report } from '../verify/campaign.js';
import type { PolicyReview } from '../verify/review.js';
import type { CampaignJob } from './campaign_worker.js';
import type { PoolResults } from './pool.js';
import { inWorkers } from './pool.js';
import { campaignLine } from './progress.js';
import type { Crash, Request } from './worker.js';

/** The longest that one run may take. */
const SILENCE_MS = 5 * 60_000;

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./campaign_worker.js', import.meta.url);

/** Judges every policy of the job. @throws WorkerBug when a worker met an exception. */
export async function runJob(job: CampaignJob): Promise<Report> {
  const { results, interrupted } = await judged<Report>(job);
  return merged(results, job.properties, interrupted);
}

/** Reviews under every policy of the job, in order. @throws WorkerBug as above. */
export async function runReview(job: CampaignJob): Promise<PoolResults<PolicyReview>> {
  return judged<PolicyReview>(job);
}

async function judged<R>(job: CampaignJob): Promise<PoolResults<R>> {
  const advice = ({ policy }: Request, crash: Crash<Progress>): string[] =>
    adviceOf(policy, crash, job);
  const work = { worker: WORKER, job, silence_ms: SILENCE_MS, advice };
  const line = campaignLine(job.cpus.length * job.policies.length, job.runs);
  return inWorkers<CampaignJob, Progress, R>(work, line);
}

/** How to see a bug again. */
function adviceOf(
  policy: string,
  { token, progress }: Crash<Progress>,
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

/** The campaigns of all policies, put together. */
import type { KernelFinding, Report } from '../../campaign/campaign.js';
import { campaignsInWorkers } from '../../console/campaigns.js';
import type { PropertyName } from '../../judge/properties.js';
import type { VerifyJob } from './worker.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./verify_worker.js', import.meta.url);

/** Judges every policy of the job. @throws WorkerBug when a worker met an exception. */
export async function runJob(job: VerifyJob): Promise<Report> {
  const { results, interrupted } = await campaignsInWorkers<VerifyJob, Report>(WORKER, job);
  return merged(results, job.properties, interrupted);
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

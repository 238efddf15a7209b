/** Runs a campaign in worker threads, a policy at a time, and puts the reports together. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { PropertyName } from '../host/policy/policy.js';
import type { KernelFinding, Progress, Report } from '../verify/campaign.js';
import type { PolicyReview } from '../verify/review.js';
import type { CampaignJob, WorkerReply, WorkerRequest } from './campaign_job.js';
import type { WorkerResult, WorkerStart } from './campaign_job.js';
import { EXIT_INTERRUPTED, UsageError, WorkerBug } from './errors.js';

/** More threads than this gain nothing: the slowest policy takes as long as it takes. */
const THREADS_MAX = 8;

/** A worker that says nothing for so long is in an endless loop: shrinking takes seconds. */
const SILENCE_MS = 5 * 60_000;

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./campaign_worker.js', import.meta.url);

export interface PoolHooks {
  /** Called now and then with what each policy that was begun has come to. */
  progress(progress: readonly Progress[]): void;
  /** Called at the first Ctrl-C; the second one ends the process. */
  interrupted(): void;
}

/** Judges every policy of the job. @throws WorkerBug when a worker met an exception. */
export async function runJob(job: CampaignJob, hooks: PoolHooks): Promise<Report> {
  const { results, interrupted } = await inWorkers<Report>(job, hooks);
  return merged(results, job.properties, interrupted);
}

/** Reviews under every policy of the job, in order. @throws WorkerBug as above. */
export async function runReview(
  job: CampaignJob,
  hooks: PoolHooks,
): Promise<{ readonly results: readonly PolicyReview[]; readonly interrupted: boolean }> {
  return inWorkers<PolicyReview>(job, hooks);
}

/**
 * Gives each policy to a worker. The results do not depend on the number of threads, since a
 * policy's runs depend on the seed alone.
 */
async function inWorkers<T extends WorkerResult>(
  job: CampaignJob,
  hooks: PoolHooks,
): Promise<{ readonly results: readonly T[]; readonly interrupted: boolean }> {
  const stop = new SharedArrayBuffer(4);
  const stopped = new Int32Array(stop);
  const interrupt = (): void => {
    if (Atomics.exchange(stopped, 0, 1) !== 0) process.exit(EXIT_INTERRUPTED);
    hooks.interrupted();
  };
  const workers: Worker[] = [];
  const found = new Map<WorkerRequest, T>();
  const progress = new Map<string, Progress>();
  const tasks = job.cpus.flatMap((cpu) => job.policies.map((policy) => ({ cpu, policy })));
  const queue = [...tasks];
  const work = async (): Promise<void> => {
    const worker = new Worker(WORKER, { workerData: { job, stop } satisfies WorkerStart });
    workers.push(worker);
    for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
      if (Atomics.load(stopped, 0) !== 0) return;
      found.set(task, await judge<T>(worker, task, job, onProgress));
    }
  };
  const onProgress = (now: Progress): void => {
    progress.set(now.policy, now);
    hooks.progress([...progress.values()]);
  };
  process.on('SIGINT', interrupt);
  try {
    const threads = Math.min(tasks.length, availableParallelism(), THREADS_MAX);
    await Promise.all(Array.from({ length: threads }, work));
  } finally {
    process.off('SIGINT', interrupt);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const results = tasks.flatMap((task) => found.get(task) ?? []);
  return { results, interrupted: Atomics.load(stopped, 0) !== 0 };
}

function judge<T extends WorkerResult>(
  worker: Worker,
  request: WorkerRequest,
  job: CampaignJob,
  onProgress: (progress: Progress) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let silence = setTimeout(stuck, SILENCE_MS);
    function stuck(): void {
      done();
      const { policy, cpu } = request;
      const what = job.binary === null ? 'the model' : 'lbr.c';
      const text = `${what} does not return: no word for ${SILENCE_MS / 60_000} minutes`;
      reject(new UsageError(`${text} under ${policy} on ${cpu}`));
    }
    const done = (): void => {
      clearTimeout(silence);
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const onError = (error: Error): void => {
      done();
      reject(error);
    };
    const onMessage = (reply: WorkerReply): void => {
      clearTimeout(silence);
      silence = setTimeout(stuck, SILENCE_MS);
      if (reply.kind === 'progress') {
        onProgress(reply.progress);
        return;
      }
      done();
      // A worker answers in the kind that its job asks for.
      if (reply.kind === 'result') resolve(reply.result as T);
      else {
        const advice = adviceOf(request.policy, reply, job);
        reject(new WorkerBug(reply.stack, advice, job.binary !== null));
      }
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.postMessage(request, []);
  });
}

/** How to see a bug again. */
function adviceOf(
  policy: string,
  { token, progress }: Extract<WorkerReply, { kind: 'bug' }>,
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

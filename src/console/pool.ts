/** Runs a job in worker threads, a policy at a time. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { UsageError, WorkerBug } from './errors.js';
import { EXIT_INTERRUPTED } from './exit_codes.js';
import type { Job, WorkerCrash, WorkerReply, WorkerRequest, WorkerStart } from './worker_job.js';

/** More threads than this gain nothing: the slowest policy takes as long as it takes. */
const THREADS_MAX = 8;

export interface PoolHooks<P> {
  /** Called now and then with what each policy that was begun has come to. */
  progress(progress: readonly P[]): void;
  /** Called at the first Ctrl-C; the second one ends the process. */
  interrupted(): void;
}

/** What a pool is to do. */
export interface Work<J extends Job, P> {
  /** The code of a worker. */
  readonly worker: URL;
  readonly job: J;
  /** A worker that says nothing for so long is in an endless loop; Infinity if it may be silent. */
  readonly silence_ms: number;
  /** How to see an exception again, in lines. */
  advice(request: WorkerRequest, crash: WorkerCrash<P>): string[];
}

/** What came of it, in the order of the job; what was not begun when it was interrupted is not. */
export interface PoolResults<R> {
  readonly results: readonly R[];
  readonly interrupted: boolean;
}

/**
 * Gives each policy to a worker. The results do not depend on the number of threads, since what a
 * worker does depends on the job alone. @throws WorkerBug when a worker met an exception.
 */
export async function inWorkers<J extends Job, P extends { readonly policy: string }, R>(
  work: Work<J, P>,
  hooks: PoolHooks<P>,
): Promise<PoolResults<R>> {
  const { job, worker: code } = work;
  const stop = new SharedArrayBuffer(4);
  const stopped = new Int32Array(stop);
  const interrupt = (): void => {
    if (Atomics.exchange(stopped, 0, 1) !== 0) process.exit(EXIT_INTERRUPTED);
    hooks.interrupted();
  };
  const workers: Worker[] = [];
  const found = new Map<WorkerRequest, R>();
  const progress = new Map<string, P>();
  const requests = job.cpus.flatMap((cpu) => job.policies.map((policy) => ({ cpu, policy })));
  const queue = [...requests];
  const onProgress = (now: P): void => {
    progress.set(now.policy, now);
    hooks.progress([...progress.values()]);
  };
  const thread = async (): Promise<void> => {
    const worker = new Worker(code, { workerData: { job, stop } satisfies WorkerStart<J> });
    workers.push(worker);
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      if (Atomics.load(stopped, 0) !== 0) return;
      found.set(next, await judged<J, P, R>(worker, next, work, onProgress));
    }
  };
  process.on('SIGINT', interrupt);
  try {
    const threads = Math.min(requests.length, availableParallelism(), THREADS_MAX);
    await Promise.all(Array.from({ length: threads }, thread));
  } finally {
    process.off('SIGINT', interrupt);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const results = requests.flatMap((request) => {
    const result = found.get(request);
    return result === undefined ? [] : [result];
  });
  return { results, interrupted: Atomics.load(stopped, 0) !== 0 };
}

/** Looks for messages before a worker is given up: see `Silence`. */
const LOOKS = 2;

/**
 * Waits until nothing was heard for so long, or up to half as long again. One look would not do:
 * when this thread has been held up, by Ctrl-Z for example, it finds that the time is over before
 * it finds the messages that came meanwhile.
 */
class Silence {
  private readonly timer: NodeJS.Timeout | undefined;
  private looks = 0;

  /** @param most_ms - Infinity for a worker that may be silent. */
  constructor(most_ms: number, stuck: () => void) {
    if (most_ms === Infinity) return;
    this.timer = setInterval(() => {
      if (++this.looks > LOOKS) stuck();
    }, most_ms / LOOKS);
  }

  broken(): void {
    this.looks = 0;
  }

  end(): void {
    clearInterval(this.timer);
  }
}

function judged<J extends Job, P, R>(
  worker: Worker,
  request: WorkerRequest,
  { job, silence_ms, advice }: Work<J, P>,
  onProgress: (progress: P) => void,
): Promise<R> {
  return new Promise((resolve, reject) => {
    const silence = new Silence(silence_ms, () => {
      done();
      const { policy, cpu } = request;
      const what = job.binary === null ? 'the model' : 'lbr.c';
      const text = `${what} does not return: no word for ${silence_ms / 60_000} minutes`;
      reject(new UsageError(`${text} under ${policy} on ${cpu}`));
    });
    const done = (): void => {
      silence.end();
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const onError = (error: Error): void => {
      done();
      reject(error);
    };
    const onMessage = (reply: WorkerReply<P, R>): void => {
      silence.broken();
      if (reply.kind === 'progress') {
        onProgress(reply.progress);
        return;
      }
      done();
      if (reply.kind === 'result') resolve(reply.result);
      else reject(new WorkerBug(reply.stack, advice(request, reply), job.binary !== null));
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.postMessage(request, []);
  });
}

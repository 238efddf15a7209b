/**
 * What worker threads have in common: they judge policies, one after the other as they are asked
 * to. That is one long computation: in a thread of its own, it leaves the main thread free for
 * Ctrl-C.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { kernelBinary } from '../tree/binary.js';
import { driverFor } from './kernel_source.js';
import type { Job, WorkerReply, WorkerRequest, WorkerStart } from './worker_job.js';

/** Milliseconds between two reports of progress: more often than anybody can read. */
const PROGRESS_MS = 100;

/** Says how far the work is; with `now` even if it has just been said. Returns whether to go on. */
export type Tell<P> = (progress: P, now?: boolean) => boolean;

/** Judges one policy. */
export type Judge<P, R> = (request: WorkerRequest, tell: Tell<P>) => R;

/** Answers requests until the thread is ended. `begin` is called once, with the job. */
export function serve<J extends Job, P, R>(begin: (job: J) => Judge<P, R>): void {
  const { job, stop } = workerData as WorkerStart<J>;
  const stopped = new Int32Array(stop);
  const reply = (message: WorkerReply<P, R>): void => parentPort?.postMessage(message, []);
  const judge = begin(job);
  parentPort?.on('message', (request: WorkerRequest) => {
    let last: P | null = null;
    let told = performance.now();
    const tell: Tell<P> = (progress, now = false) => {
      last = progress;
      if (now || performance.now() - told >= PROGRESS_MS) {
        told = performance.now();
        reply({ kind: 'progress', progress });
      }
      return Atomics.load(stopped, 0) === 0;
    };
    try {
      reply({ kind: 'result', result: judge(request, tell) });
    } catch (error) {
      reply({ ...bugOf(error), progress: last });
    }
  });
}

function bugOf(error: unknown): { kind: 'bug'; stack: string; token: string | null } {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const has = error instanceof Error && 'token' in error && typeof error.token === 'string';
  return { kind: 'bug', stack, token: has ? String(error.token) : null };
}

/** The driver of a job, from the bytes that crossed. */
export function driverOfBytes(bytes: Uint8Array | null): DriverKind {
  return driverFor(bytes === null ? null : kernelBinary(bytes));
}

/**
 * A worker thread that judges policies, one after the other as it is asked to. A campaign is one
 * long computation: in a thread of its own, it leaves the main thread free for Ctrl-C.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { findPolicy } from '../host/policy/index.js';
import { assert } from '../hw/assert.js';
import { findCpuModel } from '../hw/cpu_models.js';
import { kernelBinary } from '../kernel/binary.js';
import type { Progress } from '../verify/campaign.js';
import { runCampaign } from '../verify/campaign.js';
import { reviewPolicy } from '../verify/review.js';
import type { WorkerReply, WorkerRequest, WorkerResult, WorkerStart } from './campaign_job.js';
import { ACTIONS_PER_RUN } from './campaign_job.js';
import { driverFor } from './kernel_source.js';

/** Milliseconds between two reports of progress: more often than anybody can read. */
const PROGRESS_MS = 100;

const { job, stop } = workerData as WorkerStart;
const stopped = new Int32Array(stop);
const driver = driverOf(job.binary);
const before = job.before === null ? null : driverOf(job.before);
let progress: Progress | null = null;

function driverOf(bytes: Uint8Array | null): DriverKind {
  return driverFor(bytes === null ? null : kernelBinary(bytes));
}

function judged(policyName: string, cpu: string): WorkerResult {
  const model = findCpuModel(cpu);
  const policy = findPolicy(policyName);
  assert(model !== undefined && policy !== undefined, 'a job names what there is');
  let reported = performance.now();
  const options = {
    ...job,
    model,
    driver,
    steps: ACTIONS_PER_RUN,
    progress: (run: Progress): boolean => {
      const now = job.cpus.length === 1 ? run : { ...run, policy: `${run.policy} on ${cpu}` };
      progress = now;
      if (performance.now() - reported >= PROGRESS_MS || now.runs === now.runsWanted) {
        reported = performance.now();
        reply({ kind: 'progress', progress: now });
      }
      return Atomics.load(stopped, 0) === 0;
    },
  };
  if (before === null) return runCampaign({ ...options, policies: [policy] });
  return reviewPolicy({ ...options, policy, before });
}

function reply(message: WorkerReply): void {
  parentPort?.postMessage(message, []);
}

function bugOf(error: unknown): WorkerReply {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const has = error instanceof Error && 'token' in error && typeof error.token === 'string';
  return { kind: 'bug', stack, token: has ? String(error.token) : null, progress };
}

parentPort?.on('message', ({ policy, cpu }: WorkerRequest) => {
  progress = null;
  try {
    reply({ kind: 'result', result: judged(policy, cpu) });
  } catch (error) {
    reply(bugOf(error));
  }
});

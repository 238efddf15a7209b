/**
 * A worker thread that judges policies, one after the other as it is asked to. A campaign is one
 * long computation: in a thread of its own, it leaves the main thread free for Ctrl-C.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { findPolicy } from '../host/policy/index.js';
import { assert } from '../hw/assert.js';
import { findCpuModel } from '../hw/cpu_models.js';
import { kernelBinary } from '../kernel/binary.js';
import type { Progress, Report } from '../verify/campaign.js';
import { runCampaign } from '../verify/campaign.js';
import type { WorkerReply, WorkerRequest, WorkerStart } from './campaign_job.js';
import { ACTIONS_PER_RUN } from './campaign_job.js';
import { driverFor } from './kernel_source.js';

/** Milliseconds between two reports of progress: more often than anybody can read. */
const PROGRESS_MS = 100;

const { job, stop } = workerData as WorkerStart;
const stopped = new Int32Array(stop);
const driver = driverFor(job.binary === null ? null : kernelBinary(job.binary));
let progress: Progress | null = null;

function campaign(policyName: string): Report {
  const model = findCpuModel(job.cpu);
  const policy = findPolicy(policyName);
  assert(model !== undefined && policy !== undefined, 'a job names what there is');
  let reported = performance.now();
  return runCampaign({
    ...job,
    model,
    driver,
    policies: [policy],
    steps: ACTIONS_PER_RUN,
    progress: (now) => {
      progress = now;
      if (performance.now() - reported >= PROGRESS_MS || now.runs === now.runsWanted) {
        reported = performance.now();
        reply({ kind: 'progress', progress: now });
      }
      return Atomics.load(stopped, 0) === 0;
    },
  });
}

function reply(message: WorkerReply): void {
  parentPort?.postMessage(message, []);
}

function bugOf(error: unknown): WorkerReply {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const has = error instanceof Error && 'token' in error && typeof error.token === 'string';
  return { kind: 'bug', stack, token: has ? String(error.token) : null, progress };
}

parentPort?.on('message', ({ policy }: WorkerRequest) => {
  progress = null;
  try {
    reply({ kind: 'report', report: campaign(policy) });
  } catch (error) {
    reply(bugOf(error));
  }
});

/** A worker for tests of the pool: what it does with a policy is the policy's name. */
import { serve } from '../../src/console/worker.js';
import type { Tell } from '../../src/console/worker.js';
import type { Job } from '../../src/console/worker_job.js';

export interface Told {
  readonly policy: string;
}

/** Milliseconds between two signs of life. */
const PAUSE_MS = 50;

const clock = new Int32Array(new SharedArrayBuffer(4));

function sleep(ms: number): void {
  Atomics.wait(clock, 0, 0, ms);
}

/** Tells that it is alive, for so long or until it is to end. */
function talk(policy: string, ms: number, tell: Tell<Told>): string {
  for (let waited = 0; waited < ms; waited += PAUSE_MS) {
    if (!tell({ policy }, true)) return `${policy} was stopped`;
    sleep(PAUSE_MS);
  }
  return `${policy} is done`;
}

class Bug extends Error {
  readonly token: string = 'v1.token';
}

serve<Job, Told, string>(() => ({ policy, cpu }, tell) => {
  const [verb, ms = '0'] = policy.split(' ');
  switch (verb) {
    case 'talk':
      return `${talk(policy, Number(ms), tell)} on ${cpu}`;
    case 'hush':
      sleep(Number(ms));
      return `${policy} is done on ${cpu}`;
    default:
      tell({ policy });
      throw new Bug('a claim is broken');
  }
});

/** A worker for tests of the pool. The job says what the worker does with each policy. */
import { NoGuestLbr } from '../../src/machine/no_guest_lbr.js';
import { type Job, type Judge, judgeBy, type Tell } from '../../src/console/worker.js';

export interface TestJob extends Job {
  /** For each policy, what the worker does: `talk` or `hush`, and for how many milliseconds. */
  readonly acts: Readonly<Record<string, string>>;
}

export interface Told {
  readonly policy: string;
}

/** Milliseconds between two messages. */
const PAUSE_MS = 50;

const clock = new Int32Array(new SharedArrayBuffer(4));

function sleep(ms: number): void {
  Atomics.wait(clock, 0, 0, ms);
}

/** Sends messages for `ms` milliseconds, or until the worker is told to stop. */
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

export const judge: Judge<TestJob, Told, string> = judgeBy((job, { policy, model }, tell) => {
  const [verb, ms = '0'] = (job.acts[policy.name] ?? '').split(' ');
  switch (verb) {
    case 'talk':
      return `${talk(policy.name, Number(ms), tell)} on ${model.name}`;
    case 'hush':
      sleep(Number(ms));
      return `${policy.name} is done on ${model.name}`;
    case 'refuse':
      throw new NoGuestLbr(model);
    default:
      tell({ policy: policy.name }, true);
      throw new Bug('a claim is broken');
  }
});

/** Runs a job in worker threads, a policy at a time. */
import { availableParallelism } from 'node:os';
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import { Tinypool } from 'tinypool';
import { callOf, hookClock, hookOf } from '../host/policy/guarded.js';
import { UsageError, WorkerBug } from './errors.js';
import { Interrupt } from './interrupt.js';
import type { ProgressLine } from './progress.js';
import { fileOf, policyFileOf, policyWords } from './policy_files.js';
import { plural } from './text.js';
import type { Crash, Job, Reply, Request, Task } from './worker.js';

/** What a pool is to do. */
export interface Work<J extends Job, P, R = never> {
  /** The code of a worker, which exports `judge`. */
  readonly worker: URL;
  readonly job: J;
  /** A worker that says nothing for so long is in an endless loop; Infinity if it may be silent. */
  readonly silence_ms: number;
  /** The most threads; by default, one for each core. */
  readonly jobs?: number;
  /** How to see an exception again, in lines. */
  advice(request: Request, crash: Crash<P>, job: J): string[];
  /** What to say of a result before the others are there; null for nothing. */
  says?(result: R): string | null;
}

/** What came of it, in the order of the job; what was not begun when it was interrupted is not. */
export interface PoolResults<R> {
  readonly results: readonly R[];
  readonly interrupted: boolean;
}

/** Gives a worker a request of a job. Returns nothing if the work was to end before. */
export type Ask<J, R> = (request: Request, job: J) => Promise<R[]>;

/** Every policy of a job on every CPU. */
export function requestsOf({ cpus, policies }: Job): Request[] {
  return cpus.flatMap((cpu) => policies.map((policy) => ({ cpu, policy })));
}

/** Threads that a job may use. */
export function threadsFor(jobs: number = availableParallelism()): number {
  return jobs;
}

/** Judges each policy in a worker, as a whole; see `planned`. */
export async function inWorkers<J extends Job, P extends { readonly policy: string }, R>(
  work: Work<J, P, R>,
  line: ProgressLine<readonly P[]>,
): Promise<PoolResults<R>> {
  const requests = requestsOf(work.job);
  return planned(work, line, requests.length, async (ask) => {
    const found = await Promise.all(requests.map((request) => ask(request, work.job)));
    return found.flat();
  });
}

/**
 * Works a plan off in workers. The results do not depend on the number of threads, since what a
 * worker does depends on the job alone.
 *
 * @param line - is told now and then what each request that was begun has come to.
 * @param tasks - number of requests that there may be at a time.
 * @param plan - asks for what it needs; it may look, or hear, whether the work is to end.
 * @throws WorkerBug when a worker met an exception.
 * @throws UsageError when a kernel's code does not return, or has no LBR for guests.
 */
export async function planned<J extends Job, P extends { readonly policy: string }, A, R>(
  work: Omit<Work<J, P, A>, 'job'>,
  line: ProgressLine<readonly P[]>,
  tasks: number,
  plan: (ask: Ask<J, A>, ended: AbortSignal) => Promise<readonly R[]>,
): Promise<PoolResults<R>> {
  const progress = new Map<number, P>();
  const interrupt = new Interrupt(line);
  const maxThreads = Math.min(tasks, threadsFor(work.jobs));
  const pool = new Tinypool({ minThreads: maxThreads, maxThreads, useAtomics: false });
  try {
    let asked = 0;
    const ask: Ask<J, A> = async (request, job) => {
      const i = asked++;
      const silence = new Silence(work.silence_ms);
      // The first ones are begun at once: a thread that does not even start is noticed.
      if (i < maxThreads) silence.broken();
      const its = { ...work, job };
      const found = await judged<J, P, A>(pool, request, its, interrupt.stop, silence, (now) => {
        progress.set(i, now);
        line.update([...progress.values()]);
      });
      for (const text of found.flatMap((one) => work.says?.(one) ?? [])) line.say(text);
      return found;
    };
    const results = await plan(ask, interrupt.signal);
    return { results, interrupted: interrupt.interrupted };
  } finally {
    interrupt.end();
    await pool.destroy();
  }
}

/** The result of one request, or none if the work was to end before it was begun. */
async function judged<J extends Job, P, R>(
  pool: Tinypool,
  request: Request,
  { worker, job, silence_ms, advice }: Work<J, P, R>,
  stop: Int32Array,
  silence: Silence,
  onProgress: (progress: P) => void,
): Promise<R[]> {
  const { port1, port2 } = new MessageChannel();
  const file = policyFileOf(request.policy);
  const watch = new HookWatch(file !== null);
  const hear = (message: P | 'begun'): void => {
    silence.broken();
    if (message !== 'begun') onProgress(message);
  };
  port1.on('message', hear);
  try {
    const task: Task<J> = { ...request, job, file, hooks: watch.hooks, stop, port: port2 };
    // The file is named here, and not to the pool, so that one that can't be loaded fails a task.
    const how = { filename: worker.href, name: 'judge', transferList: [port2] };
    const answer = pool.run(task, how) as Promise<Reply<P, R>>;
    const reply = await Promise.race([answer, silence.tooLong, watch.tooLong]);
    // The answer comes by another port, and may overtake what was said before it.
    for (let m = receiveMessageOnPort(port1); m !== undefined; m = receiveMessageOnPort(port1)) {
      hear(m.message);
    }
    if (reply === 'silent') throw stuck(request, job, silence_ms);
    if (reply === 'in a hook') throw stuckIn(watch, request);
    if (reply.kind === 'bug') {
      throw new WorkerBug(reply.stack, advice(request, reply, job), job.binary !== null);
    }
    if (reply.kind === 'policy error') throw new UsageError(withReplay(request, reply));
    if (reply.kind === 'no guest LBR') throw new UsageError(reply.why);
    return reply.kind === 'result' ? [reply.result] : [];
  } finally {
    silence.end();
    watch.end();
    port1.close();
  }
}

function stuck({ policy, cpu }: Request, { binary }: Job, silence_ms: number): UsageError {
  const what = binary === null ? 'the model' : "the kernel's code";
  const text = `${what} does not return: no word for ${plural(silence_ms / 1000, 'second')}`;
  return new UsageError(`${text} under ${policy} on ${cpu}`);
}

/** What went wrong in a policy of the user's, with the schedule that shows it. */
function withReplay(
  { policy }: Request,
  { why, token }: { readonly why: string; readonly token: string | null },
): string {
  if (token === null) return why;
  return `${why}; see it again: ${['vlbr replay', token, ...policyWords(policy)].join(' ')}`;
}

function stuckIn({ hooks }: HookWatch, { policy, cpu }: Request): UsageError {
  const hook = `hook ${hookOf(hooks)} of policy ${policy} (${fileOf(policy)})`;
  const after = plural((HOOK_LOOKS * HOOK_MS) / 1000, 'second');
  return new UsageError(`${hook} does not return on ${cpu}: it was called ${after} ago`);
}

const HOOK_MS = 1000;

/** Looks at a hook that still runs before it is given up. A hook takes microseconds. */
const HOOK_LOOKS = 10;

/** Waits until a hook of a user's policy has not returned for so long. */
class HookWatch {
  readonly hooks: Int32Array = hookClock();
  readonly tooLong: Promise<'in a hook'>;
  private timer: NodeJS.Timeout | undefined;

  /** @param ofFile - whether the policy is a file's: only the hooks of such a one are noted. */
  constructor(ofFile: boolean) {
    let call = 0;
    let looks = 0;
    this.tooLong = new Promise((resolve) => {
      if (!ofFile) return;
      this.timer = setInterval(() => {
        const now = callOf(this.hooks);
        looks = now !== 0 && now === call ? looks + 1 : 0;
        call = now;
        if (looks === HOOK_LOOKS) resolve('in a hook');
      }, HOOK_MS);
    });
  }

  end(): void {
    clearInterval(this.timer);
  }
}

/** Looks for messages before a worker is given up: see `Silence`. */
const LOOKS = 2;

/**
 * Waits until nothing was heard for so long, or up to half as long again, once something was. One
 * look would not do: when this thread has been held up, by Ctrl-Z for example, it finds that the
 * time is over before it finds the messages that came meanwhile.
 */
class Silence {
  readonly tooLong: Promise<'silent'>;
  private give_up: () => void = () => {};
  private readonly most_ms: number;
  private timer: NodeJS.Timeout | undefined;
  private looks = 0;

  /** @param most_ms - Infinity for a worker that may be silent. */
  constructor(most_ms: number) {
    this.most_ms = most_ms;
    this.tooLong = new Promise((resolve) => (this.give_up = () => resolve('silent')));
  }

  broken(): void {
    this.looks = 0;
    if (this.most_ms === Infinity) return;
    this.timer ??= setInterval(() => {
      if (++this.looks > LOOKS) this.give_up();
    }, this.most_ms / LOOKS);
  }

  end(): void {
    clearInterval(this.timer);
  }
}

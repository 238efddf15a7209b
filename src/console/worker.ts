/**
 * What worker threads have in common: they judge one policy on one CPU as they are asked to. That
 * is one long computation: in a thread of its own, it leaves the main thread free for Ctrl-C.
 */
import type { MessagePort } from 'node:worker_threads';
import { tryOut } from '../campaign/try_out.js';
import type { KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { PORT } from '../guest/perf/lbr_port.js';
import { noteHooks, PolicyError } from '../host/policy/guarded.js';
import { findPolicy } from '../host/policy/index.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { assert } from '../hw/assert.js';
import { type CpuModel, findCpuModel } from '../hw/cpu_models.js';
import { NoGuestLbr } from '../machine/no_guest_lbr.js';
import { UsageError } from './errors.js';
import { codeOf, type KernelCode, policyFor } from './kernel_source.js';
import { loadAgain, type PolicyFile } from './policy_files.js';

/** Work by name, so that it can cross to a worker. */
export interface Job {
  readonly kernel: KernelVersion;
  /** Every policy is judged on each. */
  readonly cpus: readonly string[];
  readonly policies: readonly string[];
  /** A compiled lbr.c or image to run in place of the port, or null. */
  readonly binary: Uint8Array | null;
}

/** One policy on one CPU. */
export interface Request {
  readonly policy: string;
  readonly cpu: string;
  /** Which part of its work, if that is done in parts; plain data. */
  readonly part?: unknown;
  /** Whether it is to be begun even when the work is to end: it sums up what is known. */
  readonly sumsUp?: boolean;
}

/** To a worker. */
export interface Task<J extends Job> extends Request {
  readonly job: J;
  /** The file of a policy of the user's, which the worker loads itself; or null. */
  readonly file: PolicyFile | null;
  /** Where the worker notes which of its hooks it runs: see `hookClock`. */
  readonly hooks: Int32Array;
  /** One word; not 0 once the work is to end with what is known. */
  readonly stop: Int32Array;
  /** Takes the word `begun`, and then how far the work is. */
  readonly port: MessagePort;
}

/** From a worker that has met an exception. */
export interface Crash<P> {
  readonly kind: 'bug';
  readonly stack: string;
  /** The schedule up to the exception, if the exception has it. */
  readonly token: string | null;
  /** How far the work was before it. */
  readonly progress: P | null;
}

/** From a worker. Exceptions are told in words: as they are, they would lose their tokens. */
export type Reply<P, R> =
  | { readonly kind: 'not begun' }
  | { readonly kind: 'no guest LBR'; readonly why: string }
  | { readonly kind: 'policy error'; readonly why: string; readonly token: string | null }
  | { readonly kind: 'result'; readonly result: R }
  | Crash<P>;

/** Milliseconds between two reports of progress: more often than anybody can read. */
const PROGRESS_MS = 100;

/** Says how far the work is; with `now` even if it has just been said. Returns whether to go on. */
export type Tell<P> = (progress: P, now?: boolean) => boolean;

/** What the names of a request stand for. */
export interface Named {
  readonly policy: LbrPolicy;
  readonly model: CpuModel;
  readonly driver: DriverKind;
}

/** What a worker exports as `judge`. */
export type Judge<J extends Job, P, R> = (task: Task<J>) => Promise<Reply<P, R>>;

/** Makes it of a function that judges. An exception of that one becomes a `Crash`. */
export function judgeBy<J extends Job, P, R>(
  judge: (job: J, named: Named, tell: Tell<P>, part: unknown) => R,
): Judge<J, P, R> {
  return async ({ job, file, hooks, policy: name, cpu, part, sumsUp = false, stop, port }) => {
    const mayGoOn = (): boolean => Atomics.load(stop, 0) === 0;
    if (!mayGoOn() && !sumsUp) return { kind: 'not begun' };
    port.postMessage('begun', []);
    let last: P | null = null;
    let told = performance.now();
    const tell: Tell<P> = (progress, now = false) => {
      last = progress;
      if (now || performance.now() - told >= PROGRESS_MS) {
        told = performance.now();
        port.postMessage(progress, []);
      }
      return mayGoOn();
    };
    noteHooks(hooks);
    try {
      if (file !== null) await loadAgain(file);
      const model = findCpuModel(cpu);
      const found = findPolicy(name);
      assert(model !== undefined && found !== undefined, 'a job names what there is');
      const code = job.binary === null ? null : codeOf(job.binary);
      const named = { policy: policyFor(found, code), model, driver: driverOf(code) };
      if (file !== null) tryOut({ model, kernel: job.kernel, policy: found });
      return { kind: 'result', result: judge(job, named, tell, part) };
    } catch (error) {
      if (error instanceof NoGuestLbr) return { kind: 'no guest LBR', why: error.message };
      const { token, stack } = bugOf(error);
      if (error instanceof PolicyError || error instanceof UsageError) {
        return { kind: 'policy error', why: error.message, token };
      }
      return { kind: 'bug', stack, token, progress: last };
    }
  };
}

function bugOf(error: unknown): { stack: string; token: string | null } {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const has = error instanceof Error && 'token' in error && typeof error.token === 'string';
  return { stack, token: has ? String(error.token) : null };
}

/** The driver of a job, from the bytes that crossed. */
export function driverOfBytes(bytes: Uint8Array | null): DriverKind {
  return driverOf(bytes === null ? null : codeOf(bytes));
}

function driverOf(code: KernelCode | null): DriverKind {
  return code?.driver ?? PORT;
}

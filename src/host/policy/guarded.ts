/**
 * A policy of somebody else's, run with care: what goes wrong in one of its hooks is told as the
 * author's error, with the hook's name, and another thread can see that a hook does not return.
 */
import type { LbrPolicy } from './policy.js';

/** What went wrong in a policy of a user's file, in one sentence. */
export class PolicyError extends Error {
  override readonly name: string = 'PolicyError';
  private where = '';

  /** Adds the action that was performed, as `action 3 (v0: call n=1)`, unless there is one. */
  in(action: string): this {
    if (this.where === '') this.message += `, in ${action}`;
    this.where = action;
    return this;
  }
}

/** Checks what a hook returns: null, or what it has to be. */
type Returns = (result: unknown) => string | null;

const anything: Returns = () => null;

function oneOf(says: string, ...values: readonly unknown[]): Returns {
  return (result) => (values.includes(result) ? null : says);
}

const BOOLEAN = oneOf('true or false', true, false);
const VECTOR = oneOf('0, or GP_VECTOR to refuse the access', 0, 13);

const MSR_VALUE: Returns = (result) => {
  const { eax, edx, vector } = (result ?? {}) as Readonly<Record<string, unknown>>;
  const numbers = [eax, edx, vector].every((part) => typeof part === 'number');
  return numbers ? null : 'msrValue(eax, edx), or REFUSED';
};

/** The methods of a policy. */
export type HookName = {
  [K in keyof LbrPolicy]-?: NonNullable<LbrPolicy[K]> extends (...args: never) => unknown
    ? K
    : never;
}[keyof LbrPolicy];

/** Every method of a policy that the model calls, and what it has to return. */
export const HOOKS: Readonly<Record<HookName, Returns>> = {
  inUse: BOOLEAN,
  recordsStale: BOOLEAN,
  sched_in: anything,
  vcpu_load: anything,
  vcpu_put: anything,
  handleRequests: anything,
  vcpu_enter: anything,
  vcpu_exit: anything,
  mediated_put: anything,
  get_msr: MSR_VALUE,
  set_msr: VECTOR,
  debugctlAccess: VECTOR,
  setDebugctl: anything,
  setPvLbrCtrl: anything,
  reprogram_counters: anything,
  deliver_pmi: anything,
  host_perf_event: anything,
  reset: anything,
  get_state: BOOLEAN,
  listsDebugctl: BOOLEAN,
  set_state: anything,
};

export const HOOK_NAMES = Object.keys(HOOKS) as readonly HookName[];

/** In the words of a `hookClock`: the number of the hook that runs, from 1, and calls so far. */
const RUNNING = 0;
const CALLS = 1;
const CLOCK_WORDS = 2;

/** Words in which a thread notes which hook of a guarded policy it runs; threads share them. */
export function hookClock(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(CLOCK_WORDS * Int32Array.BYTES_PER_ELEMENT));
}

let clock: Int32Array = hookClock();

/** Has this thread note its hooks in a clock from now on. */
export function noteHooks(shared: Int32Array): void {
  clock = shared;
}

/** The call that runs, as a number that no other call of the clock has; 0 if none does. */
export function callOf(shared: Int32Array): number {
  return shared[RUNNING] === 0 ? 0 : shared[CALLS];
}

/** The name of the hook that runs; the last one's, if it has just returned. */
export function hookOf(shared: Int32Array): HookName {
  return HOOK_NAMES[Math.max(0, shared[RUNNING] - 1)];
}

type Hook = (...args: readonly unknown[]) => unknown;

/** `name` and `file` of a policy, for messages. */
function whose(hook: HookName, { name }: LbrPolicy, file: string): string {
  return `hook ${hook} of policy ${name} (${file})`;
}

/** Told already, by a hook inside of this one; or the crash of a kernel's code that it called. */
function isNotItsOwn(error: unknown): boolean {
  return error instanceof Error && /^(?:PolicyError|RuntimeError)$/.test(error.name);
}

/** An exception in one line, with the place in the file from which it came, where that is known. */
export function saidBy(error: unknown, base: string): string {
  if (!(error instanceof Error)) return String(error);
  const kind = error.name === 'Error' ? '' : `${error.name}: `;
  const line = error.stack?.split('\n').find((at) => at.includes(`${base}:`)) ?? '';
  const [place = ''] = /:\d+(?::\d+)?(?=\)?$)/.exec(line) ?? [];
  const [message] = error.message.split('\n');
  return `${kind}${message.trim()}${place === '' ? '' : ` (${base}${place})`}`;
}

function guard(hook: HookName, policy: LbrPolicy, file: string, base: string): Hook {
  const run = policy[hook] as Hook;
  const returns: Returns = HOOKS[hook];
  const number = HOOK_NAMES.indexOf(hook) + 1;
  return (...args) => {
    const outer = clock[RUNNING];
    clock[RUNNING] = number;
    clock[CALLS]++;
    let result: unknown;
    try {
      result = run.apply(policy, [...args]);
    } catch (error) {
      if (isNotItsOwn(error)) throw error;
      throw new PolicyError(`${whose(hook, policy, file)} throws: ${saidBy(error, base)}`);
    } finally {
      clock[RUNNING] = outer;
    }
    const wanted = returns(result);
    if (wanted === null) return result;
    throw new PolicyError(`${whose(hook, policy, file)} returns ${result}, not ${wanted}`);
  };
}

/**
 * The same policy with each hook guarded.
 *
 * @param file - that it is from, for messages.
 */
export function guarded(policy: LbrPolicy, file: string): LbrPolicy {
  const base = file.slice(Math.max(file.lastIndexOf('/'), file.lastIndexOf('\\')) + 1);
  const hooks = HOOK_NAMES.filter((hook) => typeof policy[hook] === 'function');
  return {
    ...policy,
    ...Object.fromEntries(hooks.map((hook) => [hook, guard(hook, policy, file, base)])),
  };
}

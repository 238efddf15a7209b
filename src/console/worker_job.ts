/** What the main thread and the workers of a pool tell each other: plain data. */

/** Work by name, so that it can cross to a worker. */
export interface Job {
  /** Every policy is judged on each. */
  readonly cpus: readonly string[];
  readonly policies: readonly string[];
  /** A compiled lbr.c to run in place of the port, or null. */
  readonly binary: Uint8Array | null;
}

/** What a worker is started with. */
export interface WorkerStart<J extends Job> {
  readonly job: J;
  /** One 32-bit word; not 0 once the work is to end with what is known. */
  readonly stop: SharedArrayBuffer;
}

/** To a worker: judge this policy on this CPU. */
export interface WorkerRequest {
  readonly policy: string;
  readonly cpu: string;
}

/** From a worker that has met an exception. */
export interface WorkerCrash<P> {
  readonly kind: 'bug';
  readonly stack: string;
  /** The schedule up to the exception, if the exception has it. */
  readonly token: string | null;
  /** How far the work was before it. */
  readonly progress: P | null;
}

/** From a worker. */
export type WorkerReply<P, R> =
  | { readonly kind: 'progress'; readonly progress: P }
  | { readonly kind: 'result'; readonly result: R }
  | WorkerCrash<P>;

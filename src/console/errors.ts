/** What ends a command other than its result. */

/** A mistake in how vlbr is used: the message says what to do, and there is no stack to show. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}

/** What was to be written can't be: the message says where and why. */
export class WriteError extends Error {
  override readonly name: string = 'WriteError';
}

/** A bug of the model that came up in a worker, with what is known of how to see it again. */
export class WorkerBug extends Error {
  override readonly name: string = 'WorkerBug';
  /** Lines that say which run it was. */
  readonly advice: readonly string[];
  /** Whether a kernel's C code was running: then it may be its bug. */
  readonly inKernel: boolean;

  constructor(stack: string, advice: readonly string[], inKernel = false) {
    super('a campaign ended in an exception');
    this.stack = stack;
    this.advice = advice;
    this.inKernel = inKernel;
  }
}

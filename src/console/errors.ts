/** What ends a command other than its result. */

/** Exit codes, as `vlbr --help` lists them. */
export const EXIT_EXPECTED = 0;
export const EXIT_UNEXPECTED = 1;
export const EXIT_USAGE = 2;
export const EXIT_BUG = 3;
/** An exploration that was cut short. */
export const EXIT_TRUNCATED = 4;
/** 128 + SIGINT, as shells report it. */
export const EXIT_INTERRUPTED = 130;

/** A mistake in how vlbr is used: the message says what to do, and there is no stack to show. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
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

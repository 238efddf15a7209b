/** The given tools, tree or patch cannot be used. The message says what to do. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError';
}

/** A tree can't be built, and the other one perhaps can. */
export class NotBuilt extends KernelError {}

/** Patches change no file that runs here. */
export class NothingRuns extends KernelError {}

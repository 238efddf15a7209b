/** A claim of the model about itself was broken: a bug of vlbr, never a verdict about a policy. */
export class ModelInvariantError extends Error {
  override readonly name: string = 'ModelInvariantError';
}

/**
 * States what must hold inside the model.
 *
 * @throws ModelInvariantError when it does not.
 */
export function assert(condition: boolean, what: string): asserts condition {
  if (!condition) throw new ModelInvariantError(what);
}

/** Ends every switch over a union, so that the compiler names the case that was forgotten. */
export function unreachable(x: never): never {
  throw new ModelInvariantError(`unreachable: ${String(x)}`);
}

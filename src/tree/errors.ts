/** The given tools, tree or patch cannot be used. The message says what to do. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError';
}

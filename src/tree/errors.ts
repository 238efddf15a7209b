/** Something is wrong with the tools, the tree or the patch that were given; says what to do. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError';
}

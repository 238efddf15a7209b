/** What a run that counts says of coverage, or why it says nothing. */
import { KernelError } from '../../tree/errors.js';

export interface Counted<Coverage> {
  readonly coverage: Coverage | null;
  /** Why there is no coverage; empty if there is some, or if the run was interrupted first. */
  readonly coverageProblem: string;
}

/** Of the sequences or schedules, those that are run again to count. */
export const COUNTED_MAX = 3000;

/** A compiled module can't count: no lines are known of it. */
export const NO_SOURCE = 'a compiled module does not have the source';

/**
 * Counts, unless the work was interrupted before.
 *
 * @param count - returns null after an interruption. @throws KernelError if nothing can be counted.
 */
export async function countedBy<Coverage>(
  worker: { readonly interrupted: boolean },
  count: () => Promise<Coverage | null>,
): Promise<Counted<Coverage>> {
  if (worker.interrupted) return { coverage: null, coverageProblem: '' };
  try {
    return { coverage: await count(), coverageProblem: '' };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { coverage: null, coverageProblem: error.message };
  }
}

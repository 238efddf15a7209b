/** `vlbr conform`: the port against a kernel's whole path, or against its lbr.c alone. */
import { UsageError } from '../../console/errors.js';
import { conformLbr } from './conform_lbr.js';
import type { ConformOptions } from './options.js';
import { conformWhole } from './whole/conform_whole.js';

/** Returns the exit code. @throws UsageError before anything has run. */
export async function conform(options: ConformOptions): Promise<number> {
  const { driver, kernelSrc, policy } = options;
  const isFile = kernelSrc?.endsWith('.c') === true;
  if (driver !== 'lbr.c' && !isFile) return conformWhole(options);
  if (driver === 'kernel') {
    throw new UsageError(
      `${kernelSrc}: --driver kernel takes a tree; for one file, --driver lbr.c`,
    );
  }
  if (policy !== undefined) {
    throw new UsageError('--policy is for the whole path: an lbr.c is called without a host');
  }
  return conformLbr(options);
}

/** The kernel whose lbr.c the tests run, if this machine has a source tree and a compiler. */
import { execFileSync } from 'node:child_process';
import type { KernelBinary } from '../../src/tree/binary.js';
import { buildKernel } from '../../src/tree/build.js';
import { KernelError } from '../../src/tree/errors.js';
import { installedKernel, type KernelSource, readKernelSource } from '../../src/tree/source.js';

function found(): KernelSource | null {
  try {
    execFileSync('clang', ['--version']);
    return readKernelSource(installedKernel());
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!missing && !(error instanceof KernelError)) throw error;
    const why = missing ? 'clang is not installed (apt-get install clang lld)' : error.message;
    console.warn(`\nSKIPPED: what runs the C file of a kernel, since ${why}\n`);
    return null;
  }
}

/** The source. If it is null, the reason has been printed. */
export const installedSource: KernelSource | null = found();

export function installedBinary(): KernelBinary {
  if (installedSource === null) throw new Error('tests that need a kernel are skipped without one');
  return buildKernel(installedSource);
}

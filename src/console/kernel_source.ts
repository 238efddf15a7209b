/** The options that say which kernel's lbr.c to run. */
import { readFileSync } from 'node:fs';
import { KERNEL_VERSIONS, type KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { PORT } from '../guest/perf/lbr_port.js';
import { type KernelBinary, kernelBinary, KernelBinaryError } from '../tree/binary.js';
import { buildKernel, cacheFolder } from '../tree/build.js';
import { kernelDriver } from '../tree/driver.js';
import { KernelError } from '../tree/errors.js';
import { treeImage, type TreeImage } from '../tree/image/image.js';
import { installedKernel, type KernelSource, readKernelSource } from '../tree/source.js';
import { UsageError } from './errors.js';

export interface DriverOptions {
  readonly driver?: 'port' | 'kernel';
  readonly kernelSrc?: string;
  readonly kernel?: KernelVersion;
}

/**
 * The compiled lbr.c to run, or null for the port. A source that is given is one to run.
 *
 * @throws UsageError when it can't be had.
 */
export function askedBinary({ driver, kernelSrc, kernel }: DriverOptions): KernelBinary | null {
  if (driver === 'port' && kernelSrc !== undefined) {
    throw new UsageError('--kernel-src is for --driver kernel');
  }
  if (driver !== 'kernel' && kernelSrc === undefined) return null;
  if (kernel !== undefined && kernel !== KERNEL_VERSIONS[0]) {
    throw new UsageError(
      `--kernel ${kernel} is a variant of the port; for the C file of a ${kernel} kernel, leave ` +
        'it out and give the tree with --kernel-src',
    );
  }
  return kernelAt(kernelSrc).binary;
}

/** A compiled lbr.c, and its source where there is one. */
export interface FoundKernel {
  readonly binary: KernelBinary;
  readonly source: KernelSource | null;
}

/**
 * Compiles the lbr.c of a tree, a tar or a file, or reads what `vlbr kernel build` wrote.
 *
 * @param path - by default, what Debian's package installed.
 * @throws UsageError when it can't be had.
 */
export function kernelAt(path?: string): FoundKernel {
  return explained(path, () => {
    const from = path ?? installedKernel();
    if (from.endsWith('.wasm')) return { binary: kernelBinary(readFileSync(from)), source: null };
    const source = readKernelSource(from);
    return { binary: buildKernel(source), source };
  });
}

/**
 * Builds the image of a tree or of a tar.
 *
 * @param path - by default, what Debian's package installed.
 * @throws UsageError when it can't be had.
 */
export async function imageAt(path?: string): Promise<TreeImage> {
  try {
    return await treeImage(path ?? installedKernel(), cacheFolder());
  } catch (error) {
    throw usageError(path, error);
  }
}

/** Runs something, and makes what is wrong with a tree or a tool a mistake of usage. */
export function explained<T>(path: string | undefined, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw usageError(path, error);
  }
}

function usageError(path: string | undefined, error: unknown): unknown {
  if (error instanceof KernelError) return new UsageError(error.message);
  if (error instanceof KernelBinaryError) return new UsageError(`${path}: ${error.message}`);
  // The system's message names the call and the file.
  if (error instanceof Error && 'syscall' in error) return new UsageError(error.message);
  return error;
}

/** The options again, as words of a command line. */
export function driverWords({ driver, kernelSrc }: DriverOptions): string[] {
  if (kernelSrc !== undefined) return ['--kernel-src', kernelSrc];
  return driver === 'kernel' ? ['--driver', driver] : [];
}

/** The driver for a binary, or the port. */
export function driverFor(binary: KernelBinary | null): DriverKind {
  return binary === null ? PORT : kernelDriver(binary);
}

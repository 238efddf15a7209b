/** The options that say which kernel's code to run. */
import { readFileSync } from 'node:fs';
import { KERNEL_VERSIONS, type KernelVersion, portOf } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { kvmOf } from '../host/policy/kvm.js';
import type { LbrPolicy } from '../host/policy/policy.js';
import { type KernelBinary, kernelBinary, KernelBinaryError } from '../tree/binary.js';
import type { KernelInfo } from '../tree/binary.js';
import { buildKernel, cacheFolder } from '../tree/build.js';
import { kernelDriver } from '../tree/driver.js';
import { KernelError } from '../tree/errors.js';
import {
  imageDriver,
  imageOf,
  treeImage,
  type BuiltImage,
  type TreeImage,
} from '../tree/image/image.js';
import { installedKernel, type KernelSource, readKernelSource } from '../tree/source.js';
import { namesKvm } from './arguments.js';
import type { DriverName } from './drivers.js';
import { UsageError } from './errors.js';

export interface DriverOptions {
  readonly driver?: DriverName;
  readonly kernelSrc?: string;
  readonly kernel?: KernelVersion;
  /** A list of policies; the KVM of the tree may be among them. */
  readonly policy?: string;
}

/** Code of a kernel that is to run in place of the port, or of its lbr.c. */
export interface KernelCode {
  readonly bytes: Uint8Array;
  readonly info: KernelInfo;
  readonly driver: DriverKind;
}

/**
 * The kernel's code to run, or null for the port. A source that is given is one to run: of a tree,
 * the whole path; of an lbr.c, that file.
 *
 * @throws UsageError when it can't be had.
 */
export async function askedCode(options: DriverOptions): Promise<KernelCode | null> {
  const { driver, kernelSrc, policy } = options;
  const withKvm = policy !== undefined && namesKvm(policy);
  const drivers = '--driver kernel and --driver lbr.c';
  const instead =
    `for the C code of a ${options.kernel} kernel, leave it out and give the tree with ` +
    '--kernel-src';
  const forCode = asksForCode(options, drivers, instead);
  const isFile = driver === 'lbr.c' || /\.(?:c|wasm)$/.test(kernelSrc ?? '');
  if (withKvm && (!forCode || isFile)) {
    throw new UsageError('--policy kvm is the KVM of a kernel tree: name the tree by --kernel-src');
  }
  if (!forCode) return null;
  if (driver === 'lbr.c' || kernelSrc?.endsWith('.c') === true) return lbrCode(driver, kernelSrc);
  return explainedAsync(kernelSrc, async () => {
    if (kernelSrc?.endsWith('.wasm') === true) return codeOf(readFileSync(kernelSrc));
    const tree = kernelSrc ?? installedKernel();
    return codeOfImage(await treeImage(tree, cacheFolder(), { kvm: withKvm }));
  });
}

/** The version of the port that options ask for; null if they ask for a tree's C. */
export function askedPort(
  options: DriverOptions & { readonly kernel: KernelVersion },
): KernelVersion | null {
  const { driver, kernelSrc, kernel } = options;
  const isPort = driver === undefined ? kernelSrc === undefined : driver === 'port';
  return isPort ? kernel : null;
}

/**
 * Whether options ask for a kernel's code, and not for the port.
 *
 * @param drivers - what --kernel-src is for.
 * @param instead - what to do instead of giving a variant of the port.
 * @throws UsageError when they contradict one another.
 */
function asksForCode(options: DriverOptions, drivers: string, instead: string): boolean {
  const { driver = 'port', kernelSrc, kernel } = options;
  if (options.driver === 'port' && kernelSrc !== undefined) {
    throw new UsageError(`--kernel-src is for ${drivers}`);
  }
  if (driver === 'port' && kernelSrc === undefined) return false;
  if (kernel !== undefined && kernel !== KERNEL_VERSIONS[0]) {
    throw new UsageError(`--kernel ${kernel} is a variant of the port; ${instead}`);
  }
  return true;
}

function lbrCode(driver: DriverName | undefined, path: string | undefined): KernelCode {
  if (driver === 'kernel') {
    throw new UsageError(`${path}: --driver kernel takes a tree; for one file, --driver lbr.c`);
  }
  return codeOfLbr(kernelAt(path).binary);
}

/** A policy as it is with a kernel's code: the KVM of a tree is that of its version. */
export function policyFor(policy: LbrPolicy, code: KernelCode | null): LbrPolicy {
  return policy.ofTree === true && code !== null ? kvmOf(code.info.version) : policy;
}

/**
 * Whether code runs schedules for a version of the port: those for 6.1 all code runs, and others
 * that of their own version.
 */
export function runsSchedulesOf({ driver, info }: KernelCode, kernel: KernelVersion): boolean {
  const own = driver.image === undefined ? '6.1' : portOf(info.version);
  return kernel === '6.1' || kernel === own;
}

/** A compiled lbr.c as code to run. */
export function codeOfLbr(binary: KernelBinary): KernelCode {
  return { bytes: binary.bytes, info: binary.info, driver: kernelDriver(binary) };
}

/** The image of a tree as code to run. */
export function codeOfImage(image: TreeImage): KernelCode {
  return { bytes: image.bytes, info: image.info, driver: imageDriver(image) };
}

/**
 * The code in the bytes of a module that `vlbr kernel build` wrote.
 *
 * @throws KernelBinaryError if it wrote no such module.
 */
export function codeOf(bytes: Uint8Array): KernelCode {
  const image = imageOf(bytes);
  return image === null ? codeOfLbr(kernelBinary(bytes)) : codeOfImage(image);
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
export async function imageAt(path?: string): Promise<BuiltImage> {
  return explainedAsync(path, () => treeImage(path ?? installedKernel(), cacheFolder()));
}

/** Runs something, and makes what is wrong with a tree or a tool a mistake of usage. */
export function explained<T>(path: string | undefined, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw usageError(path, error);
  }
}

/** The same for what takes its time. */
export async function explainedAsync<T>(
  path: string | undefined,
  run: () => Promise<T>,
): Promise<T> {
  try {
    return await run();
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
  const named = driver === undefined || (driver === 'port' && kernelSrc === undefined);
  return [
    ...(named ? [] : ['--driver', driver]),
    ...(kernelSrc === undefined ? [] : ['--kernel-src', kernelSrc]),
  ];
}

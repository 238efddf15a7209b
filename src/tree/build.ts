/** Compiles lbr.c, as it is, to WebAssembly; what was compiled once is kept. */
import type { StdioOptions } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import type { KernelBinary } from './binary.js';
import { kernelBinary, withInfo } from './binary.js';
import { driftMacros, includedHeaders } from './drift.js';
import { KernelError } from './errors.js';
import { explain } from './explain.js';
import type { KernelSource } from './source.js';

/** The build puts a copy beside the code. */
const SHIM: string = fileURLToPath(new URL('./shim/', import.meta.url));

/** Compiler flags, with those of the kernel's that change the meaning of code. */
const COMPILE: readonly string[] = [
  '--target=wasm32',
  '-std=gnu11',
  '-ffreestanding',
  '-nostdlib',
  '-nostdinc',
  '-mmutable-globals',
  '-mbulk-memory',
  '-fno-strict-aliasing',
  '-fwrapv',
  '-fno-delete-null-pointer-checks',
  '-Werror=implicit-function-declaration',
];

const LINK: readonly string[] = [
  '-Wl,--no-entry',
  // What is below is the null page, in which nothing may come to lie.
  '-Wl,--global-base=1024',
  '-Wl,--import-memory',
  '-Wl,--export=__stack_pointer',
  '-Wl,--export=__global_base',
  '-Wl,--export=__data_end',
  // Stacks are the loader's business; the linker's own is not used.
  '-Wl,-z,stack-size=16',
];

/** For lbr.c when it is to count what runs; `inline` is then what the kernel means by it. */
const INSTRUMENT: readonly string[] = [
  '-O0',
  '-fgnu89-inline',
  '-fprofile-arcs',
  '-ftest-coverage',
];

/** The file of an instrumented build that says which counter is where in the source. */
export const COVERAGE_NOTES = 'lbr.gcno';

/** The folder for what was compiled. */
export function cacheFolder(): string {
  return envPaths('vlbr', { suffix: '' }).cache;
}

/**
 * Compiles a source, or finds it among what was compiled before.
 *
 * @throws KernelError when a tool is missing, or the file can't be compiled: the message names the
 * first thing that stands in the way.
 */
export function buildKernel(source: KernelSource): KernelBinary {
  const kept = cachedPath(source);
  if (existsSync(kept)) return kernelBinary(readFileSync(kept));
  const bytes = compileKernel(source);
  const binary = kernelBinary(bytes);
  keep(kept, bytes);
  return binary;
}

/** Keeps what was compiled; where that can't be, it is compiled again the next time. */
function keep(path: string, bytes: Uint8Array): void {
  // Another process may be at the same file.
  const temporary = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
  }
}

/** Where what is compiled from a source is kept. */
export function cachedPath(source: KernelSource): string {
  return join(cacheFolder(), `${contentKey(source)}.wasm`);
}

/** Everything that the compiled module depends on. */
function contentKey({ text, info }: KernelSource): string {
  const hash = createHash('sha256');
  const shim = readdirSync(SHIM).sort();
  for (const name of shim) hash.update(readFileSync(join(SHIM, name)));
  hash.update(JSON.stringify([text, info, COMPILE, LINK, clang(['--version'])]));
  return hash.digest('hex');
}

function compileKernel(source: KernelSource): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'vlbr-'));
  try {
    return compileIn(folder, source, [], []);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Compiles a source so that it counts what runs.
 *
 * @param folder - an empty one, in which clang leaves what `llvm-cov gcov` reads: COVERAGE_NOTES.
 * @throws KernelError as buildKernel() does.
 */
export function buildInstrumented(source: KernelSource, folder: string): KernelBinary {
  return kernelBinary(compileIn(folder, source, INSTRUMENT, ['gcov.c']));
}

/**
 * The compiler runs in the folder and is given paths from there, so that nothing that it writes
 * depends on where the folder lies. Clang shortens a path that begins like its own working
 * directory; `llvm-cov`, which runs in the folder, would not find the file by what is left.
 *
 * @param lbrFlags - for lbr.c alone; `parts` are linked with it and the driver.
 */
function compileIn(
  folder: string,
  source: KernelSource,
  lbrFlags: readonly string[],
  parts: readonly string[],
): Uint8Array {
  layOut(folder, source.text);
  const common = [...COMPILE, ...driftMacros(source.text).map((macro) => `-D${macro}`)];
  const flags = [...common, '-Iinclude', '-O2'];
  const run = (args: readonly string[]): void => compile([...flags, ...args], folder, source);
  run([...lbrFlags, '-c', 'intel/lbr.c', '-o', 'lbr.o']);
  run([...LINK, 'driver.c', ...parts, 'lbr.o', '-o', 'out.wasm']);
  return withInfo(readFileSync(join(folder, 'out.wasm')), source.info);
}

/** Places lbr.c where its `#include "../perf_event.h"` and every other include finds the shim. */
function layOut(folder: string, text: string): void {
  for (const name of readdirSync(SHIM)) {
    writeFileSync(join(folder, name), readFileSync(join(SHIM, name)));
  }
  const include = resolve(folder, 'include');
  for (const header of includedHeaders(text)) {
    const path = resolve(include, header);
    // A file that is reviewed must not choose what is written where.
    if (!path.startsWith(`${include}${sep}`)) {
      throw new KernelError(`lbr.c includes <${header}>, which the shim does not have`);
    }
    mkdirSync(dirname(path), { recursive: true });
    const shim = relative(dirname(path), resolve(folder, 'perf_event.h')).replaceAll(sep, '/');
    writeFileSync(path, `#include "${shim}"\n`);
  }
  mkdirSync(join(folder, 'intel'));
  writeFileSync(join(folder, 'intel/lbr.c'), text);
}

/**
 * @param folder - where it runs and keeps temporary files. TMPDIR may be relative to our working
 * directory, and clang replaces each `%` in it with a random digit.
 */
function clang(args: readonly string[], folder?: string): string {
  const there = folder && { cwd: folder, env: { ...process.env, TMPDIR: '.' } };
  try {
    const stdio: StdioOptions = ['ignore', 'pipe', 'pipe'];
    return execFileSync('clang', args, { ...there, encoding: 'utf8', stdio });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      throw new KernelError('clang is not installed; install it: apt-get install clang lld');
    }
    throw error;
  }
}

function compile(args: readonly string[], folder: string, source: KernelSource): void {
  try {
    clang(args, folder);
  } catch (error) {
    if (!(error instanceof Error) || !('stderr' in error)) throw error;
    throw new KernelError(explain(String(error.stderr), source));
  }
}

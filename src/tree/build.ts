/** Compiles an unchanged lbr.c to WebAssembly. Compiled modules are kept in a cache. */
import { execFileSync, type StdioOptions } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import type { Definitions } from '../guest/perf/lbr_driver.js';
import { type KernelBinary, kernelBinary, withDefinitions, withInfo } from './binary.js';
import { definitionsIn } from './definitions.js';
import { driftMacros, includedHeaders } from './drift.js';
import { KernelError } from './errors.js';
import { explain } from './explain.js';
import { COUNT_ARCS, GCOV_C } from './gcov/gcov.js';
import { place } from './place.js';
import { type KernelSource, LBR_PATH } from './source.js';
import { discard, scratchFolder } from './scratch.js';

/** The build puts a copy beside the code. */
const SHIM: string = fileURLToPath(new URL('./shim/', import.meta.url));

/** The kernel's own flags, as far as they change the meaning of code. */
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
  // An unknown macro around a declaration reads as an int; what follows from it is told.
  '-Wno-error=implicit-int',
];

const LINK: readonly string[] = [
  '-Wl,--no-entry',
  // The bytes below are the null page, where nothing may lie.
  '-Wl,--global-base=1024',
  '-Wl,--import-memory',
  '-Wl,--export=__stack_pointer',
  '-Wl,--export=__global_base',
  '-Wl,--export=__data_end',
  // driver.ts places the stacks, so the linker's own stack is not used.
  '-Wl,-z,stack-size=16',
];

/** Makes lbr.c count executed code. -fgnu89-inline gives `inline` the kernel's meaning. */
const INSTRUMENT: readonly string[] = ['-O0', '-fgnu89-inline', ...COUNT_ARCS];

/** The file of an instrumented build that gives the source place of each counter. */
export const COVERAGE_NOTES = 'lbr.gcno';

/** The folder of the cache. */
export function cacheFolder(): string {
  return envPaths('vlbr', { suffix: '' }).cache;
}

/**
 * Compiles a source, or takes the compiled module from the cache.
 *
 * @throws KernelError if a tool is missing or the file cannot be compiled. The message names the
 * first problem.
 */
export function buildKernel(source: KernelSource): KernelBinary {
  const kept = cachedPath(source);
  if (existsSync(kept)) return kernelBinary(readFileSync(kept));
  const bytes = compileKernel(source);
  const binary = kernelBinary(bytes);
  keep(kept, bytes);
  return binary;
}

/** Writes a module to the cache. If that fails, the next run compiles again. */
function keep(path: string, bytes: Uint8Array): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    place(path, bytes);
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error;
  }
}

/** The path in the cache for a source. */
export function cachedPath(source: KernelSource): string {
  return join(cacheFolder(), `${contentKey(source)}.wasm`);
}

/** A hash of everything on which the compiled module depends. */
function contentKey({ text, info }: KernelSource): string {
  const hash = createHash('sha256');
  const shim = readdirSync(SHIM).sort();
  for (const name of shim) hash.update(readFileSync(join(SHIM, name)));
  const parts = [text, info, COMPILE, LINK, clang(['--version']), [...definitionsOf(text)]];
  hash.update(JSON.stringify(parts));
  return hash.digest('hex');
}

function definitionsOf(text: string): Definitions {
  return definitionsIn([[LBR_PATH, text]]);
}

function compileKernel(source: KernelSource): Uint8Array {
  const folder = scratchFolder();
  try {
    return compileIn(folder, source, [], []);
  } finally {
    discard(folder);
  }
}

/**
 * Compiles a source so that it counts executed code.
 *
 * @param folder - an empty folder. clang leaves COVERAGE_NOTES there, which `llvm-cov gcov` reads.
 * @throws KernelError as buildKernel() does.
 */
export function buildInstrumented(source: KernelSource, folder: string): KernelBinary {
  // Its static data has to fit where driver.ts keeps it.
  return kernelBinary(compileIn(folder, source, INSTRUMENT, ['-DFUNCTIONS_MAX=256', GCOV_C]));
}

/**
 * clang runs in `folder` and is given relative paths, so that its output does not depend on the
 * place of the folder. From an absolute path clang would cut what it shares with the working
 * directory, and `llvm-cov`, which also runs in the folder, could not find the rest.
 *
 * @param lbrFlags - flags for lbr.c only.
 * @param parts - further C files to link, and flags for them.
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
  const wasm = withInfo(readFileSync(join(folder, 'out.wasm')), source.info);
  return withDefinitions(wasm, definitionsOf(source.text));
}

/** Places lbr.c so that `#include "../perf_event.h"` and every other include find the shim. */
function layOut(folder: string, text: string): void {
  for (const name of readdirSync(SHIM)) {
    writeFileSync(join(folder, name), readFileSync(join(SHIM, name)));
  }
  const include = resolve(folder, 'include');
  for (const header of includedHeaders(text)) {
    const path = resolve(include, header);
    // The reviewed file must not choose where files are written.
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
 * @param folder - working directory and place of temporary files. TMPDIR may be relative to the
 * working directory of this process, and clang replaces each `%` in TMPDIR with a random digit.
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

/**
 * Compiling an lbr.c. The files here are small: they define the functions that perf calls, with
 * nearly empty bodies.
 */
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { appendFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { buildKernel, cachedPath, cacheFolder } from '../../src/tree/build.js';
import { KernelError } from '../../src/tree/errors.js';
import { explain } from '../../src/tree/explain.js';
import { type KernelSource, kernelSource } from '../../src/tree/source.js';
import { clangOf, lbrC } from '../rig/stub_lbr.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-build-'));
const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

const { missing, path: clang } = clangOf(ROOT);

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(KernelError);
    return error instanceof Error ? error.message : '';
  }
  return 'nothing is wrong';
}

function messageFor(text: string): string {
  return messageOf(() => buildKernel(kernelSource(text, '7.2')));
}

/** A folder for PATH with one program in it. */
function programFolder(name: string, script: string): string {
  const folder = mkdtempSync(join(ROOT, 'bin-'));
  const program = join(folder, name);
  writeFileSync(program, `#!/bin/sh\n${script}\n`);
  chmodSync(program, 0o755);
  return folder;
}

beforeAll(() => vi.stubEnv('XDG_CACHE_HOME', join(ROOT, 'cache')));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(ROOT, { recursive: true });
});

/** Calls `act` with `folder` before PATH, or with `folder` as the whole PATH. */
function withPath<T>(folder: string, alone: boolean, act: () => T): T {
  const path = process.env.PATH ?? '';
  vi.stubEnv('PATH', alone ? folder : `${folder}${delimiter}${path}`);
  try {
    return act();
  } finally {
    vi.stubEnv('PATH', path);
  }
}

describe.skipIf(missing !== '')('buildKernel', () => {
  it('a binary always says where it is from', () => {
    const source = kernelSource(lbrC(), '7.2');
    expect(buildKernel(source).info).toEqual(source.info);
  });
  it('a binary that was compiled before is always found, and never compiled twice', () => {
    const source = kernelSource(lbrC({}, '/* Cached. */'), '7.2');
    const first = buildKernel(source);
    // This clang prints its version but compiles nothing.
    const folder = programFolder('clang', `[ "$1" = --version ] && exec ${clang} "$1"; exit 1`);
    const second = withPath(folder, false, () => buildKernel(source));
    expect(Buffer.compare(second.bytes, first.bytes)).toBe(0);
    const other = kernelSource(lbrC({}, '/* Other. */'), '7.2');
    expect(() => withPath(folder, false, () => buildKernel(other))).toThrow(KernelError);
    expect(readdirSync(cacheFolder()).filter((name) => !name.endsWith('.wasm'))).toEqual([]);
  });
  it('one text, version or compiler is never taken for another', () => {
    const other = programFolder('clang', 'echo some other clang');
    const sources = [kernelSource(lbrC(), '7.2'), kernelSource(lbrC(), '7.3'), kernelSource('')];
    const paths = [...sources, ...sources].map((source, i) =>
      i < sources.length ? cachedPath(source) : withPath(other, false, () => cachedPath(source)),
    );
    expect(new Set(paths).size).toBe(paths.length);
    expect(cachedPath(kernelSource(lbrC(), '7.2'))).toBe(paths[0]);
  });
  it('what another shim compiled is never taken', async () => {
    const copy = join(ROOT, 'copy');
    cpSync(join(REPOSITORY, 'src'), join(copy, 'src'), { recursive: true });
    symlinkSync(join(REPOSITORY, 'node_modules'), join(copy, 'node_modules'));
    const url = pathToFileURL(join(copy, 'src/tree/build.ts')).href;
    const build = (await import(url)) as { cachedPath(source: KernelSource): string };
    const source = kernelSource(lbrC(), '7.2');
    expect(build.cachedPath(source)).toBe(cachedPath(source));
    appendFileSync(join(copy, 'src/tree/shim/perf_event.h'), '\n');
    expect(build.cachedPath(source)).not.toBe(cachedPath(source));
  });
  it('a header that would lie somewhere else is always refused', () => {
    for (const header of ['../../evil.h', '/evil.h', '..']) {
      const text = lbrC({}, `#include <${header}>`);
      expect(() => buildKernel(kernelSource(text))).toThrow(
        `lbr.c includes <${header}>, which the shim does not have`,
      );
    }
  });

  it('the shim is always included for any header in angle brackets', () => {
    expect(messageFor(`#include <asm/no/such.h>\n${lbrC()}`)).toBe('nothing is wrong');
  });
});

describe.skipIf(missing !== '')('what is wrong with an lbr.c', () => {
  const inReset = (body: string): string => lbrC({ intel_pmu_lbr_reset: body });
  const lacks = (line: number, name: string, code: string): string =>
    `lbr.c of Linux 7.2: line ${line} uses ${name}, which the shim does not have: ${code}`;

  it.each([
    ['a function', 'perf_frob(1);', 'perf_frob'],
    ['a constant', 'x86_pmu.lbr_nr = FROB_MAX;', 'FROB_MAX'],
    ['a member', 'x86_pmu.lbr_frob = 1;', 'lbr_frob of struct x86_pmu'],
    ['a type', 'frob_t x;', 'frob_t'],
    ['a structure', 'struct frob x;', 'struct frob'],
    ['the inside of a structure', 'struct frob *x = 0; x->y = 1;', 'struct frob'],
  ])('%s that the shim lacks is always named, with its line', (_what, code, name) => {
    expect(messageFor(inReset(code))).toBe(lacks(5, name, code));
  });
  it('a type of a parameter and a macro around a declaration are always named', () => {
    const parameter = 'void frob(frob_t x);';
    expect(messageFor(lbrC({}, parameter))).toBe(lacks(3, 'frob_t', parameter));
    const macro = 'static DEFINE_FROB(x);';
    expect(messageFor(lbrC({}, macro))).toBe(lacks(3, 'DEFINE_FROB', macro));
  });
  it('a header that does not exist is always named', () => {
    expect(messageFor(lbrC({}, '#include "../frob.h"'))).toBe(
      'lbr.c of Linux 7.2: line 3 includes ../frob.h, which the shim does not have',
    );
  });
  it('a function that is declared and nowhere defined is always named', () => {
    const text = inReset('perf_frob();').replace('/* Nothing. */', 'extern void perf_frob(void);');
    expect(messageFor(text)).toBe(
      'lbr.c of Linux 7.2: line 3 uses perf_frob(), which neither it nor the shim defines',
    );
  });
  it('a function that perf calls and the file lacks is always named', () => {
    const text = lbrC().replaceAll('intel_pmu_lbr_del', 'intel_pmu_lbr_gone');
    expect(messageFor(text)).toBe(
      'lbr.c of Linux 7.2: it does not define intel_pmu_lbr_del(), which perf calls',
    );
  });
  it('a function with other parameters than the shim passes is always named', () => {
    const text = lbrC({ intel_pmu_lbr_sched_task: '' }).replace('sched_in)', 'sched_in, int frob)');
    expect(messageFor(text)).toMatch(
      /^lbr\.c of .* line 4 does not define intel_pmu_lbr_sched_task as the shim knows it: void/,
    );
  });
  it('a text that is no C always gets the line of its error', () => {
    expect(messageFor(inReset('x86_pmu.lbr_nr = (;'))).toBe(
      'lbr.c of Linux 7.2: line 5 does not compile: expected expression: x86_pmu.lbr_nr = (;',
    );
  });
  it('the version of a file without one is always left out', () => {
    const act = (): unknown => buildKernel(kernelSource(inReset('perf_frob(1);')));
    expect(messageOf(act)).toMatch(/^lbr\.c: line 5 uses perf_frob,/);
  });
  it('a temporary folder is never left behind', () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('vlbr-'));
    vi.stubEnv('TMPDIR', join(ROOT, 'tmp'));
    mkdirSync(join(ROOT, 'tmp'));
    messageFor(inReset('perf_frob(2);'));
    messageFor(lbrC({}, '/* Temporary. */'));
    vi.stubEnv('TMPDIR', undefined);
    expect(readdirSync(join(ROOT, 'tmp'))).toEqual([]);
    expect(before.length).toBeGreaterThan(0);
  });
});

describe('what is wrong with the tools', () => {
  const source = kernelSource(lbrC({}, '/* No tools. */'), '7.2');

  it('a missing clang is always told, and how to get it', () => {
    mkdirSync(join(ROOT, 'none'));
    const act = (): string => messageOf(() => buildKernel(source));
    expect(withPath(join(ROOT, 'none'), true, act)).toBe(
      'clang is not installed; install it: apt-get install clang lld',
    );
  });
  it.each([
    `clang: error: unable to execute command: Executable "wasm-ld-14" doesn't exist!`,
    `clang: error: invalid linker name in argument '-fuse-ld=lld'\nwasm-ld: not found`,
  ])('a missing linker is always told: %s', (stderr) => {
    const folder = programFolder(
      'clang',
      `[ "$1" = --version ] && echo 1 && exit 0\ncat >&2 <<'END'\n${stderr}\nEND\nexit 1`,
    );
    const act = (): string => messageOf(() => buildKernel(source));
    expect(withPath(folder, false, act)).toBe(
      'clang finds no linker; install it: apt-get install lld',
    );
  });
  it('a clang without WebAssembly is always told', () => {
    const stderr = `error: unable to create target: 'No available targets are compatible with it'`;
    expect(explain(stderr, source)).toMatch(/^this clang does not compile to WebAssembly; install/);
  });
  it('an error that nobody knows is always passed on', () => {
    expect(explain('clang: error: frob\nmore\n', source)).toBe(
      'lbr.c of Linux 7.2: clang says: clang: error: frob',
    );
    expect(explain('/t/driver.c:7:3: error: frob\n', source)).toBe(
      'lbr.c of Linux 7.2: the shim does not compile with it: driver.c:7: frob',
    );
  });
});

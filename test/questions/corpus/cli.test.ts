/** `vlbr corpus`, built and run as a user runs it. */
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtFolder } from '../../rig/built.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HOOK_MS = 120_000;

/** A separate clone, whose corpus the tests may change. */
let clone = '';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function vlbr(...args: readonly string[]): Ended {
  const env = { ...process.env, XDG_CACHE_HOME: join(clone, '.cache') };
  const cli = join(clone, 'dist', 'cli.js');
  return spawnSync(process.execPath, [cli, 'corpus', ...args], { encoding: 'utf8', env });
}

/** Expects a usage error: a message that matches, nothing else, and no stack. */
function expectUsageError(ended: Ended, message: RegExp): void {
  expect(ended.stderr).toMatch(message);
  expect(ended.stderr).toMatch(/^vlbr: /);
  expect(ended.stderr).not.toMatch(/^\s+at /m);
  expect([ended.stdout, ended.status]).toEqual(['', 2]);
}

interface Json {
  readonly schema: string;
  readonly trials: readonly { readonly name: string; readonly property: string }[];
  readonly outside: readonly { readonly id: string }[];
  readonly survivors: readonly string[];
  readonly notTried: readonly string[];
  readonly kernelProblem: string;
  readonly interrupted: boolean;
}

const json = (text: string): Json => JSON.parse(text) as Json;

/** Removes the times, which alone may differ. */
const timeless = (text: string): string => text.replace(/"elapsed_s": [\d.]+/g, '');

function patchPath(name: string): string {
  return join(clone, 'test', 'corpus', `${name}.patch`);
}

/** Calls `run` while a patch of the clone has another text. */
function withPatch(name: string, text: string, run: () => void): void {
  try {
    writeFileSync(patchPath(name), text);
    run();
  } finally {
    cpSync(join(ROOT, 'test', 'corpus', `${name}.patch`), patchPath(name));
  }
}

beforeAll(async () => {
  clone = mkdtempSync(join(tmpdir(), 'vlbr-corpus-cli-'));
  for (const part of ['src', 'package.json', 'tsup.config.ts', 'tsconfig.json']) {
    cpSync(join(ROOT, part), join(clone, part), { recursive: true });
  }
  cpSync(join(ROOT, 'test', 'corpus'), join(clone, 'test', 'corpus'), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'));
  cpSync(await builtFolder(), join(clone, 'dist'), { recursive: true });
}, HOOK_MS);

afterAll(() => rmSync(clone, { recursive: true, force: true }));

describe('vlbr corpus', () => {
  it('vlbr corpus finds the defects that are asked for, in the order of the corpus', () => {
    const { status, stdout, stderr } = vlbr('--id', 'D05', 'B17', '--id', 'D04', '--json');
    const { schema, trials, outside, survivors, interrupted } = json(stdout);
    expect([status, stderr, schema]).toEqual([0, '', 'vlbr/corpus/2']);
    expect(wrongWithPrinted(stdout)).toEqual([]);
    expect(trials.map(({ name }) => name)).toEqual(['D04', 'D05', 'D05.dual']);
    expect(outside.map(({ id }) => id)).toEqual(['B17']);
    expect([survivors, interrupted]).toEqual([[], false]);
  });

  it('vlbr corpus tells the same in words, and colours no pipe', () => {
    const report = join(clone, 'corpus.tap');
    const { status, stdout } = vlbr('--id', 'D04', '--reporter', `tap=${report}`);
    expect(status).toBe(0);
    expect(readFileSync(report, 'utf8')).toBe(
      'TAP version 13\n1..1\n# vlbr corpus\nok 1 - corpus: D04\n',
    );
    expect(stdout).toMatch(/^D04 +host +sample-true /m);
    expect(stdout).toMatch(
      /^killed: 1 of 1 defect, each by a property that it names \(1 of 1 trial\)$/m,
    );
    expect(stdout).not.toContain('\u001b');
  });

  it('vlbr corpus is the same for the same seed, and another seed finds the defects too', () => {
    const run = (seed: string): string => vlbr('--id', 'D05', '--seed', seed, '--json').stdout;
    expect(timeless(run('3'))).toBe(timeless(run('3')));
    expect(timeless(run('4'))).not.toBe(timeless(run('3')));
    expect(json(run('4')).survivors).toEqual([]);
  });

  it('vlbr corpus exits with 1 if a patch changes nothing, and names it', () => {
    const nothing =
      '--- a/src/host/policy/never.ts\n+++ b/src/host/policy/never.ts\n@@ -1,2 +1,3 @@\n' +
      " import { type LbrPolicy, PASS_THROUGH } from './policy.js';\n" +
      ' \n' +
      '+// Nothing.\n';
    withPatch('D05', nothing, () => {
      const { status, stdout } = vlbr('--id', 'D05', '--runs', '40');
      expect(status).toBe(5);
      expect(stdout).toMatch(/^D05 +policy +SURVIVED +40 /m);
      expect(stdout).toMatch(/^killed: 0 of 1 defect, .* \(1 of 2 trials\);\s+not:\s+D05$/m);
    });
  });

  it('a patch that does not fit src is a mistake of usage', () => {
    withPatch('D05', '--- a/src/host/kvm.ts\n+++ b/src/host/kvm.ts\n@@ -1 +1 @@\n-x\n+y\n', () => {
      expectUsageError(vlbr('--id', 'D05'), /D05\.patch does not apply to src\/host\/kvm\.ts/);
    });
    const broken = '--- a/src/host/kvm.ts\n+++ b/src/host/kvm.ts\n@@ -1 +1,2 @@\n+)(\n /**\n';
    withPatch('D05', broken, () => {
      expectUsageError(vlbr('--id', 'D05'), /src does not build: .*kvm\.ts/);
    });
  });

  it('vlbr corpus always says what is wrong with the command line', () => {
    expectUsageError(vlbr('--id', 'A1'), /there is no defect 'A1'\. Did you mean A01\?/);
    expectUsageError(vlbr('--id', ''), /there is no defect ''/);
    expectUsageError(vlbr('--kernel-src', '/nowhere', '--id', 'A01'), /\/nowhere/);
    for (const [option, value] of [
      ['--runs', '0'],
      ['--runs', 'x'],
      ['--seed', '-1'],
    ] as const) {
      const { status, stderr } = vlbr(option, value);
      expect([status, stderr]).toEqual([2, expect.stringMatching(/It must be a whole number/)]);
    }
    expect(vlbr('A01').status).toBe(2);
    expect(vlbr('--id').status).toBe(2);
    expect(vlbr('--help').stdout).toMatch(/Exit codes:/);
  });

  it('vlbr corpus says that it needs a clone where there is none', () => {
    const bare = mkdtempSync(join(tmpdir(), 'vlbr-bare-'));
    try {
      cpSync(join(clone, 'dist'), join(bare, 'dist'), { recursive: true });
      cpSync(join(clone, 'package.json'), join(bare, 'package.json'));
      mkdirSync(join(bare, 'node_modules'));
      for (const name of ['commander', 'diff', 'fastest-levenshtein', 'jiti', 'picocolors']) {
        symlinkSync(join(ROOT, 'node_modules', name), join(bare, 'node_modules', name));
      }
      for (const name of [
        'env-paths',
        'pure-rand',
        'cli-table3',
        'cli-progress',
        'string-width',
        '@colors',
      ]) {
        symlinkSync(join(ROOT, 'node_modules', name), join(bare, 'node_modules', name));
      }
      const run = (): Ended =>
        spawnSync(process.execPath, [join(bare, 'dist', 'cli.js'), 'corpus'], { encoding: 'utf8' });
      expectUsageError(run(), /no test\/corpus in .*: vlbr corpus needs a clone of its repository/);
      cpSync(join(clone, 'test'), join(bare, 'test'), { recursive: true });
      expectUsageError(run(), /there is no src in .*: vlbr corpus needs a clone/);
    } finally {
      rmSync(bare, { recursive: true, force: true });
    }
  });

  it('vlbr corpus ends at Ctrl-C with what it knows', async () => {
    const never = ['corpus', '--id', 'D04', 'D05', '--runs', '1000000000', '--json'];
    const nothing = '--- a/src/host/kvm.ts\n+++ b/src/host/kvm.ts\n@@ -1 +1,2 @@\n+// x\n /**\n';
    writeFileSync(patchPath('D05'), nothing);
    const child = spawn(process.execPath, [join(clone, 'dist', 'cli.js'), ...never]);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const timer = setTimeout(() => child.kill('SIGINT'), 15_000);
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearTimeout(timer);
    cpSync(join(ROOT, 'test', 'corpus', 'D05.patch'), patchPath('D05'));
    const { interrupted, notTried } = json(stdout);
    expect(stderr).toMatch(/ending with what is known/);
    expect([code, interrupted]).toEqual([4, true]);
    expect(notTried).toContain('D05.dual');
  });

  it.each([3000, 4500])('a Ctrl-C that ends a bundler is never an error, %i ms on', async (ms) => {
    // The command has its own process group, all of which gets the signal, as at a terminal.
    const cli = join(clone, 'dist', 'cli.js');
    const child = spawn(process.execPath, [cli, 'corpus'], { detached: true, stdio: 'ignore' });
    const { pid = 0 } = child;
    expect(pid).toBeGreaterThan(0);
    const timer = setTimeout(() => process.kill(-pid, 'SIGINT'), ms);
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearTimeout(timer);
    expect(code).toBe(4);
  });
});

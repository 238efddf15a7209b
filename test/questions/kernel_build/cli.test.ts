/** The commands that run a kernel's own lbr.c, as a user runs them. */
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import { builtFolder } from '../../rig/built.js';
import { CACHE_HOME, imageVersions } from '../../rig/images.js';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LBR_PATH } from '../../../src/tree/source.js';
import { installedSource } from '../../rig/installed_kernel.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const HOOK_MS = 120_000;

let cli = '';
let folder = '';
const text = installedSource?.text ?? '';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function vlbr(...args: readonly string[]): Ended {
  const env = { ...process.env, CI: '1', FORCE_COLOR: '1', XDG_CACHE_HOME: CACHE_HOME };
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env, cwd: folder });
}

function file(name: string, content: string): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A patch that replaces the match of a pattern in lbr.c. The pattern must match. */
function patchOf(pattern: RegExp, by: string): string {
  const changed = text.replace(pattern, by);
  expect(changed).not.toBe(text);
  return createTwoFilesPatch(`a/${LBR_PATH}`, `b/${LBR_PATH}`, text, changed);
}

/** What `because` says of lines of the C code, which the port has none of. */
const LINES = /^ +because: [^]*?(?=^ {13,}\S)/m;

/** JSON as it is where no line of the C code is named. */
function withoutLines(json: unknown): unknown {
  return JSON.parse(
    JSON.stringify(json, (key, value: unknown) => {
      if (key === 'at' || key === 'calledAt') return undefined;
      return key === 'timeline' ? (value as string[]).join('\n').replace(LINES, '') : value;
    }),
  );
}

/** The driver alone, which is what runs when a C file is given. */
const LBR_C = `tree/${LBR_PATH}`;

/** The line that restores TOS. */
const RESTORE_TOS = /^\twrmsrl\(x86_pmu\.lbr_tos, tos\);\n/m;

interface FindingJson {
  readonly property: string;
  readonly by: string;
  readonly counterexample: { readonly actions: readonly object[]; readonly token: string };
}

interface ReviewJson {
  readonly schema: string;
  readonly lost: readonly FindingJson[];
  readonly gained: readonly FindingJson[];
  readonly notModelled: readonly string[];
  readonly after: { readonly kernelSrc: string; readonly sha256: string };
  readonly accesses: { readonly parted: number; readonly parting: { at: number } | null };
  readonly ok: boolean;
}

describe.skipIf(installedSource === null)("the command line with a kernel's lbr.c", () => {
  beforeAll(async () => {
    cli = join(await builtFolder(), 'cli.js');
    folder = mkdtempSync(join(tmpdir(), 'vlbr-cli-kernel-'));
    file(`tree/${LBR_PATH}`, text);
    file('tree/Makefile', 'VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 99\nEXTRAVERSION = -x\n');
  }, HOOK_MS);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('vlbr kernel build says what it built, and writes it where it is told to', () => {
    const build = ['kernel', 'build', '--driver', 'lbr.c', '--kernel-src', 'tree'];
    const built = vlbr(...build);
    expect([built.status, built.stderr]).toEqual([0, '']);
    expect(built.stdout).toMatch(/^lbr\.c of Linux 6\.1\.99-x, sha256\s+[0-9a-f]{64}$/m);
    const json = vlbr(...build, '-o', 'lbr.wasm', '--json');
    expect(wrongWithPrinted(json.stdout)).toEqual([]);
    const { schema, kernel, bytes, output } = JSON.parse(json.stdout) as Record<string, unknown>;
    expect([schema, output]).toEqual(['vlbr/kernel/2', 'lbr.wasm']);
    expect(kernel).toMatchObject({ version: '6.1.99-x', sha256: installedSource?.info.sha256 });
    expect(readFileSync(join(folder, 'lbr.wasm')).length).toBe(bytes);
    const alone = vlbr('kernel', 'build', '--kernel-src', LBR_C);
    expect(alone.stdout).toMatch(/^lbr\.c/);
    for (const one of [LBR_C, 'lbr.wasm']) {
      const wrong = vlbr('kernel', 'build', '--driver', 'kernel', '--kernel-src', one);
      expect([wrong.status, wrong.stdout]).toEqual([2, '']);
      expect(wrong.stderr).toContain('--driver kernel takes a tree');
    }
  });

  it.skipIf(imageVersions('6.1').length === 0)(
    'vlbr kernel build of a tree says what the kernel finds on each CPU',
    () => {
      const tar = '/usr/src/linux-source-6.1.tar.xz';
      const built = vlbr('kernel', 'build', '--kernel-src', tar);
      expect([built.status, built.stderr]).toEqual([0, '']);
      expect(built.stdout).toMatch(
        /^the perf core and the x86 driver of Linux 6\.1\.\d+, sha256\s/,
      );
      expect(built.stdout).toMatch(/^skylake +Skylake events; 32-deep LBR$/m);
      expect(built.stdout).not.toContain('WARNING');
      const json = vlbr('kernel', 'build', '--driver', 'kernel', '-o', 'whole.wasm', '--json');
      expect(wrongWithPrinted(json.stdout)).toEqual([]);
      const { schema, bytes, cpus } = JSON.parse(json.stdout) as Record<string, unknown>;
      expect(schema).toBe('vlbr/image/2');
      expect(cpus).toHaveLength(CPU_MODELS.length);
      expect(readFileSync(join(folder, 'whole.wasm')).length).toBe(bytes);
      const wrong = vlbr('kernel', 'build', '--kernel-src', 'tree');
      expect([wrong.status, wrong.stdout]).toEqual([2, '']);
      expect(wrong.stderr).toContain('this is no kernel tree; it lacks one of arch/x86, include');
    },
  );

  it('with the C file vlbr gives the verdicts and the schedules of the port', () => {
    vlbr('kernel', 'build', '--driver', 'lbr.c', '--kernel-src', 'tree', '-o', 'kept.wasm');
    const common = [
      'verify',
      '--policy',
      'merged,pv-sound',
      '--runs',
      '80',
      '--no-shorten',
      '--json',
    ];
    const report = (...more: readonly string[]): Record<string, unknown> => {
      const { stdout } = vlbr(...common, ...more);
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const port = report();
    const drivers = [
      report('--kernel-src', 'tree', '--driver', 'lbr.c'),
      report('--kernel-src', 'kept.wasm'),
    ];
    expect([port['driver'], port['kernelSource']]).toEqual(['port', null]);
    for (const kernel of drivers) {
      expect(kernel['driver']).toBe('kernel');
      expect(kernel['kernelSource']).toMatchObject({ version: '6.1.99-x' });
      expect(withoutLines(kernel['results'])).toEqual(withoutLines(port['results']));
      expect(JSON.stringify(kernel['results'])).toMatch(/"at":"arch\/x86[\w/]*\/lbr\.c:\d+"/);
      expect(withoutLines(kernel['kernelFindings'])).toEqual(withoutLines(port['kernelFindings']));
    }
  });

  it('vlbr refuses what does not go together, or does not exist', () => {
    const wrong: readonly (readonly [RegExp, ...string[]])[] = [
      [/--kernel-src is for --driver kernel/, 'verify', '--driver', 'port', '--kernel-src', 'tree'],
      [
        /--kernel 4\.18 is a variant of the port/,
        'verify',
        '--driver',
        'kernel',
        '--kernel',
        '4.18',
      ],
      [/--policy kvm is the KVM of a kernel tree/, 'verify', '--policy', 'kvm'],
      [/--policy kvm is the KVM/, 'verify', '--policy', 'always,kvm', '--kernel-src', LBR_C],
      [/--policy kvm is the KVM/, 'verify', '--policy', 'kvm', '--kernel-src', 'kept.wasm'],
      [/there is no such file or folder/, 'verify', '--kernel-src', 'nowhere'],
      [/this is no WebAssembly module/, 'verify', '--kernel-src', file('no.wasm', 'x')],
      [/this is not arch/, 'kernel', 'build', '--kernel-src', file('other.c', 'int x;\n')],
      [/this is no unified diff/, 'review', '--kernel-src', LBR_C, file('no.patch', 'x\n')],
      [/there is no such file/, 'review', '--kernel-src', LBR_C, 'nothing.patch'],
      [/takes patches back; a file is none/, 'review', '--kernel-src', LBR_C, LBR_C, '--reverse'],
    ];
    for (const [message, ...args] of wrong) {
      const { status, stdout, stderr } = vlbr(...args);
      expect(stderr).toMatch(message);
      expect([status, stdout]).toEqual([2, '']);
    }
  });

  it('vlbr review reports what a patch loses, and replays it with the patched file', () => {
    const patch = file('tos.patch', patchOf(RESTORE_TOS, ''));
    const args = ['review', '--kernel-src', LBR_C, patch, '--policy', 'always', '--runs', '250'];
    const { status, stdout } = vlbr(...args, '--json');
    const json = JSON.parse(stdout) as ReviewJson;
    expect([status, json.schema, json.ok]).toEqual([1, 'vlbr/review/2', false]);
    const found = json.lost.find(({ property }) => property === 'callstack-true');
    if (found === undefined) throw new Error('callstack-true is not lost');
    expect(found.by).toBe('kernel');
    expect(found.counterexample.actions.length).toBeLessThanOrEqual(15);
    expect(json.accesses.parted).toBeGreaterThan(0);
    const { token } = found.counterexample;
    const again = vlbr('replay', token, '--kernel-src', json.after.kernelSrc);
    expect(again.stdout).toContain("the guest's kernel breaks it by itself");
    expect(vlbr('replay', token, '--kernel-src', LBR_C).stdout).toContain('it holds');
    file('base.json', stdout);
    const shown = vlbr(...args, '--baseline', 'base.json');
    expect([shown.stderr, shown.status]).toEqual(['', 0]);
    expect(shown.stdout).toMatch(/\nsince base\.json: 0 new losses, \d known, 0 no longer\n$/);
    expect(shown.stdout).toMatch(/^LOST +callstack-true/m);
    expect(shown.stdout).toContain('     > WRMSR LBR_TOS');
    expect(shown.stdout).toMatch(/^lost: .*callstack-true/m);
    const other = vlbr(...args, '--cpu', 'haswell', '--baseline', 'base.json');
    expect([other.status, other.stdout]).toEqual([2, '']);
    expect(other.stderr).toContain('its cpus is haswell,skylake, and here it is haswell; give');
  });

  it('vlbr review says what a fix fixed, by a patch taken back or by a second tree', () => {
    const broken = file('broken/lbr.c', text.replace(RESTORE_TOS, ''));
    const fix = createTwoFilesPatch('lbr.c', 'lbr.c', text.replace(RESTORE_TOS, ''), text);
    const common = ['--policy', 'always', '--runs', '250', '--json'];
    const reverse = ['--kernel-src', LBR_C, file('fix.patch', fix), '--reverse'];
    const asked = [reverse, ['--kernel-src', broken, LBR_C]];
    for (const args of asked) {
      const { status, stdout } = vlbr('review', ...args, ...common);
      const json = JSON.parse(stdout) as ReviewJson;
      expect([status, json.lost]).toEqual([0, []]);
      expect(json.gained.map(({ property }) => property)).toContain('callstack-true');
    }
  });

  it('vlbr review finds no loss in a change that means the same, and shows where it parts', () => {
    // Exchanges two reads of one record.
    const reordered = patchOf(
      /^(\tlbr->to = .*;\n)(\tif \(need_info\)\n\t\tlbr->info = .*;\n)/m,
      '$2$1',
    );
    const other = 'diff --git a/x.h b/x.h\n--- a/x.h\n+++ b/x.h\n@@ -1 +1 @@\n-a\n+b\n';
    const patch = file('order.patch', `${other}${reordered}`);
    const args = ['review', '--kernel-src', LBR_C, patch, '--policy', 'always,merged,pv-sound'];
    const { status, stdout } = vlbr(...args, '--runs', '150', '--json');
    const json = JSON.parse(stdout) as ReviewJson;
    // The driver runs, the header does not.
    expect([status, json.lost, json.gained, json.ok]).toEqual([7, [], [], true]);
    expect(json.notModelled).toEqual(['x.h']);
    expect(json.accesses.parted).toBeGreaterThan(0);
    const shown = vlbr(...args, '--runs', '20').stdout;
    expect(shown).toContain('No property is lost or gained.');
    expect(shown).toContain('not run here, so left out: x.h');
    expect(shown).toMatch(/ {2}> (host )?RDMSR TO_\d+ .*RDMSR INFO_/);
  });

  it('a write through a null pointer always counts as a crash', () => {
    const patch = patchOf(/^void intel_pmu_lbr_reset\(void\)\n\{\n/m, '$&\t*(int *)16 = 1;\n');
    const args = ['--kernel-src', LBR_C, file('null.patch', patch), '--policy', 'always'];
    const { status, stdout } = vlbr(
      'review',
      ...args,
      '--runs',
      '50',
      '--cpu',
      'haswell',
      '--json',
    );
    const { crashes, lost } = JSON.parse(stdout) as {
      readonly crashes: readonly { readonly error: string; readonly actions: readonly object[] }[];
      readonly lost: readonly object[];
    };
    expect(crashes.map(({ error, actions }) => [error, actions.length])).toEqual([
      ['KernelCrash: lbr.c writes through a null pointer', 1],
    ]);
    expect([status, lost]).toEqual([1, []]);
    const shown = vlbr('review', ...args, '--runs', '20', '--cpu', 'haswell').stdout;
    expect(shown).toContain('the kernel after the change crashes: KernelCrash');
  });

  it.each([
    ['MSR writes', 'wrmsrl(x86_pmu.lbr_tos, 0)'],
    ['nothing', 'barrier()'],
  ])('vlbr review does not wait long for an endless loop of %s', (_, does) => {
    const head = /^void intel_pmu_lbr_reset\(void\)\n\{\n(\t.*\n)\n/m;
    const patch = patchOf(head, `$&\tfor (;;)\n\t\t${does};\n`);
    const args = ['--kernel-src', LBR_C, file('loop.patch', patch), '--policy', 'always'];
    const began = performance.now();
    const { status, stdout, stderr } = vlbr('review', ...args, '--cpu', 'haswell');
    expect(stderr).toBe(
      "vlbr: the kernel's code does not return: no word for 15 seconds under always on haswell\n",
    );
    expect([status, stdout]).toEqual([2, '']);
    expect(performance.now() - began).toBeLessThan(60_000);
  });

  it('vlbr names the hunk that does not apply, and what does not compile', () => {
    const stale = patchOf(RESTORE_TOS, '').replace('-\twrmsrl(x86_pmu', '-\twrmsr(x86_pmu');
    const refused = vlbr('review', '--kernel-src', LBR_C, file('stale.patch', stale));
    expect(refused.stderr).toMatch(/hunk 1 of 1 for lbr\.c does not apply: @@ -\d+/);
    const typo = patchOf(RESTORE_TOS, '\twrmsrl(x86_pmu.lbr_toss, tos);\n');
    const failed = vlbr('review', '--kernel-src', LBR_C, file('typo.patch', typo));
    expect(failed.stderr).toContain('lbr_toss');
    expect([refused.status, failed.status]).toEqual([2, 2]);
  });
});

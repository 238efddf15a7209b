/** A name or text that merely resembles a pattern is never taken for it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { driftMacros } from '../../src/tree/drift.js';
import { patchLbr } from '../../src/tree/patch.js';
import { installedKernel, LBR_PATH, readKernelSource } from '../../src/tree/source.js';
import { seeded } from '../rig/seed.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-patterns-'));
afterAll(() => rmSync(ROOT, { recursive: true }));

let folders = 0;

/** A folder with files of these names and of one text. */
function folderOf(names: readonly string[], text = ''): string {
  const folder = join(ROOT, String(folders++));
  mkdirSync(folder);
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

/** Files that Debian's packages put beside the trees, and copies that a user might make. */
const BESIDE: readonly string[] = [
  'linux-patch-6.1-rt.patch.xz',
  'linux-config-6.1',
  'linux-headers-6.1.0-40-amd64',
  'my-linux-source-6.1.tar.xz',
  'linux-source-6.1.tar.xz.asc',
  'linux-source-6.1-rt',
];

describe('the installed kernel', () => {
  it('the installed kernel is Linux 6.1, or else the newest, whatever lies beside it', () => {
    const minor = fc.uniqueArray(fc.constantFrom(1, 2, 9, 10, 11, 12, 16, 100), { minLength: 1 });
    const tree = fc.constantFrom('', '.tar.xz', '.tar.bz2');
    fc.assert(
      fc.property(minor, tree, fc.subarray([...BESIDE]), (minors, end, beside) => {
        const nameOf = (n: number): string => `linux-source-6.${n}${end}`;
        const folder = folderOf([...minors.map(nameOf), ...beside]);
        const wanted = minors.includes(1) ? 1 : Math.max(...minors);
        expect(installedKernel(folder)).toBe(join(folder, nameOf(wanted)));
      }),
      seeded(60),
    );
  });

  it('the installed kernel is never a file that has the name of a tree in its own', () => {
    for (const folder of [folderOf(BESIDE), join(ROOT, 'nowhere')]) {
      expect(() => installedKernel(folder)).toThrow(`no kernel source in ${folder}; install one`);
    }
  });
});

describe('a kernel source', () => {
  it.each(['linux.tar.xz.asc', 'linux.tgz.md', 'linux.tar-old'])(
    'a kernel source is never a tar called %s',
    (name) => {
      const path = join(folderOf([name]), name);
      expect(() => readKernelSource(path)).toThrow(
        /give a kernel tree, a \.tar of one, or an lbr\.c$/,
      );
    },
  );

  it('the version of a kernel source is never the value of another variable', () => {
    const tree = folderOf([LBR_PATH], 'void intel_pmu_lbr_reset(void)\n');
    const lines = ['KERNELVERSION = 9', 'VERSION = 6', 'XPATCHLEVEL = 9', 'PATCHLEVEL = 1'];
    writeFileSync(join(tree, 'Makefile'), [...lines, 'SUBLEVEL = 7', ''].join('\n'));
    expect(readKernelSource(tree).info.version).toBe('6.1.7');
  });
});

/** A diff that replaces the second line of three. */
const diffOf = (path: string): string =>
  `--- a/${path}\n+++ b/${path}\n@@ -1,3 +1,3 @@\n one\n-two\n+2 -- \n three\n`;

describe('a patch', () => {
  const text = 'one\ntwo\nthree\n';
  const patched = (path: string): string | string[] => {
    const files = [diffOf(path), diffOf(LBR_PATH)].map((of) => ({ name: 'x', text: of }));
    return [...patchLbr(text, files, false).notModelled];
  };

  it.each([
    ['another driver’s', 'arch/x86/events/amd/lbr.c'],
    ['that driver’s from its own folder', 'amd/lbr.c'],
    ['that of a test', 'tools/testing/selftests/bpf/test_lbr.c'],
    ['that of another architecture', 'arch/arm64/lbr.c'],
    ['that of another driver', 'drivers/gpu/lbr.c'],
    ['one with other letters around it', 'fs/calbridge.c'],
    ['a header', 'arch/x86/events/intel/lbr.h'],
    ['another language’s', 'tools/lbr.cpp'],
    ['one in a folder of that name', 'lib/lbr.c/notes'],
  ])('a patch is not about lbr.c if its file is %s: %s', (_, path) => {
    expect(patched(path)).toEqual([path]);
  });

  it.each(['lib/amd/intel/lbr.c', 'myamd/lbr.c', 'b/lbr.c'])(
    'a patch is about lbr.c if its file is %s',
    (path) => {
      const prefixed = patchLbr(text, [{ name: 'x', text: diffOf(path) }], false);
      expect(prefixed).toEqual({ text: 'one\n2 -- \nthree\n', notModelled: [] });
    },
  );

  it('a patch names the whole path of its file, with a prefix before it or none', () => {
    const path = 'lib/a/b.c';
    for (const other of [diffOf(path), diffOf(path).replaceAll(/ [ab]\//g, ' ')]) {
      const files = [other, diffOf(LBR_PATH)].map((of) => ({ name: 'x', text: of }));
      expect(patchLbr(text, files, false).notModelled).toEqual([path]);
    }
  });

  it('a patch keeps a line that ends as the signature of a mail begins', () => {
    const files = [{ name: 'x', text: diffOf('arch/x86/events/intel/lbr.c') }];
    expect(patchLbr(text, files, false).text).toBe('one\n2 -- \nthree\n');
  });
});

/** A macro, its pattern, and a name that contains the pattern. drift.test.ts has more. */
const DRIFTS: readonly (readonly [macro: string, text: string, ...others: string[]])[] = [
  ['VLBR_LONG_LONG', 'long long x;', 'xlong long x;', 'long longer x;'],
  ['VLBR_SWAP_TASK_CTX', 'void intel_pmu_lbr_swap_task_ctx(int a)'],
  ['VLBR_LBR_HOOKS', 'void intel_pmu_lbr_reset_64(void)'],
  ['VLBR_OWN_FORMATS', 'LBR_FORMAT_32 = 0,', 'LBR_FORMAT_32_BITS = 0,'],
  ['VLBR_LBR_INIT', 'void __init intel_pmu_lbr_init(void)'],
  ['VLBR_OWN_LBR_DISABLE', 'static void __intel_pmu_lbr_disable(void)'],
  ['VLBR_OWN_BRANCH_TYPE', 'static int branch_type(int a)'],
  ['VLBR_OWN_BRANCH_KINDS', 'X86_BR_NONE = 0,', 'X86_BR_NONE_AT_ALL = 0,'],
  ['VLBR_SCHED_TASK_OF_TASK', 'intel_pmu_lbr_sched_task(int a, struct task_struct *t)'],
  ['VLBR_TARGET_HAS_USERS', '->hw.target;', '->hw.targets;'],
];

describe('what an lbr.c has', () => {
  it.each(DRIFTS)('a comment never defines %s', (macro, text) => {
    const found = (what: string): string[] => driftMacros(`int a;\n${what}\nint b;\n`);
    expect(found(text)).toEqual([macro]);
    for (const comment of [`// ${text}`, `/* ${text} */`, `/*\n${text}\n */`]) {
      expect([comment, found(comment)]).toEqual([comment, []]);
    }
    expect(found(`/* a */ /* b */\n${text}\n/* c */`)).toEqual([macro]);
  });

  it.each(DRIFTS)('a longer name never defines %s', (_, text, ...others) => {
    const longer = /^\w/.test(text) ? [`x${text}`, ...others] : others;
    for (const other of longer) {
      expect([other, driftMacros(`int a;\n${other}\nint b;\n`)]).toEqual([other, []]);
    }
  });

  it.each(['LBR_FORMAT_32', 'X86_BR_NONE'])(
    'a comparison never says that an lbr.c has %s',
    (name) => {
      expect(driftMacros(`\tif (a &&\n\t    ${name} == b)\n`)).toEqual([]);
    },
  );
});

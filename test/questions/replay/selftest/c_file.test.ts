/** Selftests compile with the headers of kernel trees, and their guests make no other branch. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseReplayText } from '../../../../src/campaign/replay_file.js';
import { selftest } from '../../../../src/questions/replay/selftest/selftest.js';
import { placeFolder } from '../../../../src/tree/place.js';
import { tarOf } from '../../../rig/images.js';

const GOLDEN = new URL('../../../golden/', import.meta.url);
/** Kept between runs of the tests. */
const CACHE = fileURLToPath(new URL('../../../../.cache/selftest-headers', import.meta.url));

/** What of a tree a selftest includes. */
const HEADERS: readonly string[] = [
  'tools/arch/x86/include',
  'tools/include',
  'tools/testing/selftests/kselftest.h',
  'tools/testing/selftests/kvm/include',
];

/** Headers of the tree's user interface that take the place of the system's. */
const NEWER: readonly (readonly [from: string, to: string])[] = [
  ['tools/include/uapi/linux/kvm.h', 'newer/linux/kvm.h'],
  ['tools/arch/x86/include/uapi/asm/kvm.h', 'newer/asm/kvm.h'],
];

const VERSIONS: readonly string[] = ['6.1', '7.3'];

function works(compiler: string): boolean {
  return spawnSync(compiler, ['--version']).status === 0;
}

const COMPILERS = ['gcc', 'clang'].filter((name) => works(name));
const TREES = VERSIONS.filter((version) => existsSync(tarOf(version)));

const missing = [
  ...VERSIONS.filter((version) => !TREES.includes(version)).map((one) => `linux-source-${one}`),
  ...(COMPILERS.length === 0 ? ['gcc or clang'] : []),
];
if (missing.length > 0) {
  console.warn(`\nSKIPPED: selftests that are compiled, since there is no ${missing.join(', ')}\n`);
}

/** The folder with the headers of a tree. */
async function headersOf(version: string): Promise<string> {
  return placeFolder(join(CACHE, version), (folder) => {
    const wanted = HEADERS.map((path) => `*/${path}`);
    const how = ['--strip-components=1', '--wildcards', '--no-wildcards-match-slash'];
    execFileSync('tar', ['-xf', tarOf(version), '-C', folder, ...how, ...wanted]);
    for (const [from, to] of NEWER) {
      mkdirSync(dirname(join(folder, to)), { recursive: true });
      cpSync(join(folder, from), join(folder, to));
    }
    return Promise.resolve();
  });
}

/** As the Makefiles of the selftests have them, with warnings as errors. */
function flagsOf(tree: string): string[] {
  const ours = join(tree, 'tools/testing/selftests/kvm/include');
  const ofCpu = ['x86', 'x86_64'].find((name) => existsSync(join(ours, name))) ?? '';
  const folders = ['tools/include', 'tools/arch/x86/include', 'tools/testing/selftests'];
  const included = [ours, join(ours, ofCpu), ...folders.map((path) => join(tree, path))];
  return [
    '-std=gnu99',
    '-O2',
    '-Wall',
    '-Wstrict-prototypes',
    '-Wuninitialized',
    '-Werror',
    // 7.3 has it, for a header of its own.
    '-Wno-gnu-variable-sized-type-not-at-end',
    '-fno-stack-protector',
    '-fno-PIE',
    ...included.map((path) => `-I${path}`),
    `-isystem${join(tree, 'newer')}`,
  ];
}

/** A schedule with all that the kept ones lack. */
const REST = {
  schema: 'vlbr/schedule/1',
  policy: 'always',
  property: 'no-loss/any',
  cpu: 'skylake',
  kernel: '6.1',
  vms: 2,
  vcpus: 2,
  tasks: 2,
  pcpus: 2,
  actions: `\
    v0: open task=0 type=ANY|USER|KERNEL
    v0: call
    v0: call kind=indirect
    v0: call kind=zero-length
    v0: ret
    v0: jmp
    v0: jmp kind=indirect
    v0: jcc
    p0: exit
    p0: hostEvent which=thread op=on
    p0: hostWork n=2
    p0: hostEvent which=thread op=off
    v0: pmi event=0
    p0: idle
    p0: cstate
    v0: liveMigrate
    p0: run vcpu=2
    v2: wrmsr msr=0x680 edx=0xff0000`.split('\n'),
};

/** What is compiled: two VMs, host events, a switch in a function, migration, a PMI, and so on. */
const NUMBERS: readonly string[] = ['001', '002', '003', '004', '005', '020', '035', '036'];

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-selftest-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Writes a C file. Returns its path. */
function cFile(name: string, text: string): string {
  const path = join(folder, `${name}.c`);
  writeFileSync(path, text);
  return path;
}

function emitted(name: string, schedule: string): string {
  const [one] = parseReplayText(schedule);
  return cFile(name, `${selftest(one, 'Linux 6.1 guest').lines.join('\n')}\n`);
}

function kept(number: string): string {
  const name = readdirSync(GOLDEN).find((one) => one.startsWith(`${number}-`)) ?? number;
  return emitted(number, readFileSync(new URL(name, GOLDEN), 'utf8'));
}

/** The compiler's complaints. */
function compile(compiler: string, args: readonly string[]): string {
  return spawnSync(compiler, args, { encoding: 'utf8' }).stderr;
}

describe.skipIf(missing.length > 0)('a selftest as C code', () => {
  const builds = TREES.flatMap((tree) => COMPILERS.map((cc): [string, string] => [tree, cc]));

  it.each(builds)('selftests compile with the headers of %s and %s', async (version, compiler) => {
    const flags = flagsOf(await headersOf(version));
    const files = [...NUMBERS.map(kept), emitted('rest', JSON.stringify(REST))];
    expect(compile(compiler, [...flags, '-fsyntax-only', ...files])).toBe('');
    const [first] = files;
    expect(compile(compiler, [...flags, '-c', first, '-o', join(folder, 'first.o')])).toBe('');
  });

  it.each(builds)(
    'guests make only branches of the schedule: %s, %s',
    async (version, compiler) => {
      const flags = flagsOf(await headersOf(version));
      const asm = join(folder, 'rest.s');
      const file = emitted('rest', JSON.stringify(REST));
      expect(compile(compiler, [...flags, '-S', file, '-o', asm])).toBe('');
      const [, code = ''] =
        /^v0_code:[^\n]*\n(.*?)^\t\.size\tv0_code/ms.exec(readFileSync(asm, 'utf8')) ?? [];
      // What the compiler has made lies outside of these marks.
      const parts = code.split(/^\t?#APP\n.*?#NO_APP\n/ms);
      expect(parts.length).toBeGreaterThan(20);
      const between = parts.slice(0, -1).join('');
      expect(between).toContain('mov');
      expect(between).not.toMatch(/^\t(j\w+|call\w*|ret\w*|loop\w*|syscall|int)\b/m);
    },
  );
});

/** The branches of guests, made by a program, each with a check that it came back. */
const PROGRAM = String.raw`
#define NAMES(name) extern const char name##_from[], name##_to[]
NAMES(a); NAMES(b); NAMES(c); NAMES(d); NAMES(e); NAMES(f); NAMES(g); NAMES(h);

int main(void)
{
	unsigned long before, after;

	asm volatile("mov %%rsp, %0" : "=r"(before));
	CALL(a); CALL_INDIRECT(b); CALL_NEXT(c); RET(d); JMP(e); JMP_INDIRECT(f); JCC(g); FAR(h);
	asm volatile("mov %%rsp, %0" : "=r"(after));
	return before != after || a_to - a_from < 5 || c_to - c_from != 5 || h_to - h_from < 2;
}
`;

describe.skipIf(COMPILERS.length === 0 || process.arch !== 'x64')('the branches of guests', () => {
  it.each(COMPILERS)(
    'each branch goes on behind itself and leaves the stack as it was: %s',
    (cc) => {
      const text = readFileSync(kept('001'), 'utf8');
      const macros = text.slice(text.indexOf('#define BRANCH('), text.indexOf('/*\n * Stops.'));
      const path = cFile('branches', macros + PROGRAM);
      const program = join(folder, 'branches');
      expect(compile(cc, ['-O2', '-Wall', '-Werror', path, '-o', program])).toBe('');
      expect(spawnSync(program).status).toBe(0);
    },
  );
});

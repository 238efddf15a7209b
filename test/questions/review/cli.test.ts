/** Reviews of patches of a whole tree, as a user runs them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toCount } from '../../../src/questions/review/sides.js';
import { readBy } from '../../../src/tree/image/build.js';
import { openTree } from '../../../src/tree/image/tree.js';
import { builtFolder } from '../../rig/built.js';
import { CACHE, CACHE_HOME, imageVersions } from '../../rig/images.js';
import { wrongWithPrinted } from '../../rig/schemas.js';

const TAR = '/usr/src/linux-source-6.1.tar.xz';
const HOOK_MS = 120_000;

const CORE = 'kernel/events/core.c';
const X86 = 'arch/x86/events/core.c';
const LBR = 'arch/x86/events/intel/lbr.c';
const HEADER = 'arch/x86/events/perf_event.h';
const KVM = 'arch/x86/kvm/x86.c';

let cli = '';
let folder = '';
let tree = '';

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function review(patch: string, ...more: readonly string[]): Ended {
  const path = join(folder, 'x.patch');
  writeFileSync(path, patch);
  const env = { ...process.env, CI: '1', XDG_CACHE_HOME: CACHE_HOME };
  const quick = ['--cpu', 'skylake', '--policy', 'always', '--runs', '150'];
  const args = ['review', '--kernel-src', TAR, path, ...quick, ...more];
  return spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env });
}

/** A diff that replaces a piece of a file of the tree, which must be in it. */
function edit(path: string, old: string, by: string | ((text: string) => string)): string {
  const text = readFileSync(join(tree, path), 'utf8');
  const changed = text.replace(old, typeof by === 'string' ? () => by : by);
  expect(changed).not.toBe(text);
  return diffOf(path, text, changed);
}

function diffOf(path: string, before: string, after: string): string {
  const diff = createTwoFilesPatch(`a/${path}`, `b/${path}`, before, after);
  return `diff --git a/${path} b/${path}\n${diff.replace(/^=+\n/, '')}`;
}

function mail(subject: string, body: string): string {
  const head = 'From 0123456789abcdef Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n';
  return `${head}Subject: ${subject}\n\nWhy.\n---\n${body}-- \n2.39.5\n\n`;
}

/** Two statements in another order. */
const harmless = (): string =>
  edit(
    X86,
    '\tcpuc->n_added = 0;\n\tcpuc->enabled = 0;\n\tbarrier();\n',
    '\tcpuc->enabled = 0;\n\tcpuc->n_added = 0;\n\tbarrier();\n',
  );

interface Json {
  readonly lost: readonly { readonly property: string; readonly by: string }[];
  readonly gained: readonly object[];
  readonly accesses: { readonly parted: number };
  readonly notModelled: readonly string[];
  readonly partial: boolean;
  readonly changedLines: {
    readonly lines: number;
    readonly reached: number;
    readonly notReached: readonly { readonly side: string; readonly function: string }[];
  } | null;
}

describe.skipIf(imageVersions('6.1').length === 0)('the review of a patch of a tree', () => {
  beforeAll(async () => {
    cli = join(await builtFolder(), 'cli.js');
    folder = mkdtempSync(join(tmpdir(), 'vlbr-review-'));
    tree = await openTree(TAR, CACHE);
  }, HOOK_MS);

  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds what an edit of the perf core loses', () => {
    const swap = edit(
      CORE,
      '\t\t\tif (pmu->swap_task_ctx)\n\t\t\t\tpmu->swap_task_ctx(ctx, next_ctx);\n\t\t\telse\n\t',
      '',
    );
    const junit = join(folder, 'review.xml');
    const { status, stdout, stderr } = review(swap, '--json', '--reporter', `junit=${junit}`);
    expect(wrongWithPrinted(stdout)).toEqual([]);
    const xml = readFileSync(junit, 'utf8');
    expect(xml).toMatch(/<testcase [^>]*name="the changed kernel runs"\/>/);
    expect(xml).toMatch(
      /name="no-loss\/task">\s*<failure[^>]*>lost: the guest's kernel breaks it on/,
    );
    const { lost, partial, notModelled } = JSON.parse(stdout) as Json;
    expect(lost.map(({ property }) => property)).toContain('no-loss/task');
    expect(lost.map(({ property }) => property)).toContain('balanced');
    expect(new Set(lost.map(({ by }) => by))).toEqual(new Set(['kernel']));
    expect([status, partial, notModelled]).toEqual([1, false, []]);
    // Said before the report, each property once.
    expect(stderr).toMatch(
      /^lost so far: .*no-loss\/task \(\d+ actions\).*; under always on \w+\n$/,
    );
  });

  it('finds nothing in an edit of the x86 driver that means the same, and counts its lines', () => {
    const old = '\tcpuc->n_added = 0;\n\tcpuc->enabled = 0;\n\tbarrier();\n';
    const { status, stdout } = review(
      edit(X86, old, '\tcpuc->n_added = 0;\n\tif (!cpuc)\n\t\treturn;\n\tcpuc->enabled = 0;\n'),
      '--json',
    );
    expect(wrongWithPrinted(stdout)).toEqual([]);
    const { lost, gained, accesses, partial, changedLines } = JSON.parse(stdout) as Json;
    expect([lost, gained, accesses.parted, partial, status]).toEqual([[], [], 0, false, 0]);
    // What ran is barrier() before, and the new condition.
    expect([changedLines?.lines, changedLines?.reached]).toEqual([3, 2]);
    expect(changedLines?.notReached.map(({ side, function: name }) => [side, name])).toEqual([
      ['after', 'x86_pmu_disable'],
    ]);
  });

  it('says that only a part of a series runs, and what does not', () => {
    const kvm = edit(KVM, '#include <linux/kvm_host.h>\n', '#include <linux/kvm_host.h>\n\n');
    const doc = 'diff --git a/Documentation/x.rst b/Documentation/x.rst\n';
    const text = '--- a/Documentation/x.rst\n+++ b/Documentation/x.rst\n@@ -1 +1 @@\n-a\n+b\n';
    const series =
      mail('[PATCH 0/2] both', 'Words.\n') +
      mail('[PATCH 1/2] perf', harmless()) +
      mail('[PATCH 2/2] kvm', kvm + doc + text);
    const { status, stdout } = review(series);
    const said = stdout.replaceAll(/\s+/g, ' ');
    expect(said).toContain(`not run here, so left out: ${KVM}, Documentation/x.rst`);
    expect(said).toMatch(/ lost: nothing; gained: nothing; partial, since .* here: \S+x86\.c $/);
    expect(status).toBe(7);
    const documents = review(mail('[PATCH 1/1]', harmless() + doc + text));
    expect([documents.stdout.includes('partial'), documents.status]).toEqual([false, 0]);
  });

  it('says which patch of a series loses what, and goes on where one does not build', () => {
    const text = readFileSync(join(tree, LBR), 'utf8');
    const users = '\tcpuc->lbr_users--;\n';
    const [early, mended] = ['\tlater();\n', ''].map((by) => text.replace(users, by));
    const series =
      mail('[PATCH 1/3] order', harmless()) +
      mail('[PATCH 2/3] too early', diffOf(LBR, text, early)) +
      mail('[PATCH 3/3] users', diffOf(LBR, early, mended));
    const { status, stdout, stderr } = review(series, '--each');
    expect(stderr).toContain('patch 1 of 3: [PATCH 1/3] order\n');
    expect(stdout).toContain('\n  1 of 3  [PATCH 1/3] order\n    lost: nothing; gained: nothing\n');
    const said = stdout.replaceAll(/\s+/g, ' ');
    expect(said).toMatch(/ 2 of 3 \[PATCH 2\/3\] too early the tree with the patches: .* 'later' /);
    expect(stdout).toContain('\nlost by patch 2-3 of 3: balanced\n');
    expect(status).toBe(1);
  });

  it('reviews each patch of a series only where there are patches', () => {
    const path = join(folder, 'tree.c');
    writeFileSync(path, '');
    const args = ['review', '--kernel-src', TAR, path, '--each'];
    const { status, stderr } = spawnSync(process.execPath, [cli, ...args], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([2, 'vlbr: --each is for patches of a tree\n']);
  });

  it('refuses a patch of which nothing runs', () => {
    const kvm = edit(KVM, '#include <linux/kvm_host.h>\n', '#include <linux/kvm_host.h>\n\n');
    const { status, stdout, stderr } = review(kvm);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(
      "nothing here is about what runs, which is perf's core and x86 driver, and KVM under the " +
        `policy kvm; only: ${KVM}`,
    );
  });

  it('builds a patch that adds a field to a header, and uses it', () => {
    const field = edit(HEADER, '\tint\t\t\t\tlbr_users;\n', '\tint lbr_users, lbr_added;\n');
    const use = edit(
      LBR,
      '\tcpuc->br_sel = event->hw',
      '\tcpuc->lbr_added++;\n\tcpuc->br_sel = event->hw',
    );
    const { status, stdout, stderr } = review(field + use, '--json');
    expect(stderr).toBe('');
    const { lost, partial } = JSON.parse(stdout) as Json;
    expect([lost, partial, status]).toEqual([[], false, 0]);
  });

  it('says that none of the changed lines was reached, and ends with a code for it', () => {
    const arch = edit(LBR, 'static void intel_pmu_arch_lbr_reset(void)\n{\n', (text) => {
      return `${text}\tint depth = x86_pmu.lbr_nr;\n\n\tif (depth)\n\t\tbarrier();\n`;
    });
    const { status, stdout } = review(arch);
    expect(stdout).toContain('\nChanged lines with code: 3, of which 0 ran.\n');
    const said = stdout.replaceAll(/\s+/g, ' ');
    expect(said).toMatch(
      / not reached after, \S+lbr\.c, intel_pmu_arch_lbr_reset\(\): \d+, \d+-\d+ /,
    );
    const why = 'none of the changed lines was reached: architectural LBR is not modelled';
    expect(said).toContain(` ${why}; lost: nothing; gained: nothing `);
    expect(status).toBe(8);
  });

  it('counts the files that change, or else those that include a header', async () => {
    const reads = await readBy(tree, CACHE);
    const asked = (...paths: string[]): string[] =>
      toCount(reads, new Map(paths.map((path) => [path, ''])));
    expect(asked(LBR, HEADER, KVM)).toEqual([LBR]);
    expect(asked(KVM)).toEqual([]);
    const all = asked(HEADER);
    expect(all).toContain(LBR);
    expect(all).toContain(X86);
    expect(all).not.toContain('lib/rbtree.c');
  });

  it('says which file of a patch does not compile, and why', () => {
    const wrong = edit(LBR, '\tcpuc->br_sel = event->hw', '\tcpuc->br_zel = event->hw');
    const { status, stdout, stderr } = review(wrong);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(
      /^vlbr: the tree with the patches: arch\/x86\/events\/intel\/lbr\.c.*error: .*'br_zel'/,
    );
  });

  it('says which file of a patch needs what nobody defines', () => {
    const nowhere = edit(
      LBR,
      'void intel_pmu_lbr_add(struct perf_event *event)\n{\n',
      (text) => `extern int vlbr_nowhere;\n\n${text}\tvlbr_nowhere++;\n`,
    );
    const { status, stdout, stderr } = review(nowhere);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(
      /^vlbr: the tree with the patches: \S+\/lbr\.c uses vlbr_nowhere, which no file of the image/,
    );
  });
});

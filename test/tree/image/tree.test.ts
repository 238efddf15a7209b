/** A kernel tree from what a user points to. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { openTree } from '../../../src/tree/image/tree.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-tree-'));
const CACHE = join(ROOT, 'cache');

afterAll(() => rmSync(ROOT, { recursive: true }));

/** A tar of files in a folder, as a release of a kernel is one. */
function tarOf(name: string, files: readonly string[]): string {
  for (const file of files) {
    const path = join(ROOT, name, 'linux', file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '');
  }
  execFileSync('tar', ['-cf', join(ROOT, `${name}.tar`), '-C', join(ROOT, name), 'linux']);
  return join(ROOT, `${name}.tar`);
}

const TREE = ['Makefile', 'arch/x86/a.c', 'include/a.h', 'kernel/a.c', 'lib/a.c', 'virt/a.c'];

it('refuses a tar that is no tree as often as it is asked, and keeps nothing of it', async () => {
  const folder = await openTree(tarOf('whole', TREE), CACHE);
  const noTar = join(ROOT, 'no_tar.tar');
  writeFileSync(noTar, 'no tar');
  const lacking = TREE.map((lacks, i) =>
    tarOf(
      `lacks_${i}`,
      TREE.filter((file) => file !== lacks),
    ),
  );
  for (const tar of [noTar, ...lacking, ...lacking]) {
    await expect(openTree(tar, CACHE)).rejects.toThrow(`${tar}: tar can't unpack a kernel tree`);
  }
  expect(readdirSync(join(CACHE, 'trees'))).toEqual([basename(folder)]);
});

it('the cache has one place for a tar, its state, and what is kept of it', async () => {
  const tar = tarOf('again', TREE);
  const folder = await openTree(tar, CACHE);
  const { size, mtimeMs } = statSync(tar);
  // A version that keeps other folders finds none of these.
  const what = `${tar} ${size} ${mtimeMs}: arch/x86 include kernel lib virt Makefile`;
  const key = createHash('sha256').update(what).digest('hex');
  expect(basename(folder)).toBe(key.slice(0, 32));
  expect(await openTree(tar, CACHE)).toBe(folder);
});

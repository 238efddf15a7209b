/** A commit of a repository as a folder of links to versions of files. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openTree } from '../../../src/tree/image/tree.js';
import { Repository } from '../../rig/repository.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-checkout-'));
const CACHE = join(ROOT, 'cache');
const REPO = new Repository(join(ROOT, 'repo'));
const { folder } = REPO;

const FILES = {
  Makefile: 'VERSION = 6\n',
  'arch/x86/a.c': 'one\n',
  'include/a.h': 'the same\n',
  'include/b.h': 'the same\n',
  'kernel/a.c': '',
  'lib/[a].c': 'a\n',
  'virt/a.c': 'a\n',
  'Documentation/a.rst': 'not read\n',
};
symlinkSync('[a].c', join(folder, 'link'));
const none = REPO.commit('no kernel', { Makefile: 'VERSION = 6\n' });
const old = REPO.commit('whole', FILES);
const changed = REPO.commit('another word', { 'arch/x86/a.c': 'two\n', 'lib/new.c': 'new\n' });

afterAll(() => rmSync(ROOT, { recursive: true }));

const treeOf = (commit: string): Promise<string> => openTree(`${folder}@${commit}`, CACHE);

/** Time and size of a file of a tree. */
function stamp(tree: string, path: string): string {
  const { mtimeMs, size } = statSync(join(tree, path));
  return `${size} ${mtimeMs}`;
}

describe('a commit as a tree', () => {
  it('has what a build reads, and nothing else', async () => {
    const tree = await treeOf(old);
    const { 'Documentation/a.rst': _, ...read } = FILES;
    for (const [path, text] of Object.entries(read)) {
      expect(readFileSync(join(tree, path), 'utf8')).toBe(text);
    }
    expect(readdirSync(tree).toSorted()).toEqual([
      'Makefile',
      'arch',
      'include',
      'kernel',
      'lib',
      'virt',
    ]);
    expect(await treeOf('main~1')).toBe(tree);
  });

  it('shares its files with those of other commits, however they came there', async () => {
    const [before, after] = [await treeOf(old), await treeOf(changed)];
    const inode = (tree: string, path: string): number => statSync(join(tree, path)).ino;
    for (const path of ['include/a.h', 'lib/[a].c', 'Makefile']) {
      expect(inode(after, path)).toBe(inode(before, path));
    }
    expect(inode(after, 'include/a.h')).toBe(inode(after, 'include/b.h'));
    expect(readFileSync(join(after, 'lib/new.c'), 'utf8')).toBe('new\n');
    expect(readdirSync(join(CACHE, 'blobs')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('has files whose times say what is in them', async () => {
    const [before, after] = [await treeOf(old), await treeOf(changed)];
    // One and two are as long as each other.
    expect(stamp(after, 'arch/x86/a.c')).not.toBe(stamp(before, 'arch/x86/a.c'));
    const other = await openTree(`${folder}@${old}`, join(ROOT, 'other'));
    expect(stamp(other, 'arch/x86/a.c')).toBe(stamp(before, 'arch/x86/a.c'));
    expect(stamp(other, 'arch/x86/a.c')).not.toBe(stamp(other, 'virt/a.c'));
  });

  it('has links of the tree as links', async () => {
    symlinkSync('[a].c', join(folder, 'lib/link.c'));
    symlinkSync('nowhere.c', join(folder, 'lib/dangling.c'));
    const linked = REPO.commit('links', {});
    const tree = await treeOf(linked);
    expect(readlinkSync(join(tree, 'lib/link.c'))).toBe('[a].c');
    expect(readFileSync(join(tree, 'lib/link.c'), 'utf8')).toBe('a\n');
    expect(readlinkSync(join(tree, 'lib/dangling.c'))).toBe('nowhere.c');
    // The store has both by now.
    const again = REPO.commit('links stay', { 'lib/x.c': 'x\n' });
    expect(readlinkSync(join(await treeOf(again), 'lib/dangling.c'))).toBe('nowhere.c');
  });

  it('is refused, and not kept, where it is no kernel tree or no commit', async () => {
    const short = none.slice(0, 12);
    const says = `${folder}@${short}: this is no kernel tree; it lacks arch/x86`;
    await expect(treeOf(none)).rejects.toThrow(says);
    await expect(treeOf(none)).rejects.toThrow(says);
    await expect(treeOf('v9')).rejects.toThrow(`${folder}: git knows no commit v9`);
  });

  it('is refused where an object of the repository is missing', async () => {
    const lacking = new Repository(join(ROOT, 'lacking'));
    const head = lacking.commit('whole', FILES);
    const blob = lacking.git('rev-parse', `${head}:arch/x86/a.c`);
    rmSync(join(lacking.folder, '.git/objects', blob.slice(0, 2), blob.slice(2)));
    const cache = join(ROOT, 'third');
    const asked = openTree(`${lacking.folder}@${head}`, cache);
    await expect(asked).rejects.toThrow(/lacking: git archive: (?:error|fatal): .*/);
    expect(readdirSync(join(cache, 'blobs'))).toEqual([]);
    expect(readdirSync(join(cache, 'trees'))).toEqual([]);
  });

  it('comes from a bare repository as well', async () => {
    REPO.git('clone', '-q', '--bare', folder, join(ROOT, 'bare'));
    expect(await openTree(`${join(ROOT, 'bare')}@${old}`, CACHE)).toBe(await treeOf(old));
  });
});

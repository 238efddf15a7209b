/** A tree with some of its files changed: everything else is the tree's. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patchedTree } from '../../../src/tree/image/patched.js';

const EVENTS = 'arch/x86/events';
const FILES: Readonly<Record<string, string>> = {
  Makefile: 'VERSION = 6\n',
  [`${EVENTS}/perf_event.h`]: '#define VALUE "old"\n',
  [`${EVENTS}/core.c`]: '#include "perf_event.h"\nVALUE\n',
  [`${EVENTS}/intel/lbr.c`]: '#include "../perf_event.h"\nVALUE\n',
  'include/linux/a.h': 'a\n',
  'kernel/a.c': 'a\n',
  'lib/a.c': 'a\n',
  'Documentation/a.rst': 'a\n',
};

let folder = '';
let tree = '';

function put(path: string, text: string): void {
  mkdirSync(dirname(join(tree, path)), { recursive: true });
  writeFileSync(join(tree, path), text);
}

const patched = (files: Readonly<Record<string, string | null>>): Promise<string> =>
  patchedTree(tree, new Map(Object.entries(files)), join(folder, 'cache'));

/** The files of a tree, as they read. */
function textsOf(root: string): Record<string, string> {
  const paths = readdirSync(root, { recursive: true, encoding: 'utf8' });
  const files = paths.filter((path) => statSync(join(root, path)).isFile());
  return Object.fromEntries(files.map((path) => [path, readFileSync(join(root, path), 'utf8')]));
}

describe('a patched tree', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vlbr-patched-'));
    tree = join(folder, 'tree');
    for (const [path, text] of Object.entries(FILES)) put(path, text);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('reads as the tree does, but where it was changed; the tree stays as it is', async () => {
    const changes = {
      'kernel/a.c': 'changed\n',
      'kernel/new/b.c': 'new\n',
      'Documentation/b.rst': 'new\n',
      Makefile: 'VERSION = 7\n',
    };
    const root = await patched({ ...changes, 'lib/a.c': null });
    const { 'lib/a.c': _gone, 'Documentation/a.rst': _unread, ...rest } = FILES;
    expect(textsOf(root)).toEqual({ ...rest, ...changes });
    expect(textsOf(tree)).toEqual(FILES);
  });

  it('is made once for the same changes, and anew for others', async () => {
    const one = await patched({ 'kernel/a.c': 'x\n' });
    const { ino, mtimeMs } = statSync(join(one, 'kernel/a.c'));
    expect(await patched({ 'kernel/a.c': 'x\n' })).toBe(one);
    expect(statSync(join(one, 'kernel/a.c'))).toMatchObject({ ino, mtimeMs });
    const others = [{ 'kernel/a.c': 'y\n' }, { 'kernel/a.c': null }, { 'lib/a.c': 'x\n' }, {}];
    const roots = await Promise.all(others.map(patched));
    expect(new Set([one, ...roots]).size).toBe(others.length + 1);
    expect(readdirSync(join(folder, 'cache/trees')).filter((name) => name.includes('.'))).toEqual(
      [],
    );
  });

  it('may be asked for twice at the same time', async () => {
    const [a, b] = await Promise.all([
      patched({ 'lib/a.c': '2\n' }),
      patched({ 'lib/a.c': '2\n' }),
    ]);
    expect(a).toBe(b);
    expect(readFileSync(join(a, 'lib/a.c'), 'utf8')).toBe('2\n');
  });

  it('an include finds the changed header, by a path with .. in it as well', async () => {
    const root = await patched({ [`${EVENTS}/perf_event.h`]: '#define VALUE "new"\n' });
    for (const path of [`${EVENTS}/core.c`, `${EVENTS}/intel/lbr.c`]) {
      // Both compilers look beside the path by which a file was given, and not beside its target.
      const text = execFileSync('clang', ['-E', '-P', join(root, path)], { encoding: 'utf8' });
      expect(text.trim()).toBe('"new"');
    }
  });

  it('never writes through a link of the tree to a folder', async () => {
    mkdirSync(join(folder, 'elsewhere'));
    symlinkSync(join(folder, 'elsewhere'), join(tree, 'lib/link'));
    const asked = patched({ 'lib/link/x.c': 'x\n' });
    await expect(asked).rejects.toThrow('lib/link/x.c: a folder of this path is a link');
    expect(existsSync(join(folder, 'elsewhere/x.c'))).toBe(false);
    rmSync(join(tree, 'lib/link'));
  });
});

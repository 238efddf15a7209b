/** Series of patches, applied to the files of a small tree. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createTwoFilesPatch } from 'diff';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KernelError } from '../../src/tree/errors.js';
import type { Patch } from '../../src/tree/mail.js';
import { type Applied, applySeries, seriesOf } from '../../src/tree/series.js';

const LINES = Array.from({ length: 30 }, (_, i) => `line ${i + 1}`);
const TEXT = `${LINES.join('\n')}\n`;
const [A, B] = ['kernel/a.c', 'lib/b.c'];

let tree = '';

function withLine(n: number, by: string, text = TEXT): string {
  return text.replace(new RegExp(`^line ${n}$`, 'm'), by);
}

function git(path: string, before: string, after: string): string {
  const head = `diff --git a/${path} b/${path}\n`;
  const diff = createTwoFilesPatch(`a/${path}`, `b/${path}`, before, after, '', '', { context: 2 });
  return head + diff.replace(/^=+\n/m, '').replaceAll('\t\n', '\n');
}

function made(path: string, text: string): string {
  const lines = text.split('\n').slice(0, -1);
  const top = `diff --git a/${path} b/${path}\nnew file mode 100644\n`;
  const head = `${top}--- /dev/null\n+++ b/${path}\n@@ -0,0 +1,${lines.length} @@\n`;
  return head + lines.map((line) => `+${line}\n`).join('');
}

function removed(path: string, text: string): string {
  const lines = text.split('\n').slice(0, -1);
  const head = `diff --git a/${path} b/${path}\ndeleted file mode 100644\n--- a/${path}\n`;
  const hunk = `+++ /dev/null\n@@ -1,${lines.length} +0,0 @@\n`;
  return head + hunk + lines.map((line) => `-${line}\n`).join('');
}

/** What git writes of a file that is renamed or copied as it is. */
function moves(how: string, from: string, to: string): string {
  const head = `diff --git a/${from} b/${to}\nsimilarity index 90%\n`;
  return `${head}${how} from ${from}\n${how} to ${to}\n`;
}

const read = (texts: readonly string[]): Promise<Patch[]> =>
  seriesOf(texts.map((text, i) => ({ name: `${i + 1}.patch`, text })));

const applied = async (texts: readonly string[], reverse = false): Promise<Applied> =>
  applySeries(tree, await read(texts), reverse);

async function filesOf(...texts: readonly string[]): Promise<Record<string, string | null>> {
  return Object.fromEntries((await applied(texts)).files);
}

describe('a series of patches', () => {
  beforeAll(() => {
    tree = mkdtempSync(join(tmpdir(), 'vlbr-series-'));
    for (const [path, text] of [
      [A, TEXT],
      [B, TEXT],
      ['lib/crlf.c', TEXT.replaceAll('\n', '\r\n')],
      ['lib/end.c', TEXT.slice(0, -1)],
    ]) {
      mkdirSync(dirname(join(tree, path)), { recursive: true });
      writeFileSync(join(tree, path), text);
    }
  });
  afterAll(() => rmSync(tree, { recursive: true, force: true }));

  it('changes several files, and the same one again; the tree stays as it is', async () => {
    const one = git(A, TEXT, withLine(5, 'five')) + git(B, TEXT, withLine(20, 'twenty'));
    const two = git(A, withLine(5, 'five'), withLine(5, 'V'));
    expect(await filesOf(one, two)).toEqual({ [A]: withLine(5, 'V'), [B]: withLine(20, 'twenty') });
    expect((await read([one, two])).map(({ title }) => title)).toEqual(['1.patch', '2.patch']);
    expect(readFileSync(join(tree, A), 'utf8')).toBe(TEXT);
    expect(readdirSync(join(tree, 'lib')).sort()).toEqual(['b.c', 'crlf.c', 'end.c']);
  });

  it('makes a file, changes it, and deletes one', async () => {
    const later = git('kernel/new.c', 'one\ntwo\n', 'one\n2\n');
    expect(await filesOf(made('kernel/new.c', 'one\ntwo\n'), later)).toEqual({
      'kernel/new.c': 'one\n2\n',
    });
    expect(await filesOf(removed(A, TEXT))).toEqual({ [A]: null });
    const empty = 'diff --git a/lib/z.h b/lib/z.h\nnew file mode 100644\nindex 0..e 100644\n';
    expect(await filesOf(empty)).toEqual({ 'lib/z.h': '' });
    await expect(applied([made(A, 'x\n')])).rejects.toThrow(`the tree has ${A} already`);
    await expect(applied([removed(A, TEXT), git(A, TEXT, withLine(5, 'x'))])).rejects.toThrow(
      `2.patch: the tree has no ${A}`,
    );
  });

  it('renames a file, with hunks and without, and copies one', async () => {
    const to = (how: string): string => moves(how, A, 'kernel/c.c');
    const hunks = git(A, TEXT, withLine(5, 'five')).replace(/^diff.*\n/, '');
    const moved = hunks.replace(`+++ b/${A}`, '+++ b/kernel/c.c');
    expect(await filesOf(to('rename'))).toEqual({ [A]: null, 'kernel/c.c': TEXT });
    const both = { [A]: null, 'kernel/c.c': withLine(5, 'five') };
    expect(await filesOf(to('rename') + moved)).toEqual(both);
    expect(await filesOf(to('copy') + moved)).toEqual({ 'kernel/c.c': withLine(5, 'five') });
    const next = git('kernel/c.c', withLine(5, 'five'), TEXT);
    expect(await filesOf(to('rename') + moved, next)).toEqual({ [A]: null, 'kernel/c.c': TEXT });
  });

  it.each([
    ['a/', 'b/'],
    ['', ''],
    ['linux-6.1.orig/', 'linux-6.1/'],
    ['i/', 'w/'],
    ['./', './'],
  ])('finds a file whose names begin with %s and %s', async (old, now) => {
    const diff = createTwoFilesPatch(`${old}${A}`, `${now}${A}`, TEXT, withLine(5, 'five'));
    expect(await filesOf(diff)).toEqual({ [A]: withLine(5, 'five') });
    const names = `--- ${old}kernel/n.c\t1970-01-01\n+++ ${now}kernel/n.c\t2024-01-01\n`;
    const added = `${names}@@ -0,0 +1 @@\n+x\n`;
    expect(await filesOf(added)).toEqual({ 'kernel/n.c': 'x\n' });
  });

  it('finds a file beside which diff has kept the old one', async () => {
    const diff = createTwoFilesPatch(`${A}.orig`, A, TEXT, withLine(5, 'five'));
    expect(await filesOf(diff)).toEqual({ [A]: withLine(5, 'five') });
  });

  it.each(['../x.c', 'a/../x.c', 'a/kernel/../../x.c', 'b/kernel/../../../etc/x.c'])(
    'refuses a path outside of the tree: %s',
    async (path) => {
      const at = `--- /dev/null\n+++ ${path}\n@@ -0,0 +1 @@\n+x\n`;
      await expect(applied([at])).rejects.toThrow(/is outside of the tree/);
    },
  );

  it('names the patch, the file and the hunk that does not apply', async () => {
    const good = git(A, TEXT, withLine(5, 'five'));
    const two = withLine(25, 'x', withLine(8, 'eight'));
    const stale = git(B, TEXT, two).replace('-line 25', '-line xxv');
    const failing = applied([good, stale]);
    await expect(failing).rejects.toThrow(
      `2.patch: hunk 2 of 2 for ${B} does not apply: @@ -23,5 +23,5 @@`,
    );
    await expect(failing).rejects.toBeInstanceOf(KernelError);
    await expect(failing).rejects.not.toThrow(/already|--reverse/);
  });

  it('says that the tree has a patch already, or that it has it not', async () => {
    const there = git(A, withLine(5, 'five'), TEXT) + git(B, withLine(5, 'five'), TEXT);
    await expect(applied([there])).rejects.toThrow(
      /^1\.patch: hunk 1 of 1 .*; the tree has it already: give --reverse$/,
    );
    await expect(applied([made(A, TEXT)])).rejects.toThrow(/the tree has it already/);
    const absent = git(A, TEXT, withLine(5, 'five'));
    await expect(applied([absent], true)).rejects.toThrow(
      /; the tree does not have it: leave --reverse out$/,
    );
  });

  it('takes a series back, the last patch first', async () => {
    const one = git(A, withLine(5, 'V'), withLine(5, 'five')) + removed('lib/c.c', 'x\n');
    const two = git(A, withLine(5, 'five'), TEXT) + made(B, TEXT);
    const { files } = await applied([one, two], true);
    expect(Object.fromEntries(files)).toEqual({
      [A]: withLine(5, 'V'),
      [B]: null,
      'lib/c.c': 'x\n',
    });
    const rename = moves('rename', 'lib/old.c', B);
    const back = await applied([rename], true);
    expect(Object.fromEntries(back.files)).toEqual({ [B]: null, 'lib/old.c': TEXT });
    const copy = moves('copy', 'lib/old.c', B);
    expect(Object.fromEntries((await applied([copy], true)).files)).toEqual({ [B]: null });
  });

  it('fits a file with the line ends of Windows', async () => {
    const diff = git('lib/crlf.c', TEXT, withLine(5, 'five'));
    const texts = { 'lib/crlf.c': withLine(5, 'five') };
    expect(await filesOf(diff)).toEqual(texts);
    expect(await filesOf(diff.replaceAll('\n', '\r\n'))).toEqual(texts);
  });

  it('fits a file that ends without a newline, and one that gets one', async () => {
    const end = TEXT.slice(0, -1);
    expect(await filesOf(git('lib/end.c', end, withLine(30, 'x', TEXT).slice(0, -1)))).toEqual({
      'lib/end.c': withLine(30, 'x').slice(0, -1),
    });
    expect(await filesOf(git('lib/end.c', end, TEXT))).toEqual({ 'lib/end.c': TEXT });
  });

  it('finds hunks that have moved', async () => {
    const before = `new\nnew\n${TEXT}`;
    const after = withLine(25, 'x', withLine(5, 'five', before));
    expect(await filesOf(git(A, before, after))).toEqual({
      [A]: withLine(25, 'x', withLine(5, 'five')),
    });
  });

  it('refuses a file that the tree lacks, where a build reads; else leaves it out', async () => {
    await expect(applied([git('kernel/none.c', 'x\n', 'y\n')])).rejects.toThrow(
      '1.patch: the tree has no kernel/none.c',
    );
    const other = git('Documentation/x.rst', 'x\n', 'y\n');
    const { files, missing } = await applied([git(A, TEXT, withLine(5, 'x')) + other, other]);
    expect([[...files.keys()], missing]).toEqual([[A], ['Documentation/x.rst']]);
  });

  it('refuses a file without a diff, and one that a mail program has wrapped', async () => {
    await expect(applied(['words\n'])).rejects.toThrow('1.patch: there is no unified diff in it');
    const wrapped = git(A, TEXT, withLine(5, 'five')).replace('-line 5', '-line\n5');
    await expect(applied([wrapped])).rejects.toThrow(/^1\.patch: .*invalid line 5/);
  });
});

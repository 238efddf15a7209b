/** Where an lbr.c can lie: in a tree, in a tar of a tree, or as a single file. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { KernelError } from '../../src/tree/errors.js';
import { kernelSource, LBR_PATH, readKernelSource } from '../../src/tree/source.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-source-'));
const TEXT = 'void intel_pmu_lbr_reset(void)\n{\n}\n';

afterAll(() => rmSync(ROOT, { recursive: true }));

function write(path: string, text: string): string {
  const file = join(ROOT, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

function makefile(...lines: string[]): string {
  return `# A comment.\n${lines.join('\n')}\n\nall:\n\techo VERSION = 9\n`;
}

const LATEST = makefile('VERSION = 7', 'PATCHLEVEL = 2', 'SUBLEVEL = 31', 'EXTRAVERSION = -rc4');

/** A tree of this name, with a Makefile if `top` is given. */
function tree(name: string, top?: string): string {
  write(join(name, LBR_PATH), TEXT);
  if (top !== undefined) write(join(name, 'Makefile'), top);
  return join(ROOT, name);
}

describe('readKernelSource', () => {
  it('the file of a tree is read, and the version from its Makefile', () => {
    const { text, info } = readKernelSource(tree('tree', LATEST));
    expect(text).toBe(TEXT);
    expect(info.version).toBe('7.2.31-rc4');
    expect(info.sha256).toBe(createHash('sha256').update(TEXT).digest('hex'));
  });
  it('a tree that is alone in a folder is read', () => {
    tree('outer/linux-7.2', LATEST);
    write('outer/README', 'not a tree');
    expect(readKernelSource(join(ROOT, 'outer')).info.version).toBe('7.2.31-rc4');
  });
  it('between two trees in a folder there is never a guess', () => {
    tree('two/a', LATEST);
    tree('two/b', LATEST);
    expect(() => readKernelSource(join(ROOT, 'two'))).toThrow(/two: this is no kernel tree/);
  });
  it.each([
    ['of four parts', LATEST, '7.2.31-rc4'],
    ['without the last', makefile('VERSION = 7', 'PATCHLEVEL = 2', 'SUBLEVEL = 0'), '7.2.0'],
    [
      'of two parts',
      makefile('VERSION = 7', 'PATCHLEVEL = 2', 'SUBLEVEL =', 'EXTRAVERSION ='),
      '7.2',
    ],
    ['that is not there', 'all:\n', 'unknown'],
    ['without a Makefile', undefined, 'unknown'],
  ])('a version %s is always given as it is', (name, top, version) => {
    expect(readKernelSource(tree(`version ${name}`, top)).info.version).toBe(version);
  });
  it('the file itself is read, with the version of the tree around it', () => {
    const file = join(tree('around', LATEST), LBR_PATH);
    expect(readKernelSource(file)).toEqual(readKernelSource(join(ROOT, 'around')));
  });
  it('a version is never taken from a file outside a tree', () => {
    write('alone/Makefile', LATEST);
    const { text, info } = readKernelSource(write('alone/a/b/c/d/lbr.c', TEXT));
    expect([text, info.version]).toEqual([TEXT, 'unknown']);
  });
  it.each([
    ['linux.tar', '-cf'],
    ['linux.tar.gz', '-czf'],
    ['linux.tgz', '-czf'],
  ])('a %s is always read', (name, how) => {
    tree('packed/linux-7.2', LATEST);
    write('packed/linux-7.2/drivers/Makefile', makefile('VERSION = 1'));
    const tar = join(ROOT, name);
    execFileSync('tar', [how, tar, '-C', join(ROOT, 'packed'), 'linux-7.2']);
    const { text, info } = readKernelSource(tar);
    expect([text, info.version]).toEqual([TEXT, '7.2.31-rc4']);
  });
  it('a tar without a Makefile is always read', () => {
    tree('bare/linux-7.2');
    const tar = join(ROOT, 'bare.tar');
    execFileSync('tar', ['-cf', tar, '-C', join(ROOT, 'bare'), 'linux-7.2']);
    expect(readKernelSource(tar).info.version).toBe('unknown');
  });
  it('the error of a tar always says what is wrong', () => {
    const other = write('other/linux-7.2/Makefile', LATEST);
    const tar = join(ROOT, 'other.tar');
    execFileSync('tar', ['-cf', tar, '-C', dirname(dirname(other)), 'linux-7.2']);
    expect(() => readKernelSource(tar)).toThrow(KernelError);
    expect(() => readKernelSource(tar)).toThrow(/other\.tar: arch\/x86\/.*lbr\.c is not in it$/);
    const broken = write('broken.tar', 'this is no tar');
    expect(() => readKernelSource(broken)).toThrow(/broken\.tar: tar can't read it: tar: /);
  });
  it('the error of a path always says what is wrong', () => {
    const cases: readonly (readonly [path: string, message: RegExp])[] = [
      [join(ROOT, 'nowhere'), /nowhere: there is no such file or folder$/],
      [dirname(write('empty/README', '')), /empty: this is no kernel tree; arch\/x86\/.*lbr\.c is/],
      [write('notes.txt', TEXT), /notes\.txt: give a kernel tree, a \.tar of one, or an lbr\.c$/],
      [write('amd/lbr.c', 'void amd_pmu_lbr_reset(void);\n'), /amd\/lbr\.c: this is not .*lbr\.c;/],
    ];
    for (const [path, message] of cases) {
      expect(() => readKernelSource(path)).toThrow(KernelError);
      expect(() => readKernelSource(path)).toThrow(message);
    }
  });
});

describe('kernelSource', () => {
  it('texts are told apart by their hash, and kernelSource adds no version', () => {
    expect(kernelSource('a').info.sha256).not.toBe(kernelSource('b').info.sha256);
    expect(kernelSource('a').info.version).toBe('unknown');
  });
});

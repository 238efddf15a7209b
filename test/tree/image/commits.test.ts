/** Images of the commits of a repository: each is built of what has changed. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { folderOf } from '../../../src/tree/image/build.js';
import { CommitImages } from '../../../src/tree/image/commits.js';
import { openTree } from '../../../src/tree/image/tree.js';
import { CACHE, CACHE_HOME, imageVersions } from '../../rig/images.js';
import { type KernelHistory, kernelHistory } from '../../rig/kernel_repository.js';

/** Where nothing is in the cache yet, an image is built whole. */
const BUILD_MS = 600_000;

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-commits-'));
const FOLDER = join(ROOT, 'linux');
const LOG = join(ROOT, 'clang.log');
const RBTREE = 'lib/rbtree.c';

let history: KernelHistory;
/** Hashes that no other run of this test has had: what is built of them is taken away. */
const fresh: string[] = [];

afterAll(async () => {
  for (const hash of fresh) {
    // oxlint-disable-next-line no-await-in-loop
    const tree = await openTree(`${FOLDER}@${hash}`, CACHE);
    // oxlint-disable-next-line no-await-in-loop
    rmSync(await folderOf(tree, CACHE, {}), { recursive: true, force: true });
    rmSync(tree, { recursive: true });
  }
  vi.unstubAllEnvs();
  rmSync(ROOT, { recursive: true });
});

/** A commit on the branch at hand that no cache has. */
function freshCommit(path: string, text: string): string {
  const mark = `/* ${process.pid} ${performance.timeOrigin} ${fresh.length} */\n`;
  const hash = history.repository.commit('fresh', { [path]: text + mark });
  fresh.push(hash);
  return hash;
}

/** The files that clang was given since the last call. */
function compiled(): string[] {
  const lines = readFileSync(LOG, 'utf8').split('\n');
  writeFileSync(LOG, '');
  return lines.flatMap((line) => / (\S+\.c) -o /.exec(line)?.slice(1) ?? []);
}

/** A clang that notes how it is called. */
function notedClang(): void {
  const real = execFileSync('sh', ['-c', 'command -v clang'], { encoding: 'utf8' }).trim();
  const script = `#!/bin/sh\necho "$@" >> ${LOG}\nexec ${real} "$@"\n`;
  writeFileSync(join(ROOT, 'clang'), script, { mode: 0o755 });
  writeFileSync(LOG, '');
  vi.stubEnv('PATH', `${ROOT}${delimiter}${process.env['PATH'] ?? ''}`);
  vi.stubEnv('XDG_CACHE_HOME', CACHE_HOME);
}

describe.skipIf(imageVersions('6.1').length === 0)('the images of commits', () => {
  beforeAll(async () => {
    history = await kernelHistory(FOLDER, '6.1');
    notedClang();
  }, BUILD_MS);

  it(
    'compile what no commit before has, and know what they are made of',
    async () => {
      const { repository } = history;
      const images = new CommitImages(FOLDER, {});
      expect(images.files).toContain('Makefile');
      expect(images.files).not.toContain(RBTREE);
      await images.at(repository.git('rev-parse', 'v1'));
      expect(images.files.length).toBeGreaterThan(500);
      for (const path of [RBTREE, 'arch/x86/lib/x86-opcode-map.txt', 'kernel/events/core.c']) {
        expect(images.files).toContain(path);
      }
      expect(images.files).not.toContain('Documentation/a.rst');
      compiled();
      const text = readFileSync(join(FOLDER, RBTREE), 'utf8');
      repository.git('checkout', '-q', 'hidden');
      const broken = freshCommit(RBTREE, `${text}#error broken\n`);
      await expect(images.at(broken)).rejects.toThrow(`${RBTREE} does not compile`);
      const mended = freshCommit(RBTREE, text);
      const first = compiled();
      const image = await images.at(mended);
      const second = compiled();
      // lbr.c of the branch is that of no commit so far, so the first that comes there compiles it.
      const names = [...first, ...second].map((path) => path.replace(/^.*\/trees\/\w+\//, ''));
      expect(names.toSorted()).toEqual(['arch/x86/events/intel/lbr.c', RBTREE, RBTREE]);
      expect(image.info.version).toMatch(/^6\.1\./);
    },
    BUILD_MS,
  );

  it('are not built once they are to end', async () => {
    const images = new CommitImages(FOLDER, { signal: AbortSignal.abort() });
    compiled();
    await expect(images.at(freshCommit('lib/more.c', ''))).rejects.toThrow('aborted');
    expect(compiled()).toEqual([]);
  });
});

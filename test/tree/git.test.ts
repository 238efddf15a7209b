/** What is asked of a git repository. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  commitHash,
  commitsAt,
  halving,
  history,
  historyLength,
  isRepository,
  isShallow,
  mergeBase,
} from '../../src/tree/git.js';
import { Repository } from '../rig/repository.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-git-'));
const REPO = new Repository(join(ROOT, 'repo'));
const { folder } = REPO;

const first = REPO.commit('first', { a: '1', b: '1' });
REPO.git('tag', '-a', '-m', 'annotated', 'v1');
const ofA = REPO.commit('a changes', { a: '2' });
const ofB = REPO.commit('b changes', { b: '2' });
const again = REPO.commit('a changes again', { a: '3' });
REPO.git('checkout', '-q', '-b', 'side', ofA);
const side = REPO.commit('c comes', { c: '1' });
REPO.git('checkout', '-q', 'main');
REPO.git('merge', '-q', '-m', 'both', 'side');
const both = REPO.git('rev-parse', 'HEAD');

afterAll(() => rmSync(ROOT, { recursive: true }));

describe('a repository', () => {
  it('is a folder with .git in it, or a bare one, and no other', () => {
    REPO.git('clone', '-q', '--bare', folder, join(ROOT, 'bare'));
    mkdirSync(join(folder, 'sub'));
    expect([folder, join(ROOT, 'bare'), join(folder, 'sub'), ROOT].map(isRepository)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('finds the commit of a tag, a branch, and a hash that is cut off', async () => {
    const names = ['v1', 'side', again.slice(0, 8), 'main~1'];
    const hashes = names.map(async (name) => commitHash(folder, name));
    expect(await Promise.all(hashes)).toEqual([first, side, again, again]);
  });

  it('says of a name that is no commit which one it is, and why if git says so', async () => {
    for (const name of ['v2', '--all', `${first}^{tree}`]) {
      await expect(commitHash(folder, name)).rejects.toThrow(`git knows no commit ${name}`);
    }
    await expect(commitHash(folder, 'v2')).rejects.toThrow(/v2$/);
    const broken = new Repository(join(ROOT, 'broken'));
    rmSync(join(broken.folder, '.git', 'HEAD'));
    await expect(commitHash(broken.folder, 'main')).rejects.toThrow(
      `${broken.folder}: git knows no commit main: fatal: not a git repository`,
    );
  });

  it('tells subject, author and date of commits in the order of their hashes', async () => {
    expect(await commitsAt(folder, [again, first])).toEqual([
      {
        hash: again,
        subject: 'a changes again',
        author: 'A. Müller <a@example.org>',
        date: expect.stringMatching(/^2026-01-04T12:00:00(?:Z|\+00:00)$/) as string,
      },
      expect.objectContaining({ hash: first, subject: 'first' }),
    ]);
  });

  it('knows the last commit that two have in common, if there is one', async () => {
    expect(await mergeBase(folder, again, side)).toBe(ofA);
    expect(await mergeBase(folder, first, both)).toBe(first);
    REPO.git('checkout', '-q', '--orphan', 'apart');
    const apart = REPO.commit('apart', { a: '1' });
    REPO.git('checkout', '-q', 'main');
    expect(await mergeBase(folder, apart, both)).toBeNull();
    await expect(mergeBase(folder, 'nothing', both)).rejects.toThrow('git merge-base: fatal:');
  });

  it('lists what a commit has and others have not, from old to new, and counts it', async () => {
    const hashes = async (
      without: readonly string[],
      paths?: readonly string[],
    ): Promise<string[]> => {
      const part = { head: both, without };
      const commits = await history(folder, part, paths);
      expect(await historyLength(folder, part, paths)).toBe(commits.length);
      return commits.map(({ hash }) => hash);
    };
    const all = await hashes([first]);
    expect(new Set(all)).toEqual(new Set([ofA, ofB, again, side, both]));
    expect([all[0], all.at(-1)]).toEqual([ofA, both]);
    expect(await hashes([again, side])).toEqual([both]);
    expect(await hashes([first], ['b'])).toEqual([ofB]);
    expect(await hashes([both])).toEqual([]);
    expect(await history(folder, { head: ofB, without: [ofA] })).toEqual(
      await commitsAt(folder, [ofB]),
    );
  });

  it('begins with the commit that halves a range best, and ends with its head', async () => {
    const merged = await halving(folder, { head: both, without: [first] });
    // Two of the five lie on one side of each of these, and three on the other.
    expect([ofB, side, again]).toContain(merged[0]);
    expect([merged.length, merged.at(-1)]).toEqual([5, both]);
    expect(await halving(folder, { head: again, without: [first] }, ['a'])).toEqual([ofA, again]);
    expect(await halving(folder, { head: first, without: [first] })).toEqual([]);
  });

  it('takes a path for what it is, and not for a pattern', async () => {
    expect(await halving(folder, { head: both, without: [first] }, ['[ab]'])).toEqual([]);
  });

  it('is shallow if its history is cut off', async () => {
    REPO.git('clone', '-q', '--depth', '2', `file://${folder}`, join(ROOT, 'shallow'));
    expect(await isShallow(folder)).toBe(false);
    expect(await isShallow(join(ROOT, 'shallow'))).toBe(true);
  });
});

/** What `vlbr campaign bisect` refuses before anything is built, and what it takes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { tokenOf } from '../../../src/campaign/replay_file.js';
import { campaignOf, rangeOf, scheduleOf } from '../../../src/questions/campaign/bisect_asked.js';
import { Repository } from '../../rig/repository.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-asked-'));
const REPO = new Repository(join(ROOT, 'repo'));
const { folder } = REPO;
const one = REPO.commit('one', { a: '1' });
const two = REPO.commit('two', { a: '2' });
REPO.git('tag', '-a', '-m', 'the second', 'v2', two);
REPO.git('checkout', '-q', '-b', 'side', one);
const side = REPO.commit('side', { b: '1' });
REPO.git('checkout', '-q', '--orphan', 'apart');
REPO.commit('apart', { c: '1' });

const OPTIONS = { kernelSrc: folder };
const GOLDEN = 'test/golden/004-merged-drops-the-stack-in-the-window.json';

afterAll(() => rmSync(ROOT, { recursive: true }));

describe('the range of a bisection', () => {
  it('is named by hashes, tags and branches', async () => {
    const { repository, good, bad } = await rangeOf(folder, one.slice(0, 9), 'v2');
    expect([repository, good.hash, bad.hash, bad.subject]).toEqual([folder, one, two, 'two']);
  });

  it.each([
    ['v2', two, `v2 and ${two} are the same commit`],
    ['v2', one, `${one} is an ancestor of v2: name the older commit first`],
    ['v2', 'side', 'v2 is no ancestor of side; give their common ancestor '],
    ['v2', 'apart', 'v2 is no ancestor of apart, and they have none in common'],
    ['v1', 'v2', 'git knows no commit v1'],
    ['v2', 'v3', 'git knows no commit v3'],
  ])('is refused from %s to %s', async (good, bad, says) => {
    await expect(rangeOf(folder, good, bad)).rejects.toThrow(says);
  });

  it('is refused with the advice that mends it', async () => {
    const asked = rangeOf(folder, side, two);
    await expect(asked).rejects.toThrow(`ancestor ${one.slice(0, 12)} in its place, if that is`);
    await expect(rangeOf(ROOT, one, two)).rejects.toThrow(`${ROOT}: this is no git repository`);
    const shallow = join(ROOT, 'shallow');
    REPO.git('clone', '-q', '--depth', '1', '--no-single-branch', `file://${folder}`, shallow);
    const advice = 'the clone is shallow, so complete it (git fetch --unshallow)';
    await expect(rangeOf(shallow, one, 'v2')).rejects.toThrow(
      `${shallow}: git knows no commit ${one}; ${advice}`,
    );
    await expect(rangeOf(shallow, side, 'v2')).rejects.toThrow(
      `${side} is no ancestor of v2; ${advice}`,
    );
  });
});

describe('what a bisection looks for', () => {
  it('is one schedule, of a token or a file', async () => {
    const replay = await scheduleOf(GOLDEN, OPTIONS);
    expect([replay.property, replay.config.policy.name]).toEqual(['no-loss/callstack', 'merged']);
    const again = await scheduleOf(tokenOf(replay), OPTIONS);
    expect(tokenOf(again)).toBe(tokenOf(replay));
  });

  it('is refused where there are several, or options that are for none', async () => {
    const file = join(ROOT, 'two.txt');
    const token = tokenOf(await scheduleOf(GOLDEN, OPTIONS));
    const other = tokenOf(await scheduleOf('test/golden/010-never-loses-the-stack.json', OPTIONS));
    writeFileSync(file, `${token}\n${other}\n`);
    const says = `${file}: there are 2 schedules in it; give one, as a token`;
    await expect(scheduleOf(file, OPTIONS)).rejects.toThrow(says);
    for (const [key, value] of Object.entries({ property: 'all', cpu: 'knl', runs: 1, seed: 2 })) {
      // oxlint-disable-next-line no-await-in-loop
      await expect(scheduleOf(GOLDEN, { ...OPTIONS, [key]: value })).rejects.toThrow(
        `--${key} is for a search without a schedule: leave one of them out`,
      );
    }
    await expect(scheduleOf(GOLDEN, { ...OPTIONS, policy: 'none.mjs' })).rejects.toThrow(
      'none.mjs',
    );
  });

  it('is what a small campaign finds, by default under the policies that tell', async () => {
    expect(await campaignOf(OPTIONS)).toMatchObject({
      policies: ['always', 'merged', 'pv-sound', 'lazy-sound', 'parked'],
      cpu: 'skylake',
      runs: 500,
      seed: 1,
    });
    const asked = { policy: 'kvm,always', property: 'no-leak', cpu: 'haswell', runs: 7, seed: 8 };
    expect(await campaignOf({ ...OPTIONS, ...asked })).toEqual({
      policies: ['always', 'kvm'],
      properties: ['no-leak/vm', 'no-leak/task'],
      cpu: 'haswell',
      runs: 7,
      seed: 8,
    });
    for (const [key, says] of [
      ['policy', "there is no policy 'x'"],
      ['property', "there is no property 'x'"],
      ['cpu', "there is no CPU 'x'"],
    ]) {
      // oxlint-disable-next-line no-await-in-loop
      await expect(campaignOf({ ...OPTIONS, [key]: 'x' })).rejects.toThrow(says);
    }
  });
});

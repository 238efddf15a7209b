/** Halving, on histories that tests make up. */
import { describe, expect, it } from 'vitest';
import type { Ending } from '../../../src/questions/campaign/bisect_ending.js';
import { searched, type Searched } from '../../../src/questions/campaign/bisect_search.js';
import type { Between } from '../../../src/tree/git.js';

const HOLDS: Ending = { kind: 'holds' };
const FAILS: Ending = { kind: 'fails', breaker: 'policy', token: 'v1.x', because: null };
const SKIPPED: Ending = { kind: 'skipped', why: 'it does not compile' };

/** A history without branches: commits are numbers from 0 on, the good one is before them. */
const numbers = ({ head, without }: Between): number[] => {
  const from = Math.max(-1, ...without.map(Number));
  return Array.from({ length: Number(head) - from }, (_, i) => from + 1 + i);
};

/** The middle ones first, as git gives them. */
function halving(part: Between): Promise<string[]> {
  const all = numbers(part);
  const worth = (i: number): number => Math.min(i + 1, all.length - 1 - i);
  const order = all.map((_, i) => i).toSorted((a, b) => worth(b) - worth(a));
  return Promise.resolve(order.map((i) => String(all[i])));
}

interface Run {
  readonly suspects: readonly number[];
  readonly asked: readonly number[];
  readonly found: Searched;
}

async function run(commits: number, ending: (commit: number) => Ending | null): Promise<Run> {
  const asked: number[] = [];
  const range = { head: String(commits - 1), without: ['-1'] };
  const found = await searched(range, halving, (hash) => {
    asked.push(Number(hash));
    return Promise.resolve(ending(Number(hash)));
  });
  return { suspects: numbers(found.part), asked, found };
}

describe('the search for the first commit that fails', () => {
  it('finds each commit of a range in as many steps as halving takes', async () => {
    for (const commits of [1, 2, 3, 8, 100]) {
      for (let bad = 0; bad < commits; bad++) {
        // oxlint-disable-next-line no-await-in-loop
        const { suspects, asked, found } = await run(commits, (n) => (n < bad ? HOLDS : FAILS));
        expect(suspects).toEqual([bad]);
        expect(asked.length).toBeLessThanOrEqual(Math.ceil(Math.log2(commits)));
        expect(found.interrupted).toBe(false);
      }
    }
  });

  it('passes over what can not be judged, and finds what lies elsewhere', async () => {
    for (let bad = 0; bad < 20; bad++) {
      // oxlint-disable-next-line no-await-in-loop
      const { suspects, asked } = await run(20, (n) =>
        n === (bad + 5) % 20 ? SKIPPED : n < bad ? HOLDS : FAILS,
      );
      const before = (bad + 5) % 20 === bad - 1;
      expect(suspects).toEqual(before ? [bad - 1, bad] : [bad]);
      expect(new Set(asked).size).toBe(asked.length);
    }
  });

  it('is left with all that can not be judged beside the first that fails', async () => {
    const { suspects, found } = await run(20, (n) => {
      if (n >= 9 && n <= 12) return SKIPPED;
      return n < 9 ? HOLDS : FAILS;
    });
    expect(suspects).toEqual([9, 10, 11, 12, 13]);
    expect(found.interrupted).toBe(false);
  });

  it('leaves a broken stretch of history soon', async () => {
    // All but the first and the last tenth of a history can't be built.
    const { asked, suspects } = await run(200, (n) => {
      if (n >= 20 && n < 180) return SKIPPED;
      return n < 8 ? HOLDS : FAILS;
    });
    expect(suspects).toEqual([8]);
    expect(asked.length).toBeLessThan(20);
  });

  it('ends with what is left where it is told to', async () => {
    let steps = 0;
    const { suspects, found } = await run(100, (n) =>
      steps++ === 2 ? null : n < 30 ? HOLDS : FAILS,
    );
    expect(found.interrupted).toBe(true);
    expect(suspects.length).toBeLessThan(30);
    expect(suspects).toContain(30);
  });

  it('tells how many commits are left', async () => {
    const lefts: number[] = [];
    const range = { head: '7', without: ['-1'] };
    await searched(range, halving, (_, left) => {
      lefts.push(left);
      return Promise.resolve(FAILS);
    });
    expect(lefts).toEqual([8, 4, 2]);
  });

  it('judges a commit that is left alone and is not the bad one itself', async () => {
    const asked: string[] = [];
    const found = await searched(
      { head: 'bad', without: ['good'] },
      () => Promise.resolve(['only']),
      (hash) => {
        asked.push(hash);
        return Promise.resolve(FAILS);
      },
    );
    expect([asked, found.part.head]).toEqual([['only'], 'only']);
  });

  it('is a bug where nothing lies between a good and a bad commit', async () => {
    const asked = searched(
      { head: 'bad', without: ['good'] },
      () => Promise.resolve([]),
      () => Promise.resolve(FAILS),
    );
    await expect(asked).rejects.toThrow('has a reason between');
  });
});

/** What a run has broken, and what of it counts. */
import { describe, expect, it } from 'vitest';
import { Verdicts } from '../../src/judge/verdicts.js';

const JUDGED = 2;
const OTHER = 3;
const detail = (): string => 'so';

describe('Verdicts', () => {
  it('after judgeOnly() other properties are broken by nobody, until the next run', () => {
    const verdicts = new Verdicts();
    const breakAll = (): number[] => {
      for (const property of [JUDGED, OTHER]) {
        verdicts.breaks(property, detail);
        verdicts.breaksOwn(property, detail);
      }
      const { broken, own } = verdicts;
      return [broken[JUDGED], own[JUDGED], broken[OTHER], own[OTHER]];
    };
    verdicts.judgeOnly(JUDGED);
    expect(breakAll()).toEqual([1, 1, 0, 0]);
    verdicts.clear();
    expect(breakAll()).toEqual([1, 1, 1, 1]);
  });

  it('judgeOnly() keeps what was broken before, and is no news', () => {
    const verdicts = new Verdicts();
    verdicts.breaks(OTHER, detail);
    verdicts.news = false;
    verdicts.judgeOnly(JUDGED);
    verdicts.breaks(OTHER, detail);
    expect([verdicts.broken[OTHER], verdicts.news]).toEqual([1, false]);
  });

  it('what is remembered brings the state of a run back', () => {
    const verdicts = new Verdicts();
    verdicts.judgeOnly(JUDGED);
    const kept = verdicts.remembered.map((words) => words.slice());
    verdicts.clear();
    verdicts.remembered.forEach((words, i) => words.set(kept[i]));
    verdicts.breaks(OTHER, detail);
    expect(verdicts.broken[OTHER]).toBe(0);
  });
});

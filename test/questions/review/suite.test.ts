/** A review as test cases, from hand-made findings. */
import { describe, expect, it } from 'vitest';
import { encodeToken } from '../../../src/schedule/token.js';
import type { PropertyName } from '../../../src/judge/properties.js';
import type { Review } from '../../../src/questions/review/conclusion.js';
import { reviewSuite } from '../../../src/questions/review/suite.js';
import { FOUND, LOST, reviewOf } from '../../rig/reviews.js';

const ASKED: readonly PropertyName[] = ['no-leak/vm', 'balanced'];

/** The cases of a review: group, name, outcome and what it says. */
function rows(review: Review): string[][] {
  const { name, cases } = reviewSuite(review);
  expect(name).toBe('vlbr review');
  return cases.map((one) => [one.group, one.name, one.outcome, one.says]);
}

const asked = (changes: Parameters<typeof reviewOf>[0], more: Partial<Review> = {}): Review =>
  reviewOf(changes, { properties: ASKED, ...more });

const RUNS = ['fix.patch', 'the changed kernel runs', 'ok', ''];
const KEPT = ['fix.patch', 'balanced', 'ok', ''];

describe('reviewSuite', () => {
  it('a property that is lost is not ok, and says who breaks it and how to see it', () => {
    const token = encodeToken(FOUND);
    expect(rows(asked([LOST]))).toEqual([
      RUNS,
      [
        'fix.patch',
        'no-leak/vm',
        'not ok',
        `lost: merged breaks it on skylake; vlbr replay ${token}`,
      ],
      KEPT,
    ]);
    const kernels = { ...LOST, by: 'kernel' } as const;
    expect(rows(asked([kernels]))[1][3]).toMatch(
      /^lost: the guest's kernel breaks it on skylake; /,
    );
  });

  it('a property that is gained, or the same, is ok, and one not asked for is no case', () => {
    const gained = { ...LOST, kind: 'gained' } as const;
    expect(rows(asked([gained]))).toEqual([RUNS, ['fix.patch', 'no-leak/vm', 'ok', ''], KEPT]);
    expect(rows(asked([LOST], { properties: ['balanced'] }))).toEqual([RUNS, KEPT]);
  });

  it('a property that says nothing any more is not ok', () => {
    const [one] = asked([]).reviews;
    const reviews = [{ ...one, comparison: { ...one.comparison, vacuous: ['balanced'] as const } }];
    expect(rows(asked([], { reviews }))[2]).toEqual([
      'fix.patch',
      'balanced',
      'not ok',
      'vacuous: its risky situation is gone',
    ]);
  });

  it('a changed kernel that crashes, or does not start, is not ok', () => {
    const [one] = asked([]).reviews;
    const crashed = (side: 'before' | 'after', actions = FOUND.actions): string[] => {
      const crash = { ...FOUND, actions, side, error: 'RangeError: unreachable' };
      const reviews = [{ ...one, comparison: { ...one.comparison, crashes: [crash] } }];
      return rows(asked([], { reviews }))[0];
    };
    expect(crashed('after').slice(2)).toEqual([
      'not ok',
      `it crashes; vlbr replay ${encodeToken(FOUND)}`,
    ]);
    expect(crashed('after', [])[3]).toMatch(/^it does not start; vlbr replay v1/);
    expect(crashed('before')).toEqual(RUNS);
  });

  it('what was cut short, or not reached, says nothing of what is not lost', () => {
    const cut = rows(asked([LOST], { interrupted: true }));
    expect(cut.map(([, , outcome]) => outcome)).toEqual(['ok', 'not ok', 'skip']);
    expect(cut[2][3]).toBe('cut short: it is not lost so far');
    const line = { side: 'after', path: 'lbr.c', line: 3, function: 'f' } as const;
    const reached = { lines: 1, notReached: [line] };
    expect(rows(asked([], { reached })).slice(1)).toEqual(
      ASKED.map((name) => ['fix.patch', name, 'skip', 'none of the changed lines was reached']),
    );
  });

  it('each patch that was reviewed has its own cases', () => {
    const step = { first: 1, last: 1, title: 'one', why: null };
    const found = asked([LOST], { patches: ['one'] });
    const steps = [
      { ...step, found },
      { ...step, found: null, why: 'it does not build' },
    ];
    const each = { patches: 2, steps, blamed: [], interrupted: false };
    const groups = rows(asked([], { each })).map(([group, , outcome]) => `${group} ${outcome}`);
    expect(groups).toEqual([
      'fix.patch ok',
      'fix.patch ok',
      'fix.patch ok',
      'one ok',
      'one not ok',
      'one ok',
    ]);
  });
});

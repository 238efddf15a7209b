/** What a review loses, with and without a baseline: as a list, in text, as cases, as exit code. */
import { describe, expect, it } from 'vitest';
import { sinceOf } from '../../../src/console/baseline.js';
import { coloursFor } from '../../../src/console/colours.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import type { Change, Comparison } from '../../../src/campaign/compare.js';
import type { Review } from '../../../src/questions/review/conclusion.js';
import { reviewJson } from '../../../src/questions/review/json.js';
import { exitCodeFor, lossesIn } from '../../../src/questions/review/losses.js';
import { reviewSuite } from '../../../src/questions/review/suite.js';
import { reviewText } from '../../../src/questions/review/text.js';
import { FOUND, LOST } from '../../rig/reviews.js';
import { wrongWithMade } from '../../rig/schemas.js';

const BY_KERNEL: Change = { ...LOST, by: 'kernel', property: 'balanced' };
const GAINED: Change = { ...LOST, kind: 'gained', property: 'no-fault' };
const CRASH = { ...FOUND, side: 'after', error: 'KernelCrash', actions: [] } as const;

function review(comparison: Partial<Comparison>, more: Partial<Review> = {}): Review {
  const side = { info: { version: '6.1.9', sha256: 'a'.repeat(64) }, driver: PORT, path: 'tree' };
  const none = { policy: 'merged', cpu: 'skylake', changes: [], crashes: [], vacuous: [] };
  const compared = { ...none, runs: 20, ...comparison } as Comparison;
  const ran = { before: [], after: [] };
  return {
    cpus: ['skylake'],
    policies: ['merged'],
    properties: ['no-leak/vm', 'no-fault', 'balanced'],
    seed: 3,
    runs: 20,
    before: side,
    after: side,
    patches: ['fix.patch'],
    each: null,
    reverse: false,
    leftOut: [],
    reached: null,
    reviews: [{ comparison: compared, accesses: null, ran }],
    interrupted: false,
    elapsed_s: 1,
    since: null,
    ...more,
  };
}

/** A review against a baseline that had the losses of another one. */
function since(of: Review, earlier: Review): Review {
  const baseline = { file: 'base.json', losses: lossesIn(earlier) };
  return { ...of, since: sinceOf(baseline, lossesIn(of), false) };
}

const cases = (of: Review): string[] =>
  reviewSuite(of).cases.map(({ group, name, outcome }) => `${group}: ${name} ${outcome}`);
const text = (of: Review): string => reviewText(of, coloursFor(false)).join('\n');

const LEAKS = { of: 'merged', what: 'no-leak/vm', how: 'lost' };

describe('the losses of a review', () => {
  it('losses are what is lost, by whom, what says nothing any more, and a crash', () => {
    const all = review({ changes: [LOST, GAINED, BY_KERNEL], vacuous: ['no-fault'] });
    expect(lossesIn(all)).toEqual([
      { of: 'kernel', what: 'balanced', how: 'lost' },
      LEAKS,
      { of: 'merged', what: 'no-fault', how: 'vacuous' },
    ]);
    expect(lossesIn(review({ crashes: [CRASH] }))).toEqual([
      { of: 'kernel', what: 'the changed kernel runs', how: 'does not start' },
    ]);
    expect(
      lossesIn(review({ changes: [GAINED], crashes: [{ ...CRASH, side: 'before' }] })),
    ).toEqual([]);
  });

  it('the losses of a patch come after those of the whole, with its title', () => {
    const found = review({ changes: [LOST], vacuous: ['no-fault'], crashes: [CRASH] });
    const step = { first: 1, last: 1, title: 'one', found, why: null };
    const steps = [step, { ...step, last: 2, title: 'two', found: null, why: 'not built' }];
    const each = { patches: 2, steps, blamed: [], interrupted: false };
    const whole = review({}, { each });
    expect(lossesIn(whole)).toEqual([
      { ...LEAKS, how: 'lost by one' },
      { of: 'merged', what: 'no-fault', how: 'vacuous by one' },
      { of: 'kernel', what: 'the changed kernel runs', how: 'does not start by one' },
    ]);
    expect(exitCodeFor(whole)).toBe(1);
    expect(exitCodeFor(since(whole, whole))).toBe(0);
    const outcomes = (of: Review) => new Set(reviewSuite(of).cases.map(({ outcome }) => outcome));
    expect(outcomes(whole)).toEqual(new Set(['ok', 'not ok']));
    expect(outcomes(since(whole, whole))).toEqual(new Set(['ok']));
  });

  it('the exit code goes by new losses, then by what was not looked at', () => {
    const lost = review({ changes: [LOST] });
    expect(exitCodeFor(lost)).toBe(1);
    expect(exitCodeFor(since(lost, lost))).toBe(0);
    expect(exitCodeFor(since(lost, review({ changes: [BY_KERNEL] })))).toBe(1);
    expect(exitCodeFor({ ...since(lost, lost), interrupted: true })).toBe(4);
    expect(exitCodeFor({ ...since(lost, lost), leftOut: ['kernel/x.c'] })).toBe(7);
    const line = { side: 'after', path: 'x.c', line: 3, function: 'f' } as const;
    const reached = { lines: 1, notReached: [line] };
    expect(exitCodeFor({ ...since(lost, lost), reached })).toBe(8);
  });
});

describe('a review with a baseline', () => {
  const both = review({ changes: [LOST, BY_KERNEL] });
  const one = since(both, review({ changes: [LOST] }));

  it('the text tells the schedule of what is new alone', () => {
    expect(text(both)).toContain('lost: no-leak/vm, broken by merged');
    expect(text(one)).not.toContain('lost: no-leak/vm, broken by merged');
    expect(text(one)).toContain("lost: balanced, broken by the guest's kernel itself");
    expect(text(one)).toMatch(/^LOST +no-leak\/vm +merged +\S+ +\d+ actions; known$/m);
    expect(text(one)).toMatch(/^NEW +kernel +balanced +lost\nknown +merged +no-leak\/vm +lost$/m);
    expect(text(one)).toMatch(/\nsince base\.json: 1 new loss, 1 known, 0 no longer$/);
    expect(text(both)).not.toContain('since');
    const gained = since(review({ changes: [GAINED] }), review({ changes: [LOST] }));
    expect(text(gained)).toMatch(/^no longer +merged +no-leak\/vm +lost$/m);
    expect(text(gained)).toContain('gained: no-fault, broken by merged');
  });

  it('JSON has all losses, and which of them are new', () => {
    expect(wrongWithMade(reviewJson(one))).toEqual([]);
    expect(reviewJson(one)).toMatchObject({
      policies: ['merged'],
      properties: ['no-leak/vm', 'no-fault', 'balanced'],
      losses: [{ of: 'kernel' }, { of: 'merged' }],
      baseline: { file: 'base.json', new: [{ of: 'kernel' }], known: [LEAKS], noLonger: [] },
      ok: false,
    });
  });

  it('a case with a known loss is ok, and one with a new loss is not', () => {
    expect(cases(both)).toEqual([
      'fix.patch: the changed kernel runs ok',
      'fix.patch: no-leak/vm not ok',
      'fix.patch: no-fault ok',
      'fix.patch: balanced not ok',
    ]);
    expect(cases(one).slice(1)).toEqual([
      'fix.patch: no-leak/vm ok',
      'fix.patch: no-fault ok',
      'fix.patch: balanced not ok',
    ]);
    const [, known] = reviewSuite(one).cases;
    expect(known.says).toMatch(/^known from base\.json: lost: merged breaks it on skylake; vlbr /);
    // Of two losses of a property, the new one is told.
    const twice = review({ changes: [LOST, { ...BY_KERNEL, property: 'no-leak/vm' }] });
    const first = reviewSuite(since(twice, review({ changes: [LOST] }))).cases[1];
    expect(first.outcome).toBe('not ok');
    expect(first.says).toMatch(/^lost: the guest's kernel breaks it/);
    const other = review({ changes: [{ ...BY_KERNEL, property: 'no-leak/vm' }] });
    expect(reviewSuite(since(twice, other)).cases[1].says).toMatch(/^lost: merged breaks it/);
  });

  it('a crash and a property that says nothing any more can be known', () => {
    const vacuous = review({ vacuous: ['no-fault'] });
    expect(cases(vacuous)).toContain('fix.patch: no-fault not ok');
    expect(cases(since(vacuous, vacuous))).toContain('fix.patch: no-fault ok');
    const crashed = review({ crashes: [CRASH] });
    expect(cases(crashed)[0]).toBe('fix.patch: the changed kernel runs not ok');
    expect(cases(since(crashed, crashed))[0]).toBe('fix.patch: the changed kernel runs ok');
    expect(reviewSuite(crashed).cases[0].says).toMatch(/^it does not start; vlbr replay v1\./);
  });

  it('a case of what was cut short, or not reached, says nothing of what is not lost', () => {
    const cut = { ...one, interrupted: true };
    expect(cases(cut).slice(1)).toEqual([
      'fix.patch: no-leak/vm ok',
      'fix.patch: no-fault skip',
      'fix.patch: balanced not ok',
    ]);
    const line = { side: 'after', path: 'x.c', line: 3, function: 'f' } as const;
    const unreached = review({}, { reached: { lines: 1, notReached: [line] } });
    expect(cases(unreached)[1]).toBe('fix.patch: no-leak/vm skip');
    expect(reviewSuite(unreached).cases[1].says).toBe('none of the changed lines was reached');
  });
});

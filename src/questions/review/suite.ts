/** A review as test cases. */
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { encodeToken } from '../../schedule/token.js';
import type { Suite, TestCase } from '../../console/report_forms.js';
import { crashOf, crashWord, findingsOf, vacuousOf } from './comparison.js';
import { isCutShort, type Review } from './conclusion.js';
import { noneReached } from './reached.js';

/** The cases of a review, and of that of each patch. */
export function reviewSuite(review: Review): Suite {
  const steps = review.each?.steps.flatMap(({ found }) => found ?? []) ?? [];
  return { name: 'vlbr review', cases: [review, ...steps].flatMap(casesOf) };
}

/** Whether the changed kernel runs, and a case for each property: whether it is lost. */
function casesOf(review: Review): TestCase[] {
  const group = review.patches.join(', ');
  const { reviews, properties } = review;
  const lost = findingsOf(reviews).filter(({ kind }) => kind === 'lost');
  const vacuous = vacuousOf(reviews);
  const crash = crashOf(reviews, 'after');
  // What did not run can't be said to be kept.
  const kept = isCutShort(review)
    ? 'cut short: it is not lost so far'
    : noneReached(review.reached)
      ? 'none of the changed lines was reached'
      : '';
  const cases = PROPERTY_NAMES.filter((name) => properties.includes(name)).map((name): TestCase => {
    const loss = lost.find(({ property }) => property === name);
    if (loss !== undefined) {
      const { by, policies, cpus, counterexample } = loss;
      const who = by === 'kernel' ? "the guest's kernel" : policies.join(', ');
      const token = encodeToken(counterexample);
      const says = `lost: ${who} breaks it on ${cpus.join(', ')}; vlbr replay ${token}`;
      return { group, name, outcome: 'not ok', says };
    }
    if (vacuous.some(({ property }) => property === name)) {
      return { group, name, outcome: 'not ok', says: 'vacuous: its risky situation is gone' };
    }
    return { group, name, outcome: kept === '' ? 'ok' : 'skip', says: kept };
  });
  const ends: TestCase = {
    group,
    name: 'the changed kernel runs',
    outcome: crash === null ? 'ok' : 'not ok',
    says: crash === null ? '' : `it ${crashWord(crash)}; vlbr replay ${encodeToken(crash)}`,
  };
  return [ends, ...cases];
}

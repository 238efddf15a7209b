/** A review as test cases. */
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { encodeToken } from '../../schedule/token.js';
import { forgiven, isKnown, type Since } from '../../console/baseline.js';
import type { Suite, TestCase } from '../../console/report_forms.js';
import { crashOf, crashWord, type Finding, findingsOf, vacuousOf } from './comparison.js';
import { isCutShort, type Review } from './conclusion.js';
import { lossOf, ownLosses, RUNS } from './losses.js';
import { noneReached } from './reached.js';

/** The cases of a review, and of that of each patch. */
export function reviewSuite(review: Review): Suite {
  const { since, each } = review;
  const steps = (each?.steps ?? []).flatMap(({ found, title }) =>
    found === null ? [] : casesOf(found, title, since),
  );
  return { name: 'vlbr review', cases: [...casesOf(review, null, since), ...steps] };
}

/**
 * Whether the changed kernel runs, and a case for each property: whether it is lost.
 *
 * @param patch - title of the patch that is reviewed by itself; null for the whole.
 */
function casesOf(review: Review, patch: string | null, since: Since | null): TestCase[] {
  const losses = ownLosses(review, patch);
  return [endCase(review), ...propertyCases(review, patch, since)].map((one) =>
    forgiven(
      one,
      losses.filter(({ what }) => what === one.name),
      since,
    ),
  );
}

function groupOf({ patches }: Review): string {
  return patches.join(', ');
}

function endCase(review: Review): TestCase {
  const crash = crashOf(review.reviews, 'after');
  const says = crash === null ? '' : `it ${crashWord(crash)}; vlbr replay ${encodeToken(crash)}`;
  return { group: groupOf(review), name: RUNS, outcome: crash === null ? 'ok' : 'not ok', says };
}

function propertyCases(review: Review, patch: string | null, since: Since | null): TestCase[] {
  const group = groupOf(review);
  const { reviews, properties } = review;
  const found = findingsOf(reviews).filter(({ kind }) => kind === 'lost');
  const isNew = (finding: Finding): boolean => !isKnown(since, lossOf(finding, patch));
  // What is new is told first.
  const lost = [...found.filter(isNew), ...found];
  const vacuous = vacuousOf(reviews);
  // What did not run can't be said to be kept.
  const kept = isCutShort(review)
    ? 'cut short: it is not lost so far'
    : noneReached(review.reached)
      ? 'none of the changed lines was reached'
      : '';
  return PROPERTY_NAMES.filter((name) => properties.includes(name)).map((name): TestCase => {
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
}

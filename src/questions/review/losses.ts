/** What a review finds lost: the list that a later review is compared with, and the exit code. */
import { countedIn, type Loss } from '../../console/baseline.js';
import {
  EXIT_EXPECTED,
  EXIT_PARTIAL,
  EXIT_UNREACHED,
  exitCodeOf,
} from '../../console/exit_codes.js';
import { crashOf, crashWord, type Finding, findingsOf, vacuousOf } from './comparison.js';
import { isCutShort, isPartial, type Review } from './conclusion.js';
import { noneReached } from './reached.js';

/** What a crash of the changed kernel loses. */
export const RUNS = 'the changed kernel runs';

/**
 * What a later review knows a finding by.
 *
 * @param patch - title of the patch that is reviewed by itself; null for the whole.
 */
export function lossOf({ by, policies, property }: Finding, patch: string | null = null): Loss {
  const of = by === 'kernel' ? by : policies.join(',');
  return { of, what: property, how: howOf('lost', patch) };
}

function howOf(how: string, patch: string | null): string {
  return patch === null ? how : `${how} by ${patch}`;
}

/** The losses between two sides. */
export function ownLosses({ reviews }: Pick<Review, 'reviews'>, patch: string | null): Loss[] {
  const lost = findingsOf(reviews).filter(({ kind }) => kind === 'lost');
  const vacuous = vacuousOf(reviews).flatMap(({ property: what, policies }) =>
    policies.map((of) => ({ of, what, how: howOf('vacuous', patch) })),
  );
  const crash = crashOf(reviews, 'after');
  const crashes =
    crash === null ? [] : [{ of: 'kernel', what: RUNS, how: howOf(crashWord(crash), patch) }];
  return [...lost.map((finding) => lossOf(finding, patch)), ...vacuous, ...crashes];
}

/** The losses of a review, and after them those of each patch. */
export function lossesIn(review: Review): Loss[] {
  const steps = review.each?.steps ?? [];
  return [
    ...ownLosses(review, null),
    ...steps.flatMap(({ found, title }) => (found === null ? [] : ownLosses(found, title))),
  ];
}

/** What a review ends with. */
export function exitCodeFor(review: Review): number {
  const lost = countedIn(lossesIn(review), review.since).length > 0;
  const code = exitCodeOf({ lost, cutShort: isCutShort(review) });
  if (code !== EXIT_EXPECTED) return code;
  if (noneReached(review.reached)) return EXIT_UNREACHED;
  return isPartial(review) ? EXIT_PARTIAL : EXIT_EXPECTED;
}

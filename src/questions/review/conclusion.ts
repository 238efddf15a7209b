/** What a review has found, and the sentence that says it. */
import {
  crashOf,
  crashWord,
  type Finding,
  findingsOf,
  isMain,
  type PolicyReview,
  vacuousOf,
} from './comparison.js';
import type { Since } from '../../console/baseline.js';
import { grouped, plural } from '../../console/text.js';
import type { PropertyName } from '../../judge/properties.js';
import type { Each } from './each.js';
import { noneReached, type Reached, whyNot } from './reached.js';
import type { ReviewSide } from './sides.js';

export interface Review {
  readonly cpus: readonly string[];
  readonly seed: number;
  /** Runs for each policy and CPU, on each side. */
  readonly runs: number;
  readonly policies: readonly string[];
  readonly properties: readonly PropertyName[];
  readonly before: ReviewSide;
  readonly after: ReviewSide;
  /** Names of the patches that were applied or taken back. */
  readonly patches: readonly string[];
  readonly reverse: boolean;
  /** Files that the patches change and that do not run here. */
  readonly leftOut: readonly string[];
  readonly reviews: readonly PolicyReview[];
  /** Whether changed lines ran; null where images don't count. */
  readonly reached: Reached | null;
  /** The same of each patch, if that was asked. */
  readonly each: Each | null;
  readonly interrupted: boolean;
  readonly elapsed_s: number;
  /** What is new since an earlier report; null if none was given. */
  readonly since: Since | null;
}

/** Documents and tests of a tree are no part of the kernel. */
const NO_CODE = /^(?:Documentation|tools|samples)\/|^MAINTAINERS$|\.(?:rst|txt)$/;

/** Files with code of the series that are not run here. */
function codeLeftOut({ leftOut }: Review): readonly string[] {
  return leftOut.filter((path) => !NO_CODE.test(path));
}

/** Whether code of the series is not run here. */
export function isPartial(review: Review): boolean {
  return codeLeftOut(review).length > 0;
}

/** Whether the review, or that of a patch, was cut short. */
export function isCutShort({ interrupted, each }: Review): boolean {
  return interrupted || each?.interrupted === true;
}

/** How many runs there were before the end came; empty if all were done. */
function cutText(review: Review): string {
  if (!isCutShort(review)) return '';
  const { reviews, policies, cpus, runs } = review;
  const done = reviews.reduce((sum, { comparison }) => sum + comparison.runs, 0);
  const wanted = plural(policies.length * cpus.length * runs, 'run');
  return `cut short after ${grouped(done)} of ${wanted} on each side`;
}

/** What came of a review, in a sentence: the lost and the gained properties are named. */
export function conclusionOf(review: Review): { readonly text: string; readonly good: boolean } {
  const findings = findingsOf(review.reviews);
  const of = (kind: Finding['kind'], main: boolean): string[] => [
    ...new Set(
      findings.filter((f) => f.kind === kind && isMain(f) === main).map(({ property }) => property),
    ),
  ];
  const vacuous = vacuousOf(review.reviews).map(({ property }) => property);
  const lost = [...new Set([...of('lost', true), ...vacuous])];
  const anyway = of('lost', false).filter((name) => !lost.includes(name));
  const gained = of('gained', true);
  const fewer = of('gained', false).filter((name) => !gained.includes(name));
  const cut = cutText(review);
  const sofar = cut === '' ? '' : ' so far';
  const parts = [
    ...(cut === '' ? [] : [cut]),
    `lost${sofar}: ${listed(lost.length > 0 ? lost : anyway)}`,
    ...(lost.length > 0 && anyway.length > 0
      ? [`on more schedules than before: ${listed(anyway)}`]
      : []),
    `gained${sofar}: ${listed(gained)}`,
    ...(fewer.length > 0 ? [`on fewer schedules than before: ${listed(fewer)}`] : []),
  ];
  const notRun = codeLeftOut(review);
  const unreached = noneReached(review.reached);
  if (unreached) parts.unshift(`none of the changed lines was reached${whyText(review)}`);
  if (notRun.length > 0) parts.push(`partial, since this does not run here: ${notRun.join(', ')}`);
  const crash = crashOf(review.reviews, 'after');
  const crashes = crash !== null;
  if (crashes) parts.unshift(`the changed kernel ${crashWord(crash)}`);
  else if (crashOf(review.reviews, 'before') !== null) parts.push('and it does not crash any more');
  const whole = !isPartial(review) && !unreached && cut === '';
  const good = lost.length + anyway.length === 0 && !crashes && whole;
  return { text: parts.join('; '), good };
}

function whyText({ reached }: Review): string {
  const why = whyNot(reached?.notReached ?? []);
  return why.length === 0 ? '' : `: ${why.join(', ')}`;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.join(', ');
}

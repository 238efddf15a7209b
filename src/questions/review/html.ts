/** The report of a review as a page: what is lost and gained, and each schedule step by step. */
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { coloursFor } from '../../console/colours.js';
import { plural } from '../../console/text.js';
import { matrixPage } from '../../tell/picture/matrix_page.js';
import { type Told, toldOf } from '../../tell/picture/story_article.js';
import { sourceText } from '../../tell/source_text.js';
import { type Finding, findingsOf } from './comparison.js';
import { conclusionOf, type Review } from './conclusion.js';
import { reviewNotes } from './text.js';

/** The text of an HTML file. */
export function reviewHtml(review: Review): string {
  const { cpus, seed, runs, before, after, patches, reverse, reviews, interrupted } = review;
  const verb = reverse ? 'taken back' : 'applied';
  return matrixPage({
    command: 'vlbr review',
    lines: [
      `vlbr review: ${conclusionOf(review).text}`,
      `${cpus.join(', ')}; ${plural(runs, 'run')} on each side; seed ${seed}`,
      `Before: ${sourceText(before.info)}. After: ${sourceText(after.info)}.`,
      ...(patches.length === 0 ? [] : [`Patches, ${verb}: ${patches.join(', ')}`]),
      ...(interrupted ? ['Interrupted: this is what was found until then.'] : []),
    ],
    properties: [],
    rows: [],
    others: findingsOf(reviews).map((finding) => tellOf(review, finding)),
    notes: reviewNotes(review, coloursFor(false)),
  });
}

/** A lost property is shown on the side after the change, a gained one on the side before. */
function tellOf({ before, after }: Review, finding: Finding): Told {
  const { kind, by, policies, cpus, elsewhere, onLinux61, counterexample } = finding;
  const lost = kind === 'lost';
  const { info, driver, path } = lost ? after : before;
  const told = toldOf(withDriver(caseOf(counterexample), driver), {
    guest: `guest with ${sourceText(info)}`,
    says: () => [
      lost ? 'On this schedule it held before the change.' : 'On this schedule it holds now.',
      `Found on ${cpus.join(', ')}` + (by === 'kernel' ? '.' : ` under ${policies.join(', ')}.`),
      ...(elsewhere ? ['Other schedules fail on both sides.'] : []),
      ...(onLinux61 ? ['Linux 6.1 fails in it as well.'] : []),
    ],
    replayWords: ['--kernel-src', path],
  });
  return { ...told, title: `${kind}: ${told.title}` };
}

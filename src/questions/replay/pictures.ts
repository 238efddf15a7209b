/** Schedules that are run again, as pictures. */
import type { Breaker, ReplayCase } from '../../campaign/replay_file.js';
import { policyWords } from '../../console/policy_files.js';
import type { PictureKind } from '../../console/picture_options.js';
import { storyItf } from '../../tell/picture/itf.js';
import { storyPerfetto } from '../../tell/picture/perfetto.js';
import { toldOf } from '../../tell/picture/story_article.js';
import { storyPage } from '../../tell/picture/story_page.js';
import { storySvg } from '../../tell/picture/story_svg.js';
import { guestText } from '../../tell/source_text.js';
import type { KernelInfo } from '../../tree/binary.js';

/**
 * The text of a picture. All but a page have one schedule, the first.
 *
 * @param replayWords - options that `vlbr replay` needs to run the same kernel.
 * @param endText - says how a case has ended, and whether that was expected.
 */
export function drawReplay(
  kind: PictureKind,
  cases: readonly ReplayCase[],
  info: KernelInfo | null,
  replayWords: readonly string[],
  endText: (one: ReplayCase, breaker: Breaker) => string,
): string {
  const all = cases.map((one) =>
    toldOf(one, {
      guest: guestText(one.config.kernel, info),
      says: (breaker) => [endText(one, breaker)],
      replayWords: [...replayWords, ...policyWords(one.config.policy.name)],
    }),
  );
  const [told] = all;
  switch (kind) {
    case 'html':
      return storyPage(all);
    case 'svg':
      return storySvg(told);
    case 'perfetto':
      return json(storyPerfetto(told.story));
    case 'itf':
      return json(storyItf(told.story));
  }
}

function json(value: object): string {
  return `${JSON.stringify(value)}\n`;
}

/** Schedules that are run again, as a page. */
import type { Breaker, ReplayCase } from '../../campaign/replay_file.js';
import { toldOf } from '../../tell/picture/story_article.js';
import { storyPage } from '../../tell/picture/story_page.js';
import { guestText } from '../../tell/source_text.js';
import type { KernelInfo } from '../../tree/binary.js';

/**
 * The text of an HTML file.
 *
 * @param replayWords - options that `vlbr replay` needs to run the same kernel.
 * @param endText - says how a case has ended, and whether that was expected.
 */
export function replayHtml(
  cases: readonly ReplayCase[],
  info: KernelInfo | null,
  replayWords: readonly string[],
  endText: (one: ReplayCase, breaker: Breaker) => string,
): string {
  return storyPage(
    cases.map((one) =>
      toldOf(one, {
        guest: guestText(one.config.kernel, info),
        says: (breaker) => [endText(one, breaker)],
        replayWords,
      }),
    ),
  );
}

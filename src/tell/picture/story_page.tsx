/** Stories as a page. */
import { htmlDocument } from './document.js';
import { OwnerKey } from './record_chip.js';
import { StoryArticle, type Told } from './story_article.js';

/** The text of an HTML file with one story, or several below each other. */
export function storyPage(all: readonly Told[]): string {
  const ids = idsOf(all);
  const vms = Math.max(...all.map(({ story }) => story.shape.vms));
  const title = all.length === 1 ? all[0].title : `${all.length} schedules`;
  return htmlDocument(
    `vlbr: ${title}`,
    <>
      <h1>vlbr replay</h1>
      <OwnerKey vms={vms} />
      {all.map((told, i) => (
        <StoryArticle told={told} id={ids[i]} />
      ))}
    </>,
  );
}

/**
 * Ids of articles, each once: `merged-no-leak-vm`. A page of one article alone has none.
 *
 * @param always - whether a single article has one, too.
 */
export function idsOf(all: readonly Told[], always = false): string[] {
  if (all.length === 1 && !always) return [''];
  const seen = new Map<string, number>();
  return all.map(({ story: { policy, property } }) => {
    const name = `${policy}-${property}`.replaceAll(/[^A-Za-z0-9-]/g, '-');
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name}-${times}`;
  });
}

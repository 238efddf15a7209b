/** Golden schedules as stories. */
import { readdirSync, readFileSync } from 'node:fs';
import { parseReplayText, type ReplayCase } from '../../src/campaign/replay_file.js';
import { type Story, storyOf } from '../../src/tell/picture/story.js';
import { type Told, toldOf } from '../../src/tell/picture/story_article.js';

const DIR = new URL('../golden/', import.meta.url);

/** Names of all golden schedules. */
export const GOLDEN: readonly string[] = readdirSync(DIR).filter((name) => /^\d{3}-/.test(name));

/** A golden schedule by its number, or by its file. */
export function goldenCase(name: string): ReplayCase {
  const file = GOLDEN.find((one) => one.startsWith(name));
  if (file === undefined) throw new Error(`there is no golden schedule ${name}`);
  return parseReplayText(readFileSync(new URL(file, DIR), 'utf8'))[0];
}

export function goldenStory(name: string): Story {
  return storyOf(goldenCase(name));
}

/** As a page shows it. */
export function goldenTold(name: string): Told {
  const replay = goldenCase(name);
  const guest = `Linux ${replay.config.kernel} guest`;
  return toldOf(replay, { guest, says: (breaker) => [`broken by: ${breaker}`], replayWords: [] });
}

/** What `vlbr explain` tells as one JSON object; its keys are stable (README, "JSON"). */
import { type JsonReport, scheduleJson, tokenOf } from '../../campaign/replay_file.js';
import { ascii } from '../../console/text.js';
import type { Entry, Story } from './entries.js';

const EXPLAIN_SCHEMA = 'vlbr/explain/1';

/**
 * @param whole - whether all that there is to say is in it, which runs the schedules; else the
 * names alone.
 */
export function explainJson(entries: readonly Entry[], whole: boolean): JsonReport {
  return { schema: EXPLAIN_SCHEMA, entries: entries.map((entry) => entryJson(entry, whole)) };
}

function entryJson({ name, kind, summary, facts, story }: Entry, whole: boolean): object {
  const head = { name, kind, summary: ascii(summary) };
  if (!whole) return head;
  return { ...head, facts: facts(), schedule: story === null ? null : storyJson(story()) };
}

/** A replay file, with what happens in it. */
function storyJson({ replay, breaker, lines, text, because }: Story): object {
  return { ...scheduleJson(replay), token: tokenOf(replay), whose: breaker, text, because, lines };
}

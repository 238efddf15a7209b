/** The schedules that are kept since each shows a finding, by their numbers. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { parseReplayText, type ReplayCase } from '../campaign/replay_file.js';

/** One that is kept. */
export interface KeptSchedule {
  /** Three digits. */
  readonly number: string;
  /** What the file's name says, with dashes. */
  readonly title: string;
  /** What happens, in a sentence. */
  readonly says: string;
  /** The row of the hazard catalogue that it illustrates, or null. */
  readonly hazard: string | null;
  readonly replay: ReplayCase;
}

/** The build puts them beside the program; in a clone they are the tests'. */
const PLACES: readonly URL[] = ['./golden/', '../../test/golden/'].map(
  (place) => new URL(place, import.meta.url),
);

/** All of them, by their numbers. */
export function keptSchedules(): KeptSchedule[] {
  const folder = PLACES.find((place) => existsSync(place));
  if (folder === undefined) return [];
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const { groups } = /^(?<number>\d{3})-(?<title>.*)\.json$/.exec(name) ?? {};
      if (groups === undefined) return [];
      const text = readFileSync(new URL(name, folder), 'utf8');
      const { says, hazard } = JSON.parse(text) as { says: string; hazard?: string };
      const [replay] = parseReplayText(text);
      const { number, title } = groups;
      return [{ number, title, says, hazard: hazard ?? null, replay }];
    });
}

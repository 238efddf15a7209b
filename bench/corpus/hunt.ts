/** How many runs, and how much of a processor's time, it takes to find what is known. */
import { ACTIONS_PER_RUN } from '../../src/campaign/campaign.js';
import { type Draw, drawOf } from '../../src/schedule/draw.js';
import { nothingSeen } from './covered.js';
import type { Corpus, Runs } from './runs.js';

/** A machine, the runs on it, and what can be said of the last one. */
export interface Ground {
  readonly runs: Runs;
  /** Whether its runs leave the guests alone. */
  readonly guestsOnly: boolean;
  /** Whether the last run shows something that is wanted. */
  shows(wanted: number): boolean;
}

/** What is looked for together, in the same runs. */
export interface Quarry {
  /** What is wanted, as cells of the table. */
  readonly wanted: readonly (readonly string[])[];
  /**
   * The machines, booted anew.
   *
   * @param corpus - as of `Runs`.
   * Returns which of them makes the i-th run.
   */
  begin(corpus: Corpus | null): (i: number) => Ground;
}

/** The first run that shows something, counted from 1, and the milliseconds of all up to it. */
export interface Hit {
  readonly runs: number;
  readonly ms: number;
}

/** Runs of a hunt at the most. */
export const RUNS_MOST = 3000;

/** Milliseconds of a processor that this process has taken. Others may be busy as well. */
function processorTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Looks for all that is wanted. What is not found is null. */
export function hunt(
  quarry: Quarry,
  seed: number,
  withCorpus: boolean,
  most: number = RUNS_MOST,
): (Hit | null)[] {
  const groundOf = quarry.begin(withCorpus ? { seen: nothingSeen(), kept: [] } : null);
  const hits: (Hit | null)[] = quarry.wanted.map(() => null);
  let ms = 0;
  for (let i = 0; i < most && hits.includes(null); i++) {
    const ground = groundOf(i);
    ms += timeOf(ground, drawOf(seed, i));
    for (const [w, hit] of hits.entries()) {
      if (hit === null && ground.shows(w)) hits[w] = { runs: i + 1, ms };
    }
  }
  return hits;
}

function timeOf({ runs, guestsOnly }: Ground, draw: Draw): number {
  const began = processorTime();
  runs.run(draw, ACTIONS_PER_RUN, guestsOnly);
  return processorTime() - began;
}

/** The line that says how far an exploration is, on a terminal. */
import cliProgress from 'cli-progress';
import { compact } from '../../console/text.js';
import type { ExploreProgress } from './worker.js';
import { type ProgressLine, progressLine, type Shown } from '../../console/progress.js';

/**
 * Puts what policies have come to together: the states found, and those that there will be, or 0 as
 * long as nobody can say.
 *
 * @param policies - number of policies to explore, those that wait for their turn included.
 */
export function exploreState(
  progress: readonly ExploreProgress[],
  policies: number,
  seconds: number,
): Shown & { readonly text: string } {
  const sum = (of: (p: ExploreProgress) => number): number =>
    progress.reduce((total, p) => total + of(p), 0);
  const states = sum((p) => p.states);
  const known = progress.length === policies && progress.every(({ estimate }) => estimate >= 0);
  const total = known
    ? Math.max(
        states,
        sum((p) => p.estimate),
      )
    : 0;
  const busy = progress.filter(({ phase }) => phase !== 'done');
  const bytes = busy.reduce((n, p) => n + p.bytes, 0);
  const words = [
    known ? `${compact(states)} of ~${compact(total)} states` : `${compact(states)} states`,
    `${compact(sum((p) => (p.phase === 'searching' ? p.frontier : 0)))} to expand`,
    `${compact(Math.round(states / Math.max(seconds, 0.001)))} states/s`,
    `${compact(Math.round(bytes / 1e6))} MB`,
    busy
      .map(({ policy, phase }) => (phase === 'cycles' ? `${policy} (cycles)` : policy))
      .join(', '),
  ];
  return { value: states, total, text: words.join(' | ') };
}

/** The line of an exploration. */
export function exploreLine(policies: number): ProgressLine<readonly ExploreProgress[]> {
  const first = { value: 0, total: 0, text: 'starting' };
  return progressLine<readonly ExploreProgress[]>(
    (style, { progress }, { total, text }: Shown) => {
      return total === 0 ? `${text}` : `${cliProgress.Format.BarFormat(progress, style)} ${text}`;
    },
    first,
    (progress, seconds) => exploreState(progress, policies, seconds),
  );
}

/** The line that says how far an exploration is, on a terminal. */
import cliProgress from 'cli-progress';
import { compact } from '../../console/text.js';
import type { ExploreProgress } from './job.js';
import type { ProgressLine } from '../../console/progress.js';
import { newBar, NO_PROGRESS, onTerminal } from '../../console/progress.js';

/** How far all policies are together. */
export interface ExploreState {
  /** States found. */
  readonly states: number;
  /** States that there will be, or 0 as long as nobody can say. */
  readonly total: number;
  readonly text: string;
}

/**
 * Puts what policies have come to together.
 *
 * @param policies - number of policies to explore, those that wait for their turn included.
 */
export function exploreState(
  progress: readonly ExploreProgress[],
  policies: number,
  seconds: number,
): ExploreState {
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
  return { states, total, text: words.join(' | ') };
}

/** Begins a line on standard error, if that is a terminal. */
export function exploreLine(policies: number): ProgressLine<ExploreProgress> {
  if (!onTerminal()) return NO_PROGRESS;
  const bar = newBar((style, { progress }, { total, text }: ExploreState) => {
    return total === 0 ? text : `${cliProgress.Format.BarFormat(progress, style)} ${text}`;
  });
  const began = performance.now();
  bar.start(0, 0, { total: 0, text: 'starting' });
  let ended = false;
  return {
    update: (progress) => {
      // What is still on its way from a worker would bring the line back.
      if (ended) return;
      const seconds = (performance.now() - began) / 1000;
      const state = exploreState(progress, policies, seconds);
      bar.setTotal(state.total);
      bar.update(state.states, state);
    },
    end: () => {
      if (!ended) bar.stop();
      ended = true;
    },
  };
}

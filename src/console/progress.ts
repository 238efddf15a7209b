/** The line that says how far a campaign is, on a terminal. */
import cliProgress from 'cli-progress';
import type { Progress } from '../campaign/campaign.js';
import { compact, grouped } from './text.js';

export interface ProgressLine<P> {
  update(progress: readonly P[]): void;
  /** Takes the line off the terminal. */
  end(): void;
}

/** What the first Ctrl-C says. */
export function tellInterrupted(): void {
  process.stderr.write('vlbr: ending with what is known; Ctrl-C once more to stop at once\n');
}

/** Whether there is somebody to show progress to. */
export function onTerminal(): boolean {
  return process.stdout.isTTY && process.stderr.isTTY;
}

/** A bar on standard error; `format` is what stands beside it, or makes the whole line. */
export function newBar(format: string | cliProgress.GenericFormatter): cliProgress.SingleBar {
  return new cliProgress.SingleBar({
    stream: process.stderr,
    format: typeof format === 'string' ? `{bar} {percentage}% | ${format}` : format,
    barsize: 20,
    barCompleteChar: '#',
    barIncompleteChar: '.',
    clearOnComplete: true,
    hideCursor: true,
    // Ctrl-C is for the work; the library would end the process.
    gracefulExit: false,
  });
}

/** A line for those who are no terminal: none. */
export const NO_PROGRESS: ProgressLine<unknown> = { update: () => {}, end: () => {} };

/**
 * Begins a line on standard error, if that is a terminal.
 *
 * @param policies - number of policies to judge.
 * @param runs - runs for each of them, as far as is known before the first.
 */
export function progressLine(policies: number, runs: number): ProgressLine<Progress> {
  if (!onTerminal()) return NO_PROGRESS;
  const bar = newBar('{done} runs | {rate} actions/s | {found} found | {what}');
  const began = performance.now();
  bar.start(policies * runs, 0, { done: '0', rate: '0', found: 0, what: 'starting' });
  let ended = false;
  return {
    update: (progress) => {
      // What is still on its way from a worker would bring the line back.
      if (ended) return;
      const sum = (of: (p: Progress) => number): number =>
        progress.reduce((total, p) => total + of(p), 0);
      const done = sum((p) => p.runs);
      const seconds = (performance.now() - began) / 1000;
      bar.setTotal(policies * Math.max(...progress.map((p) => p.runsWanted)));
      bar.update(done, {
        done: grouped(done),
        rate: compact(Math.round(sum((p) => p.steps) / seconds)),
        found: sum((p) => p.found),
        what: whatOf(progress),
      });
    },
    end: () => {
      if (!ended) bar.stop();
      ended = true;
    },
  };
}

/** The policies that are being run; when their runs are done, their failures are made short. */
function whatOf(progress: readonly Progress[]): string {
  const running = progress.filter(({ runs, runsWanted }) => runs < runsWanted);
  if (running.length === 0) return 'shortening counterexamples';
  return running.map(({ policy }) => policy).join(', ');
}

/** The line that says how far the work is, on a terminal. */
import cliProgress from 'cli-progress';
import type { Progress } from '../campaign/campaign.js';
import { compact, grouped } from './text.js';

/** What a line shows: where its bar stands, and what its format names. */
export interface Shown {
  readonly value: number;
  readonly total: number;
  readonly [name: string]: string | number;
}

/** To the first column, and the line is empty. */
const CLEAR_LINE = '\r\u001b[K';

export interface ProgressLine<P> {
  update(progress: P): void;
  /** Says something at once, on standard error. */
  say(text: string): void;
  /** Takes the line off the terminal. What comes later, as from a worker, is not shown. */
  end(): void;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** The line of work whose progress another line shows. */
export const NO_LINE: ProgressLine<unknown> = { update: () => {}, say, end: () => {} };

/**
 * Begins a line on standard error, if there is somebody to show progress to.
 *
 * @param format - what stands beside the bar, or makes the whole line.
 * @param first - is shown at first.
 */
export function progressLine<P>(
  format: string | cliProgress.GenericFormatter,
  first: Shown,
  shown: (progress: P, seconds: number) => Shown,
): ProgressLine<P> {
  if (!process.stdout.isTTY || !process.stderr.isTTY) {
    return NO_LINE;
  }
  const bar = new cliProgress.SingleBar({
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
  const began = performance.now();
  bar.start(first.total, first.value, first);
  let ended = false;
  return {
    update: (progress) => {
      if (ended) return;
      const now = shown(progress, (performance.now() - began) / 1000);
      bar.setTotal(now.total);
      bar.update(now.value, now);
    },
    say: (text) => {
      // The bar is drawn again below it.
      if (!ended) process.stderr.write(CLEAR_LINE);
      say(text);
    },
    end: () => {
      if (!ended) bar.stop();
      ended = true;
    },
  };
}

/**
 * The line of a campaign.
 *
 * @param policies - number of policies to judge.
 * @param runs - runs for each of them, as far as is known before the first.
 */
export function campaignLine(policies: number, runs: number): ProgressLine<readonly Progress[]> {
  const first = { value: 0, total: policies * runs, done: '0', rate: '0', found: 0 };
  return progressLine(
    '{done} runs | {rate} actions/s | {found} found | {what}',
    { ...first, what: 'starting' },
    (all, seconds) => {
      const progress = byPolicy(all);
      const sum = (of: (p: Progress) => number): number =>
        progress.reduce((total, p) => total + of(p), 0);
      const done = sum((p) => p.runs);
      return {
        value: done,
        total: policies * Math.max(...progress.map((p) => p.runsWanted)),
        done: grouped(done),
        rate: compact(Math.round(sum((p) => p.steps) / seconds)),
        found: sum((p) => p.found),
        what: whatOf(progress),
      };
    },
  );
}

/** What the parts of each policy have come to together. */
function byPolicy(parts: readonly Progress[]): Progress[] {
  const all = new Map<string, Progress>();
  for (const part of parts) {
    const { runs, steps, found } = all.get(part.policy) ?? { runs: 0, steps: 0, found: 0 };
    all.set(part.policy, {
      ...part,
      runs: runs + part.runs,
      steps: steps + part.steps,
      found: Math.max(found, part.found),
    });
  }
  return [...all.values()];
}

/** The policies that are being run; when their runs are done, their failures are made short. */
function whatOf(progress: readonly Progress[]): string {
  const running = progress.filter(({ runs, runsWanted }) => runs < runsWanted);
  if (running.length === 0) return 'shortening counterexamples';
  return running.map(({ policy }) => policy).join(', ');
}

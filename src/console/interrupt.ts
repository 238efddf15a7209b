/**
 * What ends work before its end: Ctrl-C, SIGTERM and --time-limit. Ctrl-C ends the work at hand
 * with what is known, such as the reading of a pipe; the other two end what comes after it as well.
 * A second Ctrl-C ends the process.
 */
import { setImmediate } from 'node:timers/promises';
import { EXIT_AT_ONCE, EXIT_CUT_SHORT } from './exit_codes.js';
import { type ProgressLine, progressLine } from './progress.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * A terminal or `timeout` signals a whole group, and npx passes on what it hears: what comes within
 * this time is the same signal.
 */
const SAME_SIGNAL_MS = 500;

/** How long work may take to begin when the run has been ended: a tree takes a minute to build. */
const BEGINS_MS = 3000;

/** The longest timer that there is. */
const TIMER_MAX_MS = 0x7fff_ffff;

const SAYS = {
  SIGINT: 'ending with what is known; Ctrl-C once more to stop at once',
  SIGTERM: 'ending with what is known; Ctrl-C to stop at once',
  'time limit': 'the time limit is reached; ending with what is known; Ctrl-C to stop at once',
} as const;

/** What may end a run. */
type Cause = keyof typeof SAYS;

/** The run of this process, which may have several pieces of work after each other. */
class Run {
  private holders = 0;
  private works: readonly (() => void)[] = [];
  private worked = false;
  private ended: Cause | null = null;
  /** When the last signal came. */
  private heard = -Infinity;
  private timer: NodeJS.Timeout | undefined;
  private readonly hearers = SIGNALS.map((signal) => [signal, () => this.hear(signal)] as const);

  /** Hears the signals until it is let go of as often as it was held. */
  hold(): void {
    if (this.holders++ > 0) return;
    for (const [signal, hear] of this.hearers) process.on(signal, hear);
  }

  letGo(): void {
    if (--this.holders > 0) return;
    for (const [signal, hear] of this.hearers) process.off(signal, hear);
    clearTimeout(this.timer);
    [this.ended, this.worked, this.heard] = [null, false, -Infinity];
  }

  /** Ends the run when so much time has gone. */
  limit(ms: number): void {
    this.timer = setTimeout(() => this.end('time limit'), Math.min(ms, TIMER_MAX_MS));
    // Nobody waits for it.
    this.timer.unref();
  }

  /** @param stop - ends the work; it is called at once where the run has been ended. */
  begin(stop: () => void): void {
    this.worked = true;
    this.works = [...this.works, stop];
    if (this.ended !== null) stop();
  }

  leave(stop: () => void): void {
    this.works = this.works.filter((one) => one !== stop);
    if (this.works.length === 0 && this.ended === 'SIGINT') this.ended = null;
  }

  private hear(signal: (typeof SIGNALS)[number]): void {
    const now = performance.now();
    if (now - this.heard < SAME_SIGNAL_MS) return;
    this.heard = now;
    if (this.ended === null) this.end(signal);
    else if (signal === 'SIGINT') process.exit(EXIT_AT_ONCE);
  }

  private end(cause: Cause): void {
    if (this.ended !== null) return;
    this.ended = cause;
    for (const stop of this.works) stop();
    process.stderr.write(`vlbr: ${SAYS[cause]}\n`);
    if (!this.worked) this.timer = setTimeout(this.giveUp, BEGINS_MS).unref();
  }

  /** Ends the process if no work has begun, which would have ended with a report. */
  private readonly giveUp = (): void => {
    if (this.worked) return;
    process.stderr.write('vlbr: ended before anything was run\n');
    process.exit(EXIT_CUT_SHORT);
  };
}

const run = new Run();

/** Hears the signals from now on, also between two pieces of work. */
export function hearSignals(): void {
  run.hold();
}

/** Ends what is run when so many milliseconds have gone from now on. */
export function limitTime(ms: number): void {
  run.limit(ms);
}

/** A piece of work, which can be told to end. */
export class Interrupt<P> {
  /** One word, which worker threads share. It is not 0 once the work is to end. */
  readonly stop: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  protected readonly line: ProgressLine<P>;
  private readonly control: AbortController = new AbortController();

  /** @param line - shows how far the work is; it is taken off the terminal when the work ends. */
  constructor(line: ProgressLine<P>) {
    this.line = line;
    run.hold();
    run.begin(this.hear);
  }

  get interrupted(): boolean {
    return Atomics.load(this.stop, 0) !== 0;
  }

  /** The same as a signal for work that waits. */
  get signal(): AbortSignal {
    return this.control.signal;
  }

  /** Shows how far the work is. */
  show(progress: P): void {
    this.line.update(progress);
  }

  /** Says something at once, on standard error. */
  say(text: string): void {
    this.line.say(text);
  }

  private readonly hear = (): void => {
    Atomics.store(this.stop, 0, 1);
    this.control.abort();
    this.line.end();
  };

  end(): void {
    run.leave(this.hear);
    run.letGo();
    this.line.end();
  }
}

/** How far work is that is done in pieces. */
export interface Step {
  readonly doing: string;
  readonly done: number;
  readonly wanted: number;
}

/** Milliseconds of work between two looks at the keyboard and at the terminal. */
const BREATH_MS = 50;

/** Work in pieces in the main thread. Between the pieces, the signals are heard. */
export class Breather extends Interrupt<Step> {
  private breathed: number = performance.now();

  constructor() {
    const first = { value: 0, total: 1, doing: 'starting' };
    super(
      progressLine('{value} of {total} | {doing}', first, ({ done, wanted, doing }) => {
        return { value: done, total: wanted, doing };
      }),
    );
  }

  /** To be called after each piece of work. Returns whether to go on. */
  async breathe(step: Step): Promise<boolean> {
    if (performance.now() - this.breathed >= BREATH_MS) {
      await setImmediate();
      this.line.update(step);
      this.breathed = performance.now();
    }
    return !this.interrupted;
  }
}

/** Takes steps until the work is done or interrupted. */
export async function doAll(work: Iterable<Step>, worker: Breather): Promise<void> {
  for (const step of work) if (!(await worker.breathe(step))) return;
}

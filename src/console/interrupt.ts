/** Ctrl-C and SIGTERM: the first ends the work with what is known, the second the process. */
import { setImmediate } from 'node:timers/promises';
import { EXIT_INTERRUPTED } from './exit_codes.js';
import { type ProgressLine, progressLine } from './progress.js';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Hears both signals from when it is made until it is ended. */
export class Interrupt<P> {
  /** One word, which worker threads share. It is not 0 once the work is to end. */
  readonly stop: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  protected readonly line: ProgressLine<P>;

  /** @param line - shows how far the work is; it is taken off the terminal when the work ends. */
  constructor(line: ProgressLine<P>) {
    this.line = line;
    for (const signal of SIGNALS) process.on(signal, this.hear);
  }

  get interrupted(): boolean {
    return Atomics.load(this.stop, 0) !== 0;
  }

  /** Shows how far the work is. */
  show(progress: P): void {
    this.line.update(progress);
  }

  private readonly hear = (): void => {
    if (Atomics.exchange(this.stop, 0, 1) !== 0) process.exit(EXIT_INTERRUPTED);
    this.line.end();
    process.stderr.write('vlbr: ending with what is known; Ctrl-C once more to stop at once\n');
  };

  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.hear);
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

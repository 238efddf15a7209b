/** Work in pieces, so that Ctrl-C is heard and a terminal shows how far it is. */
import { setImmediate } from 'node:timers/promises';
import { EXIT_INTERRUPTED } from './exit_codes.js';
import { newBar, onTerminal, tellInterrupted } from './progress.js';

/** Milliseconds of work between two looks at the keyboard and at the terminal. */
const BREATH_MS = 50;

export class Breather {
  interrupted = false;
  private breathed: number = performance.now();
  private readonly bar: ReturnType<typeof newBar> | null;

  constructor() {
    this.bar = onTerminal() ? newBar('{value} of {total} | {doing}') : null;
    this.bar?.start(1, 0, { doing: 'starting' });
    process.on('SIGINT', this.interrupt);
  }

  private readonly interrupt = (): void => {
    if (this.interrupted) process.exit(EXIT_INTERRUPTED);
    this.interrupted = true;
    this.bar?.stop();
    tellInterrupted();
  };

  /** To be called after each piece of work. Returns whether to go on. */
  async breathe(done: number, wanted: number, doing: string): Promise<boolean> {
    if (performance.now() - this.breathed >= BREATH_MS) {
      await setImmediate();
      if (!this.interrupted) {
        this.bar?.setTotal(wanted);
        this.bar?.update(done, { doing });
      }
      this.breathed = performance.now();
    }
    return !this.interrupted;
  }

  end(): void {
    process.off('SIGINT', this.interrupt);
    if (!this.interrupted) this.bar?.stop();
  }
}

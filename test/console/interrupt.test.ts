/** What ends work before its end: signals, and the time limit. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Breather, hearSignals, Interrupt, limitTime } from '../../src/console/interrupt.js';

const LINE = { update: (): void => {}, say: (): void => {}, end: (): void => {} };

afterEach(() => {
  vi.restoreAllMocks();
});

function said(): string[] {
  const lines: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  return lines;
}

/** Holds the signals with a work that is over, as main.ts does for the process. */
function run(): { end: () => void } {
  return new Interrupt(LINE);
}

describe('an interruption', () => {
  it('by the time limit ends the work at hand, and what comes after it', async () => {
    const lines = said();
    const whole = run();
    const work = new Breather();
    limitTime(20);
    while (await work.breathe({ doing: 'x', done: 0, wanted: 1 }));
    expect(work.signal.aborted).toBe(true);
    work.end();
    const next = new Breather();
    expect(next.interrupted).toBe(true);
    next.end();
    whole.end();
    expect(lines).toEqual([
      'vlbr: the time limit is reached; ending with what is known; Ctrl-C to stop at once\n',
    ]);
    // The next run of this process is another one.
    const other = new Breather();
    expect(other.interrupted).toBe(false);
    other.end();
  });
  it('by SIGTERM ends what comes after it as well, and by Ctrl-C only the work at hand', () => {
    said();
    const whole = run();
    process.emit('SIGTERM');
    whole.end();
    for (const [signal, after] of [
      ['SIGINT', false],
      ['SIGTERM', true],
    ] as const) {
      const reading = new Interrupt(LINE);
      process.emit(signal);
      expect([reading.interrupted, Atomics.load(reading.stop, 0)]).toEqual([true, 1]);
      const held = signal === 'SIGINT' ? null : run();
      reading.end();
      const playing = new Interrupt(LINE);
      expect(playing.interrupted).toBe(after);
      playing.end();
      held?.end();
    }
  });
  it('by a limit longer than the longest timer never comes at once', async () => {
    const work = new Interrupt(LINE);
    limitTime(999_999 * 3_600_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(work.interrupted).toBe(false);
    work.end();
  });
  it('before any work ends the work that begins soon, else the process with 4', () => {
    vi.useFakeTimers();
    const lines = said();
    const exit = vi.spyOn(process, 'exit').mockReturnValue(undefined as never);
    hearSignals();
    process.emit('SIGTERM');
    vi.advanceTimersByTime(2900);
    expect(exit).not.toHaveBeenCalled();
    vi.advanceTimersByTime(200);
    expect(exit.mock.calls).toEqual([[4]]);
    expect(lines[1]).toBe('vlbr: ended before anything was run\n');
    const work = new Interrupt(LINE);
    expect(work.interrupted).toBe(true);
    work.end();
    vi.useRealTimers();
  });
});

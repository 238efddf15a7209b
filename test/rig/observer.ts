/** Observers for tests: one that hands on what it hears, and one that records. */
import type { Observer } from '../../src/host/observer.js';

/** Called with the name of what an observer is told, and with the arguments. */
export type Hears = (name: string, args: readonly number[]) => void;

/** An observer that hands every call on to one function. */
export function observing(hear: Hears): Observer {
  return new Proxy({} as Observer, {
    get:
      (_target, name) =>
      (...args: number[]): void =>
        hear(String(name), args),
  });
}

/**
 * Keeps what a machine tells as lines: the name of the call and its arguments, with blanks between
 * them, for example `guestRead 0 1664 7 9`.
 */
export class Recorder {
  readonly observer: Observer;
  private readonly lines: string[] = [];

  /** @param also - hears each call as well, after its line was kept. */
  constructor(also: Hears = () => {}) {
    this.observer = observing((name, args) => {
      this.note([name, ...args].join(' '));
      also(name, args);
    });
  }

  /** Adds a line of the test's own. */
  note(line: string): void {
    this.lines.push(line);
  }

  /** Returns the lines since the last call that start with one of `starts`; by default all. */
  readonly said = (...starts: readonly string[]): string[] => {
    const lines = this.lines.splice(0);
    if (starts.length === 0) return lines;
    return lines.filter((line) => starts.some((start) => line.startsWith(start)));
  };
}

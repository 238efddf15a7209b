/** Observers for tests: one that hands on what it hears, and one that records. */
import type { Observer } from '../../src/host/observer.js';

/** Receives the name of an observer's method and the arguments of the call. */
export type Hears = (name: string, args: readonly number[]) => void;

/** An observer that forwards every call to one function. */
export function observing(hear: Hears): Observer {
  return new Proxy({} as Observer, {
    get:
      (_target, name) =>
      (...args: number[]): void =>
        hear(String(name), args),
  });
}

/**
 * Records calls of an observer as lines: name and arguments with blanks between them, for example
 * `guestRead 0 1664 7 9`.
 */
export class Recorder {
  readonly observer: Observer;
  private readonly lines: string[] = [];

  /** @param also - receives each call after its line is recorded. */
  constructor(also: Hears = () => {}) {
    this.observer = observing((name, args) => {
      this.note([name, ...args].join(' '));
      also(name, args);
    });
  }

  /** Adds a line of the test. */
  note(line: string): void {
    this.lines.push(line);
  }

  /** Returns the lines since the last call whose start is in `starts`; by default all. */
  readonly said = (...starts: readonly string[]): string[] => {
    const lines = this.lines.splice(0);
    if (starts.length === 0) return lines;
    return lines.filter((line) => starts.some((start) => line.startsWith(start)));
  };
}

/** The silent base class of observers, and two observers joined. */
import { describe, expect, it } from 'vitest';
import { Observer, tee } from '../../src/host/observer.js';

/** Calls of every method, with distinct arguments. */
const CALLS: readonly (readonly [name: keyof Observer, args: readonly unknown[]])[] = [
  ['guestRead', [1, 2, 3, 4]],
  ['guestWrite', [1, 2, 3, 4]],
  ['guestFault', [1, 2, true, 3, 4]],
  ['guestBranch', [1, 2, 3, 4, 5, 6]],
  ['hostAccess', [1, -1, 2, false]],
  ['hostStack', [1, -1, 98, true, true]],
  ['hostDebugctl', [1, 2]],
  ['hostFault', [1, 2, true]],
  ['entryFailed', [1]],
  ['exited', [1]],
  ['vcpuSwitch', [1, 2, true]],
  ['guestPmi', [1, 2]],
  ['guestSample', [1, 2]],
  ['hostSample', [1, 2]],
  ['hostBranch', [1]],
  ['cstate', [1]],
  ['guestOpened', [1, 2, -22]],
  ['guestCall', [1, 2, 3, 4]],
  ['guestForked', [1, 2]],
  ['guestKexec', [1]],
  ['guestWarned', [1, 'kernel/events/core.c', 2]],
  ['hostWarned', ['kernel/events/core.c', 2]],
  ['lbrTaken', []],
  ['entered', [1]],
  ['pmiMissed', [1, 'why']],
  ['guestIdle', [1]],
];

function make(observer: Observer, name: keyof Observer, args: readonly unknown[]): unknown {
  return Reflect.apply(observer[name], observer, args);
}

/** Logs each call, with `who` in front. */
function noting(who: string, log: string[]): Observer {
  return new Proxy(new Observer(), {
    get:
      (_target, name) =>
      (...args: unknown[]) =>
        log.push([who, String(name), ...args].join(' ')),
  });
}

describe('Observer', () => {
  it('the base Observer always accepts every call and does nothing', () => {
    const names = Object.getOwnPropertyNames(Observer.prototype).slice(1);
    expect(names.toSorted()).toEqual(CALLS.map(([name]) => name).toSorted());
    for (const [name, args] of CALLS) expect(make(new Observer(), name, args)).toBeUndefined();
  });
});

describe('tee', () => {
  it.each(CALLS)('tee always calls the first observer, then the second, for %s', (name, args) => {
    const log: string[] = [];
    make(tee(noting('a', log), noting('b', log)), name, args);
    expect(log).toEqual([['a', name, ...args].join(' '), ['b', name, ...args].join(' ')]);
  });

  it('tee always calls a method on the observer that it belongs to', () => {
    class Counter extends Observer {
      reads = 0;
      override guestRead(): void {
        this.reads++;
      }
    }
    const [a, b] = [new Counter(), new Counter()];
    tee(a, tee(new Observer(), b)).guestRead(0, 0, 0, 0);
    expect([a.reads, b.reads]).toEqual([1, 1]);
  });
});

/** Shrinking: the result still fails, is never larger, and has nothing left to remove. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as perf from '../../src/guest/perf/perf_event.js';
import { type Action, type ActionName, ACTIONS } from '../../src/schedule/table.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { type FailsAt, shrink } from '../../src/schedule/shrink.js';
import { anyAction } from '../rig/actions.js';
import { seeded } from '../rig/seed.js';

const act = (kind: ActionName, ...args: number[]): Action => ({ kind, actor: 0, args });

/** A schedule fails at its first action for which `holds` is true of the actions up to there. */
function failsWhen(holds: (actions: readonly Action[]) => boolean): FailsAt {
  return (schedule) => {
    const all = schedule.actions();
    for (let n = 1; n <= all.length; n++) if (holds(all.slice(0, n))) return n;
    return -1;
  };
}

function shrunk(actions: readonly Action[], holds: (a: readonly Action[]) => boolean): Action[] {
  const start = Schedule.of(actions);
  const result = shrink(start, failsWhen(holds)).actions();
  expect(start.actions()).toEqual(actions);
  return result;
}

const count = (actions: readonly Action[], kind: ActionName): number =>
  actions.filter((action) => action.kind === kind).length;

const small = fc.integer({ min: 1, max: 60 });
const noise = anyAction(0, small);

describe('shrink', () => {
  it('shrink always finds the needles in the hay, and their smallest parameters', () => {
    const hay = fc.array(noise, { maxLength: 70, size: 'max' });
    fc.assert(
      fc.property(hay, hay, small, fc.nat(59), (before, after, n, more) => {
        const needles = [act('kexec'), act('call', n + more, 2), act('hostEvent', 1, 2)];
        const [a, b, c] = needles;
        const actions = [...before, a, ...after, b, ...before, c, ...after];
        // A kexec, later a call of at least n, later a host event of the same kind.
        const holds = (list: readonly Action[]): boolean => {
          const first = list.findIndex(({ kind }) => kind === 'kexec');
          const second = list.findIndex(
            ({ kind, args }, i) => i > first && kind === 'call' && args[0] >= n,
          );
          if (first < 0 || second < 0) return false;
          return list.some(
            ({ kind, args }, i) => i > second && kind === 'hostEvent' && args[1] > 0,
          );
        };
        expect(shrunk(actions, holds)).toEqual([
          act('kexec'),
          act('call', n, 0),
          act('hostEvent', 0, 1),
        ]);
      }),
      seeded(25),
    );
  });

  it('shrink never grows a schedule, which still fails, whatever makes it fail', () => {
    const list = fc.array(noise, { minLength: 1, maxLength: 24, size: 'max' });
    fc.assert(
      fc.property(list, fc.nat(1000), (actions, salt) => {
        // Fails by an arbitrary rule that does not depend on order.
        const sum = (some: readonly Action[]): number =>
          some.reduce((x, { kind, args }) => x * 31 + kind.length + (args[0] ?? 0), salt) % 3;
        const holds = (some: readonly Action[]): boolean => sum(some) === 0;
        const start = Schedule.of(actions);
        const failsAt = failsWhen(holds);
        if (failsAt(start) < 0) return;
        const result = shrink(start, failsAt);
        expect(failsAt(result)).toBe(result.length);
        expect(result.length).toBeLessThanOrEqual(failsAt(start));
        for (let i = 0; i < result.length; i++) {
          const less = result.actions().filter((_, j) => j !== i);
          expect(failsAt(Schedule.of(less))).toBe(-1);
        }
        expect(shrink(result, failsAt).actions()).toEqual(result.actions());
      }),
      seeded(60),
    );
  });

  it('shrink always ends with what still fails, and tries nothing more, once told to', () => {
    const actions = Array.from({ length: 40 }, () => act('call', 9, 2));
    const failsAt = failsWhen((list) => count(list, 'call') >= 20);
    for (let most = 0; most < 12; most++) {
      let tries = 0;
      let asked = 0;
      const counted: FailsAt = (schedule) => {
        tries++;
        return failsAt(schedule);
      };
      const short = shrink(Schedule.of(actions), counted, () => asked++ < most);
      expect(tries).toBe(most);
      expect(failsAt(short)).toBeGreaterThan(0);
    }
  });

  it('a shrunk schedule always ends with the action in which it fails', () => {
    const actions = [act('leave'), act('kexec'), act('fork'), act('kexec')];
    expect(shrunk(actions, (list) => count(list, 'kexec') > 0)).toEqual([act('kexec')]);
  });

  it('pairs that are only possible together are always cut, up to 24 actions', () => {
    const balanced = (list: readonly Action[]): boolean =>
      count(list, 'enter') === count(list, 'leave') && count(list, 'kexec') === 1;
    const apart = [act('enter', 0), act('fork'), act('exit'), act('leave'), act('halt')];
    expect(shrunk([...apart, act('kexec')], balanced)).toEqual([act('kexec')]);
    // Many necessary actions make the schedule too long for trying every pair.
    const stay = (n: number) => (list: readonly Action[]) =>
      balanced(list) && count(list, 'boot') === n;
    const boots = (n: number): Action[] => Array.from({ length: n }, () => act('boot'));
    const between = (n: number): Action[] => [
      act('enter', 0),
      ...boots(n),
      act('leave'),
      act('kexec'),
    ];
    expect(shrunk(between(21), stay(21))).toEqual([...boots(21), act('kexec')]);
    expect(shrunk(between(22), stay(22))).toHaveLength(25);
  });

  it('the first and the last pair are always cut as well', () => {
    const holds = (list: readonly Action[]): boolean =>
      list.length % 2 === 0 && count(list, 'exit') === 1 && count(list, 'halt') === 1;
    const actions = [act('fork'), act('exit'), act('leave'), act('halt')];
    expect(shrunk(actions, holds)).toEqual([act('exit'), act('halt')]);
  });

  it('a mode always shrinks towards those that readers know, and never the other way', () => {
    const { PERF_SAMPLE_BRANCH_ANY: ANY, PERF_SAMPLE_BRANCH_USER: USER } = perf;
    const callstack = BRANCH_TYPES[0];
    const type = (start: number, holds: (value: number) => boolean): number => {
      const ok = (list: readonly Action[]): boolean =>
        list.some(({ kind, args }) => kind === 'open' && holds(args[2]));
      return shrunk([act('open', 0, 0, start)], ok)[0].args[2];
    };
    expect(type(0x7ff, () => true)).toBe(callstack);
    expect(type(0x7ff, (v) => v !== callstack)).toBe(ANY | USER);
    expect(type(ANY | USER, () => true)).toBe(callstack);
    expect(type(callstack, () => true)).toBe(callstack);
    expect(type(0x7ff, (v) => (v & 0x400) !== 0)).toBe(0x7ff);
  });

  it('a task always shrinks to 0, then to a CPU event, then to a lower task', () => {
    const task = (start: number, holds: (value: number) => boolean): number => {
      const ok = (list: readonly Action[]): boolean =>
        list.some(({ kind, args }) => kind === 'open' && holds(args[0]));
      return shrunk([act('open', start, 0, BRANCH_TYPES[0])], ok)[0].args[0];
    };
    expect(task(7, () => true)).toBe(0);
    expect(task(7, (v) => v !== 0)).toBe(-1);
    expect(task(7, (v) => v > 0)).toBe(1);
    expect(task(-1, () => true)).toBe(0);
    expect(task(-1, (v) => v !== 0)).toBe(-1);
    expect(task(0, () => true)).toBe(0);
  });

  it('an MSR index never shrinks, and words of a register count as unsigned', () => {
    const write = (holds: (args: readonly number[]) => boolean): readonly number[] => {
      const ok = (list: readonly Action[]): boolean =>
        list.some(({ kind, args }) => kind === 'wrmsr' && holds(args));
      return shrunk([act('wrmsr', 900, -1, 77)], ok)[0].args;
    };
    expect(write(() => true)).toEqual([900, 0, 0]);
    expect(write((args) => args[1] === -1)).toEqual([900, -1, 0]);
    expect(write((args) => args[2] > 40)).toEqual([900, 0, 41]);
  });

  it('a parameter shrinks to the exact bound, and to the least that the table allows', () => {
    const least = (kind: ActionName, p: number, start: number, bound: number): number => {
      const args = ACTIONS[kind].params.map((_, i) => (i === p ? start : 1));
      const ok = (list: readonly Action[]): boolean =>
        list.some((action) => action.kind === kind && action.args[p] >= bound);
      return shrunk([act(kind, ...args)], ok)[0].args[p];
    };
    for (const bound of [1, 2, 3, 17, 59, 60]) {
      expect(least('ret', 0, 60, bound)).toBe(bound);
      expect(least('run', 1, 60, bound)).toBe(bound);
    }
    expect([least('ret', 0, 60, -9), least('run', 1, 60, -9)]).toEqual([1, 0]);
  });
});

/** Policies of users' files: what goes wrong in a hook is told with the hook's name. */
import { describe, expect, it } from 'vitest';
import {
  callOf,
  guarded,
  HOOK_NAMES,
  hookClock,
  hookOf,
  noteHooks,
  PolicyError,
} from '../../../src/host/policy/guarded.js';
import { ALL_POLICIES } from '../../../src/host/policy/index.js';
import { parked } from '../../../src/host/policy/parked.js';
import { type LbrPolicy, nothing, REFUSED } from '../../../src/host/policy/policy.js';
import { Rig } from '../../rig/machine.js';

function guardedRig(changes: Partial<LbrPolicy>): Rig {
  return new Rig(guarded({ ...parked, name: 'mine', ...changes }, 'some/mine.mjs'));
}

function saysOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof PolicyError) return error.message;
    throw error;
  }
  return '';
}

/** Calls a hook of a guarded policy that returns something wrong. */
function returning(hook: keyof LbrPolicy, value: unknown): string {
  const policy = guarded({ ...parked, name: 'mine', [hook]: () => value }, 'mine.mjs');
  return saysOf(() => (policy[hook] as () => unknown)());
}

describe('guarded', () => {
  it('HOOK_NAMES has every function of the policies, and no other field', () => {
    const found = ALL_POLICIES.flatMap((policy) =>
      Object.entries(policy).flatMap(([name, value]) =>
        typeof value === 'function' ? [name] : [],
      ),
    );
    expect(new Set(found)).toEqual(new Set(HOOK_NAMES));
  });

  it('a guarded policy does what the policy does, `this` included', () => {
    const rig = guardedRig({});
    expect(rig.inUse).toBe(false);
    const own = { ...parked, assumes: 'as said', get_state: thisAssumes };
    expect(guarded(own, 'mine.mjs').get_state({} as never, rig.m.vcpus[0])).toBe(true);
    expect('recordsStale' in guarded({ ...own, recordsStale: undefined } as never, '')).toBe(true);
    expect(guarded(own, 'mine.mjs').words).toBe(parked.words);
  });

  it('an exception of a hook is told with hook, policy, file and line', () => {
    expect(saysOf(() => guardedRig({ reset: boom }))).toMatch(
      /^hook reset of policy mine \(some\/mine\.mjs\) throws: boom$/,
    );
    const here = guarded({ ...parked, reset: boom }, 'test/host/policy/guarded.test.ts');
    expect(saysOf(() => here.reset({} as never, {} as never))).toMatch(
      /^hook reset of policy parked \(.*\) throws: boom \(guarded\.test\.ts:\d+:\d+\)$/,
    );
    const types = guarded({ ...parked, reset: () => void ([] as never as number[][])[0][0] }, 'x');
    expect(saysOf(() => types.reset({} as never, {} as never))).toMatch(
      /throws: TypeError: Cannot/,
    );
    const text = guarded({ ...parked, reset: throwText }, 'x');
    expect(saysOf(() => text.reset({} as never, {} as never))).toMatch(/throws: two$/);
  });

  it('an exception inside of another hook is told once, and the crash of a kernel is none', () => {
    const inner = guarded({ ...parked, name: 'inner', reset: boom }, 'i.mjs');
    const outer = guarded({ ...parked, name: 'outer', reset: inner.reset.bind(inner) }, 'o.mjs');
    const said = saysOf(() => outer.reset({} as never, {} as never));
    expect(said).toBe('hook reset of policy inner (i.mjs) throws: boom');
    const trap = Object.assign(new Error('unreachable'), { name: 'RuntimeError' });
    const crashes = guarded({ ...parked, reset: () => raise(trap) }, 'x');
    expect(() => crashes.reset({} as never, {} as never)).toThrow(trap);
  });

  it('a hook that returns what it must not is told with what it has to return', () => {
    const who = (hook: string): string => `hook ${hook} of policy mine (mine.mjs) returns`;
    const vector = '0, or GP_VECTOR to refuse the access';
    for (const hook of ['set_msr', 'debugctlAccess'] as const) {
      expect(returning(hook, undefined)).toBe(`${who(hook)} undefined, not ${vector}`);
      expect(returning(hook, 1)).toBe(`${who(hook)} 1, not ${vector}`);
      expect([returning(hook, 0), returning(hook, 13)]).toEqual(['', '']);
    }
    for (const hook of ['inUse', 'recordsStale', 'get_state', 'listsDebugctl'] as const) {
      expect(returning(hook, 1)).toBe(`${who(hook)} 1, not true or false`);
      expect([returning(hook, true), returning(hook, false)]).toEqual(['', '']);
    }
    for (const value of [undefined, 3, null, { eax: 1, edx: 2 }]) {
      expect(returning('get_msr', value)).toContain('not msrValue(eax, edx), or REFUSED');
    }
    expect(returning('get_msr', REFUSED)).toBe('');
    expect(returning('vcpu_put', 7)).toBe('');
  });

  it('a clock shows which hook runs, that calls differ, and that none runs any more', () => {
    const clock = hookClock();
    noteHooks(clock);
    const seen: [number, string][] = [];
    const see = (): void => void seen.push([callOf(clock), hookOf(clock)]);
    const inner = guarded({ ...parked, vcpu_put: see }, 'x');
    const outer = guarded(
      { ...parked, reset: () => (see(), inner.vcpu_put({} as never, {} as never), see()) },
      'x',
    );
    expect(callOf(clock)).toBe(0);
    outer.reset({} as never, {} as never);
    expect(callOf(clock)).toBe(0);
    expect(seen.map(([, hook]) => hook)).toEqual(['reset', 'vcpu_put', 'reset']);
    expect(seen[0][0]).toBeGreaterThan(0);
    expect(seen[1][0]).toBeGreaterThan(seen[0][0]);
    expect(
      saysOf(() => guarded({ ...parked, reset: boom }, 'x').reset({} as never, {} as never)),
    ).not.toBe('');
    expect(callOf(clock)).toBe(0);
    noteHooks(hookClock());
  });

  it('an error names the first action that it is told of', () => {
    const error = new PolicyError('it fails').in('action 1 (v0: halt)').in('action 2');
    expect(error.message).toBe('it fails, in action 1 (v0: halt)');
    expect(nothing()).toBeUndefined();
  });
});

function thisAssumes(this: LbrPolicy): boolean {
  return this.assumes === 'as said';
}

function raise(error: unknown): never {
  throw error;
}

function boom(): never {
  return raise(new Error('boom'));
}

function throwText(): never {
  return raise('two');
}

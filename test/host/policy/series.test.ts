/** Hooks of the lazy policies v4 to v10, called directly on a host that logs its work. */
import { describe, expect, it } from 'vitest';
import type { Vcpu } from '../../../src/host/vcpu.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { PASS_THROUGH } from '../../../src/host/policy/policy.js';
import { v10 } from '../../../src/host/policy/v10.js';
import { v4, v4Select } from '../../../src/host/policy/v4.js';
import { v6, v7 } from '../../../src/host/policy/v6.js';
import { v8, v8Posted } from '../../../src/host/policy/v8.js';
import { HookRig, READ } from '../../rig/host_hooks.js';

const { MSR_LBR_TOS: TOS, MSR_LBR_SELECT: SELECT, MSR_LBR_INFO_0: INFO } = msrs;
const { DEBUGCTLMSR_LBR: LBR, DEBUGCTLMSR_FREEZE_LBRS_ON_PMI: FREEZE } = msrs;
const GP = 13;
const OK = { ...READ, vector: 0 };
const REFUSED = { eax: 0, edx: 0, vector: GP };
/** LBR_SELECT of a user call stack, as the guest's perf writes it. */
const CALLSTACK = 0x3c5;

const EVENTS = [v4, v4Select, v6, v7, v8, v8Posted];

describe.each(EVENTS)('the turns of $name', (policy) => {
  /** A vCPU that has an event and has used it in this slice. */
  function used(): HookRig {
    const rig = new HookRig(policy);
    if (policy === v4 || policy === v4Select) rig.write(SELECT, CALLSTACK, 0);
    else rig.read(TOS);
    expect([rig.event, rig.inUse]).toEqual(['active', true]);
    return rig;
  }

  it(`${policy.name} intercepts after a slice with use, and keeps the event`, () => {
    const rig = used();
    expect(rig.hook('sched_in')).toEqual(['intercept']);
    expect([rig.event, rig.inUse]).toEqual(['active', true]);
  });

  it(`${policy.name} always ends an event after one slice without use, with LBR off`, () => {
    const rig = used();
    rig.debugctl = FREEZE;
    rig.hook('sched_in');
    expect(rig.hook('sched_in')).toEqual(['release']);
    expect([rig.event, rig.inUse]).toEqual(['none', false]);
    expect(rig.hook('sched_in')).toEqual([]);
  });

  it(`${policy.name} keeps an event while LBR is on, unless it is v4`, () => {
    const rig = used();
    rig.debugctl = LBR;
    rig.hook('sched_in');
    expect(rig.hook('sched_in')).toEqual(policy === v4 ? ['release'] : []);
    expect(rig.inUse).toBe(policy !== v4);
  });

  it(`${policy.name} never takes an access of the last slice for one of this slice`, () => {
    const rig = used();
    rig.hook('sched_in');
    const [, steps] = rig.read(TOS);
    expect(steps).toContain('pass through');
    expect(rig.hook('sched_in')).toEqual(['intercept']);
    expect(rig.event).toBe('active');
  });

  it(`a reset of ${policy.name} releases the event, and touches nothing else`, () => {
    const rig = used();
    expect(rig.reset()).toEqual(['release']);
    expect(rig.inUse).toBe(false);
    // The slice still counts as one with use.
    expect(rig.hook('sched_in')).toEqual(['intercept']);
    expect(rig.hook('sched_in')).toEqual([]);
  });

  it(`${policy.name} never does anything at a put or an exit, nor sends any state`, () => {
    const rig = used();
    expect([rig.hook('vcpu_put'), rig.hook('vcpu_exit')]).toEqual([[], []]);
    expect(rig.hook('handleRequests')).toEqual([]);
    expect(policy.get_state(rig, rig.vcpu)).toBe(false);
    expect([policy.pv, policy.setDebugctl]).toEqual(['none', PASS_THROUGH.setDebugctl]);
  });
});

describe.each([
  { policy: v6, opens: ['pass through', 'intercept SELECT'] },
  { policy: v7, opens: ['pass through'] },
])('$policy.name', ({ policy, opens }) => {
  const first = [...opens, 'create flexible'];

  it(`${policy.name} accesses the register, then opens it, then creates the event`, () => {
    const rig = new HookRig(policy);
    expect([rig.inUse, rig.read(TOS)]).toEqual([false, [OK, ['rdmsr TOS', ...first]]]);
    expect(rig.read(TOS)).toEqual([OK, ['rdmsr TOS']]);
    expect(rig.write(SELECT)).toEqual([0, ['wrmsr SELECT 7 8']]);
    const writer = new HookRig(policy);
    expect(writer.write(SELECT)).toEqual([0, ['wrmsr SELECT 7 8', ...first]]);
    expect(writer.write(TOS)).toEqual([0, ['wrmsr TOS 7 8']]);
  });

  it(`${policy.name} takes an access to DEBUGCTL for use, once in a slice`, () => {
    const rig = new HookRig(policy);
    expect(rig.accessDebugctl()).toEqual([0, first]);
    expect(rig.accessDebugctl()).toEqual([0, []]);
    rig.hook('sched_in');
    expect(rig.accessDebugctl()).toEqual([0, opens]);
  });

  it(`INFO is never an LBR MSR for ${policy.name}`, () => {
    const rig = new HookRig(policy);
    expect([rig.read(INFO), rig.write(INFO)]).toEqual([
      [REFUSED, []],
      [GP, []],
    ]);
    expect(rig.hook('sched_in')).toEqual([]);
  });

  it(`${policy.name} asks perf again in the next slice after it refused the event`, () => {
    const rig = new HookRig(policy);
    rig.comes = 'none';
    rig.read(TOS);
    expect(rig.inUse).toBe(false);
    rig.hook('sched_in');
    rig.comes = 'inactive';
    expect(rig.read(TOS)[1]).toContain('create flexible');
    expect(rig.inUse).toBe(true);
  });
});

describe.each([v4, v4Select])('$name', (policy) => {
  const kindly = policy === v4Select;
  const opens = ['pass through', 'intercept SELECT'];

  it(`${policy.name} creates its event with a first access in user call-stack mode`, () => {
    const rig = new HookRig(policy);
    const first = ['wrmsr SELECT 965 0', 'create flexible', ...opens];
    expect(rig.write(SELECT, CALLSTACK, 0)).toEqual([0, first]);
    expect([rig.inUse, rig.read(TOS)]).toEqual([true, [OK, ['rdmsr TOS']]]);
  });

  it(`${policy.name} knows the mode by EN_CALLSTACK without the kernel, from SELECT alone`, () => {
    const modes = [
      { select: msrs.LBR_CALL_STACK, event: false },
      { select: msrs.LBR_KERNEL, event: false },
      { select: msrs.LBR_CALL_STACK | msrs.LBR_USER, event: false },
      { select: msrs.LBR_CALL_STACK | msrs.LBR_KERNEL, event: true },
      { select: CALLSTACK, event: true },
    ];
    for (const { select, event } of modes) {
      const rig = new HookRig(policy);
      rig.write(SELECT, select, 0);
      expect(rig.inUse, `${select}`).toBe(event);
    }
    const rig = new HookRig(policy);
    rig.write(TOS, CALLSTACK, 0);
    expect(rig.inUse).toBe(false);
  });

  it(`${policy.name} never creates an event for a mode that has ended`, () => {
    const rig = new HookRig(policy);
    rig.write(SELECT, CALLSTACK, 0);
    rig.write(SELECT, msrs.LBR_KERNEL, 0);
    rig.reset();
    rig.hook('sched_in');
    expect(rig.read(TOS)[1]).toEqual(['rdmsr TOS', ...opens]);
  });

  it(`${policy.name} asks about the mode once a slice, or always if read kindly`, () => {
    const rig = new HookRig(policy);
    expect(rig.read(TOS)).toEqual([OK, ['rdmsr TOS', ...opens]]);
    const late = kindly ? ['create flexible'] : [];
    expect(rig.write(SELECT, CALLSTACK, 0)[1]).toEqual(['wrmsr SELECT 965 0', ...late]);
    expect(rig.inUse).toBe(kindly);
    rig.hook('sched_in');
    const next = kindly ? [] : ['create flexible'];
    expect(rig.accessDebugctl()).toEqual([0, [...next, ...opens]]);
  });

  it(`${policy.name} never raises a fault by itself`, () => {
    const rig = new HookRig(policy);
    rig.comes = 'none';
    expect(rig.write(INFO)).toEqual([0, ['wrmsr INFO 7 8', ...opens]]);
    expect(rig.accessDebugctl()).toEqual([0, []]);
  });
});

describe.each([v8, v8Posted])('$name', (policy) => {
  it(`${policy.name} always creates an exclusive event before the access`, () => {
    const rig = new HookRig(policy);
    const first = ['create exclusive', 'pass through'];
    expect(rig.read(TOS)).toEqual([OK, [...first, 'rdmsr TOS']]);
    expect(rig.read(TOS)).toEqual([OK, ['rdmsr TOS']]);
    const writer = new HookRig(policy);
    expect(writer.write(SELECT)).toEqual([0, [...first, 'wrmsr SELECT 7 8']]);
    expect(new HookRig(policy).accessDebugctl()).toEqual([0, first]);
  });

  it.each(['inactive', 'none'] as const)(
    `every access raises #GP while the event of ${policy.name} is %s`,
    (state) => {
      const rig = new HookRig(policy);
      rig.comes = state;
      expect(rig.read(TOS)).toEqual([REFUSED, ['create exclusive']]);
      const again = state === 'none' ? ['create exclusive'] : [];
      expect([rig.write(TOS), rig.accessDebugctl()]).toEqual([
        [GP, again],
        [GP, again],
      ]);
      expect(rig.inUse).toBe(state === 'inactive');
      // A refused access does not count as use.
      expect(rig.hook('sched_in')).toEqual(state === 'inactive' ? ['release'] : []);
    },
  );

  it(`INFO is never an LBR MSR for ${policy.name}, and makes no event`, () => {
    const rig = new HookRig(policy);
    expect([rig.read(INFO), rig.write(INFO)]).toEqual([
      [REFUSED, []],
      [GP, []],
    ]);
    expect(rig.inUse).toBe(false);
  });

  it(`${policy.name} takes the registers back before an entry by what the event is`, () => {
    for (const state of ['active', 'inactive'] as const) {
      const rig = new HookRig(policy);
      rig.read(TOS);
      rig.event = state;
      const cancels = (state === 'active') === (policy === v8Posted);
      expect(rig.hook('vcpu_enter')).toEqual(cancels ? ['intercept'] : []);
      expect(rig.hook('vcpu_enter')).toEqual([]);
      // Since the registers were intercepted again, this slice has no use.
      expect(rig.hook('sched_in')).toEqual([cancels ? 'release' : 'intercept']);
    }
  });

  it(`${policy.name} never takes back before an entry what was not given`, () => {
    const rig = new HookRig(policy);
    for (const state of ['none', 'inactive', 'active'] as const) {
      rig.event = state;
      expect(rig.hook('vcpu_enter')).toEqual([]);
    }
    rig.event = 'none';
    rig.read(TOS);
    rig.reset();
    for (const state of ['none', 'inactive', 'active'] as const) {
      rig.event = state;
      expect(rig.hook('vcpu_enter')).toEqual([]);
    }
  });
});

describe('v10', () => {
  /** A vCPU with an event, after a switch away and back, with LBR off. */
  function back(): HookRig {
    const rig = new HookRig(v10);
    rig.read(TOS);
    (rig.vcpu as Vcpu<'in_use'>).words.in_use = 0;
    expect(rig.hook('sched_in')).toEqual([]);
    return rig;
  }

  it('v10 releases the event at the first request after a switch, LBR off and no access', () => {
    const rig = back();
    expect(rig.hook('handleRequests')).toEqual(['release']);
    rig.event = 'active';
    expect(rig.hook('handleRequests')).toEqual([]);
  });

  it.each(['read', 'write', 'debugctl'] as const)(
    'v10 never releases the event after a trapped %s',
    (access) => {
      const rig = back();
      if (access === 'read') rig.read(TOS);
      else if (access === 'write') rig.write(TOS);
      else rig.wroteDebugctl(0);
      expect(rig.hook('handleRequests')).toEqual([]);
      // The access protects the event from one check only.
      expect([rig.hook('sched_in'), rig.hook('handleRequests')]).toEqual([[], ['release']]);
    },
  );

  it('v10 never releases the event while LBR is on', () => {
    const rig = back();
    rig.debugctl = LBR;
    expect(rig.hook('handleRequests')).toEqual([]);
    rig.debugctl = FREEZE;
    expect(rig.hook('handleRequests')).toEqual([]);
    rig.hook('sched_in');
    expect(rig.hook('handleRequests')).toEqual(['release']);
  });

  it('v10 always keeps an access for the look after the next switch', () => {
    const rig = new HookRig(v10);
    expect(rig.hook('sched_in')).toEqual([]);
    rig.read(TOS);
    expect(rig.hook('handleRequests')).toEqual([]);
    rig.hook('sched_in');
    expect(rig.hook('handleRequests')).toEqual([]);
    rig.hook('sched_in');
    expect(rig.hook('handleRequests')).toEqual(['release']);
  });

  it('v10 creates its event for any write of DEBUGCTL, once', () => {
    const rig = new HookRig(v10);
    expect(rig.wroteDebugctl(0)).toEqual(['create fake-counter']);
    expect(rig.wroteDebugctl(LBR)).toEqual([]);
    expect(rig.accessDebugctl()).toEqual([0, []]);
  });

  it('v10 always reads and writes as merged does', () => {
    const rig = new HookRig(v10);
    expect(rig.read(TOS)).toEqual([OK, ['create fake-counter', 'rdmsr TOS']]);
    expect(rig.write(SELECT)).toEqual([0, ['wrmsr SELECT 7 8']]);
    rig.event = 'inactive';
    expect([rig.read(INFO), rig.write(INFO)]).toEqual([
      [{ eax: 0, edx: 0, vector: 0 }, []],
      [0, []],
    ]);
    expect(rig.reset()).toEqual(['release']);
  });
});

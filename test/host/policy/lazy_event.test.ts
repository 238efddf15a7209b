/** v4, v6 and v7: a trapped access creates a host event, which lasts some slices. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import * as lazy from '../../../src/host/policy/lazy_event.js';
import type { LbrPolicy, PolicyHost } from '../../../src/host/policy/policy.js';
import { v4, v4Select } from '../../../src/host/policy/v4.js';
import { is_lbr_msr, v6, v7 } from '../../../src/host/policy/v6.js';
import { CALLSTACK_SELECT, CLOSE, DEBUGCTL, FROM, GP, INFO, LBR } from '../../rig/machine.js';
import { FLEXIBLE, OF_TASK, ON, PINNED, Rig, SELECT, TO, TOS } from '../../rig/machine.js';
import { seeded } from '../../rig/seed.js';
import { anySlices, performSlice, type Slice } from '../../rig/slices.js';

const { LBR_CALL_STACK, LBR_KERNEL, LBR_USER } = msrs;

/**
 * Runs v0 slice by slice, and compares with a rule that looks only at the last access. The
 * registers are open in the slice of that access. The event lasts through this slice and the next,
 * and with `lbrKeeps` as long as LBR is on.
 */
function follows(policy: LbrPolicy, slices: readonly Slice[], lbrKeeps: boolean): void {
  const rig = new Rig(policy);
  rig.write(0, SELECT, CALLSTACK_SELECT);
  let last = 0;
  let lbr = false;
  slices.forEach((slice, i) => {
    rig.nextSlice();
    performSlice(rig, slice);
    if (slice !== 'idle') last = i + 1;
    if (slice === 'on' || slice === 'off') lbr = slice === 'on';
    const kept = i + 1 - last <= 1 || (lbrKeeps && lbr);
    const now = [rig.event !== 'none', rig.inUse, rig.words.includes('lbr_event')];
    expect(now).toEqual([kept, kept, kept]);
    expect([rig.words.includes('lbr_used'), rig.open.includes('TOS')]).toEqual([
      last === i + 1,
      last === i + 1,
    ]);
  });
}

describe.each([v4Select, v6, v7])('a slice of $name', (policy) => {
  it(`the event of ${policy.name} lasts through one idle slice, longer only with LBR on`, () => {
    fc.assert(
      fc.property(anySlices, (slices) => follows(policy, slices, true)),
      seeded(100),
    );
    follows(policy, ['read', 'idle', 'idle', 'read', 'idle', 'read', 'idle', 'idle'], true);
    follows(policy, ['on', 'idle', 'idle', 'idle', 'off', 'idle', 'idle'], true);
  });
});

describe('a slice of v4', () => {
  it('the event of v4 always lasts through one idle slice, and never through two', () => {
    fc.assert(
      fc.property(anySlices, (slices) => follows(v4, slices, false)),
      seeded(100),
    );
    follows(v4, ['on', 'idle', 'idle', 'on', 'idle', 'read', 'idle', 'idle'], false);
  });
});

describe('is_lbr_msr', () => {
  it('is_lbr_msr never knows INFO, and always knows the other LBR MSRs', () => {
    const skylake = new Rig(v6, { cpu: 'skylake' }).m.vcpus[0];
    for (const i of [0, 31]) {
      const known = [FROM, TO, INFO].map((base) => is_lbr_msr(skylake, base + i));
      expect(known).toEqual([true, true, false]);
    }
    expect([is_lbr_msr(skylake, TOS), is_lbr_msr(skylake, SELECT)]).toEqual([true, true]);
  });
});

describe('createEvent', () => {
  it('createEvent says whether there is an event, one from before included', () => {
    for (const [cpu, can] of [
      ['haswell', true],
      ['nehalem', false],
    ] as const) {
      const { m } = new Rig(v6, { cpu });
      const [vcpu] = m.vcpus as lazy.LazyVcpu[];
      for (let i = 0; i < 2; i++) {
        expect(lazy.createEvent(m.kvm, vcpu, 'flexible')).toBe(can);
        expect(lazy.hasEvent(vcpu)).toBe(can);
      }
    }
  });
});

describe('intel_pmu_sched_in', () => {
  it('intel_pmu_sched_in never touches anything after an idle slice without an event', () => {
    const [vcpu] = new Rig(v6).m.vcpus as lazy.LazyVcpu[];
    for (const debugctl of [0, LBR]) {
      vcpu.vmcs.guestDebugctl = debugctl;
      // This host throws on any call.
      lazy.intel_pmu_sched_in({} as PolicyHost, vcpu);
      v4.sched_in({} as PolicyHost, vcpu);
    }
    expect([vcpu.words.lbr_used, vcpu.words.lbr_event]).toEqual([0, 0]);
  });
});

describe.each([v6, v7])('the first access under $name', (policy) => {
  const open = policy === v6 ? ['FROM', 'TO', 'TOS'] : ['FROM', 'TO', 'TOS', 'SELECT'];

  it(`a first read under ${policy.name} finds what others left, and then perf wipes it`, () => {
    const rig = new Rig(policy);
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 3);
    expect([rig.event, rig.words, rig.open, rig.inUse]).toEqual(['none', [], [], false]);
    expect(rig.m.kvm.guestRdmsr(rig.m.vcpus[0], FROM + 1)).toBe(66);
    expect([rig.m.kvm.edx, rig.m.kvm.vector]).toEqual([3, 0]);
    expect(rig.work()).toEqual(['v0 reads one', 'perf writes']);
    expect([rig.event, rig.words]).toEqual(['active', ['lbr_used', 'lbr_event']]);
    expect([rig.open, rig.inUse]).toEqual([open, true]);
    expect([rig.read(0, FROM + 1), rig.work()]).toEqual([0, []]);
  });

  it(`a first write under ${policy.name} is made before the event, and perf wipes it`, () => {
    const rig = new Rig(policy);
    expect(rig.write(0, FROM + 1, 77)).toBe(0);
    expect(rig.work()).toEqual(['v0 writes one', 'perf writes']);
    expect([rig.event, rig.words]).toEqual(['active', ['lbr_used', 'lbr_event']]);
    expect(rig.read(0, FROM + 1)).toBe(0);
  });

  it(`a read and a write of DEBUGCTL both count as first access under ${policy.name}`, () => {
    for (const write of [true, false]) {
      const rig = new Rig(policy);
      if (write) expect(rig.write(0, DEBUGCTL, LBR)).toBe(0);
      else expect(rig.read(0, DEBUGCTL)).toBe(0);
      expect(rig.work()).toEqual(['perf writes']);
      expect([rig.event, rig.open, rig.words]).toEqual(['active', open, ['lbr_used', 'lbr_event']]);
      expect(rig.debugctl).toBe(write ? LBR : 0);
      expect([rig.read(0, DEBUGCTL), rig.work()]).toEqual([write ? LBR : 0, []]);
    }
  });

  it(`INFO never counts as use under ${policy.name}: #GP while trapped, then open`, () => {
    const rig = new Rig(policy, { cpu: 'skylake' });
    rig.m.pcpus[0].wrmsr(INFO, 5, 0);
    expect([rig.read(0, INFO), rig.write(0, INFO, 7)]).toEqual(['gp', GP]);
    expect([rig.work(), rig.words, rig.open, rig.event]).toEqual([[], [], [], 'none']);
    rig.read(0, TOS);
    expect(rig.open).toEqual(['FROM', 'TO', 'INFO', ...open.slice(2)]);
    expect([rig.write(0, INFO, 7), rig.read(0, INFO)]).toEqual([0, 7]);
    rig.nextSlice();
    expect([rig.read(0, INFO), rig.write(0, INFO, 7), rig.open]).toEqual(['gp', GP, []]);
  });

  it(`${policy.name} makes an event once a slice at most, even if it is gone meanwhile`, () => {
    const rig = new Rig(policy);
    rig.read(0, TOS);
    policy.reset(rig.m.kvm, rig.m.vcpus[0]);
    rig.work();
    expect([rig.read(0, DEBUGCTL), rig.write(0, SELECT, 5), rig.event]).toEqual([0, 0, 'none']);
    expect([rig.words, rig.work()]).toEqual([['lbr_used'], policy === v6 ? ['v0 writes one'] : []]);
    rig.nextSlice();
    rig.read(0, TOS);
    expect(rig.event).toBe('active');
  });

  it(`${policy.name} opens the registers as they are where perf refuses the event`, () => {
    const rig = new Rig(policy, { cpu: 'nehalem' });
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect(rig.read(0, FROM + 1)).toBe(66);
    expect([rig.event, rig.words, rig.inUse]).toEqual(['none', ['lbr_used'], false]);
    expect([rig.open, rig.work()]).toEqual([open, ['v0 reads one']]);
    rig.nextSlice();
    expect([rig.words, rig.open]).toEqual([[], []]);
    expect([rig.write(0, FROM + 1, 77), rig.read(0, FROM + 1)]).toEqual([0, 77]);
  });

  it(`${policy.name} always works on a CPU without LBR_SELECT`, () => {
    const rig = new Rig(policy, { cpu: 'core2' });
    expect([rig.read(0, TOS), rig.open]).toEqual([0, ['TOS']]);
  });
});

describe('LBR_SELECT', () => {
  it.each([v6, v4, v4Select])(
    'LBR_SELECT is always trapped, and written for the guest, under $name',
    (policy) => {
      const rig = new Rig(policy);
      rig.read(0, TOS);
      rig.work();
      for (const select of [5, LBR_KERNEL | LBR_USER]) {
        expect(rig.write(0, SELECT, select)).toBe(0);
        expect(rig.work()).toEqual(['v0 writes one']);
        expect([rig.read(0, SELECT), rig.work()]).toEqual([select, ['v0 reads one']]);
        expect(rig.m.pcpus[0].stack.lbr_select).toBe(select);
        expect([rig.open, rig.write(0, TOS, 3)]).toEqual([['FROM', 'TO', 'TOS'], 0]);
        rig.nextSlice();
        rig.read(0, TOS);
        rig.work();
      }
    },
  );

  it('LBR_SELECT is never trapped under v7 once the registers are open', () => {
    const rig = new Rig(v7);
    rig.read(0, TOS);
    rig.work();
    expect([rig.write(0, SELECT, 5), rig.read(0, SELECT), rig.work()]).toEqual([0, 5, []]);
  });
});

describe.each([v4, v4Select, v6, v7])('the event of $name', (policy) => {
  function withEvent(): Rig {
    const rig = new Rig(policy);
    rig.write(0, SELECT, CALLSTACK_SELECT);
    rig.work();
    expect([rig.event, rig.counting]).toEqual(['active', ['guest']]);
    return rig;
  }

  it(`with the event of ${policy.name} perf keeps the stack while another vCPU runs`, () => {
    const rig = withEvent();
    rig.write(0, FROM, 76);
    rig.write(0, TOS, 0);
    rig.write(0, SELECT, CALLSTACK_SELECT | LBR_USER);
    rig.m.switchTo(0, 1);
    expect([rig.event, rig.work().at(-1)]).toEqual(['inactive', 'perf reads']);
    for (const [msr, eax] of [[SELECT, CALLSTACK_SELECT] as const, [FROM, 66] as const]) {
      rig.write(1, msr, eax);
    }
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.read(0, FROM)]).toEqual(['active', 76]);
    expect(rig.read(0, SELECT)).toBe(CALLSTACK_SELECT | LBR_USER);
  });

  it(`the event of ${policy.name} counts beside a host CPU event, pinned or not`, () => {
    for (const which of [PINNED, FLEXIBLE]) {
      const rig = withEvent();
      rig.m.hostEvent(0, which, ON);
      const name = which === PINNED ? 'pinned' : 'flexible';
      const both = ['guest', name].toSorted();
      expect([rig.event, rig.counting]).toEqual(['active', both]);
      // v4 to v7 do not check whether the event counts, so the guest keeps registers and DEBUGCTL.
      rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
      expect([rig.read(0, FROM + 1), rig.write(0, FROM + 1, 67)]).toEqual([66, 0]);
      expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(67);
      expect([rig.write(0, DEBUGCTL, LBR), rig.debugctl]).toEqual([0, LBR]);
      rig.nextSlice();
      expect([rig.event, rig.counting]).toEqual(['active', both]);
      rig.read(0, TOS);
      rig.m.hostEvent(0, which, CLOSE);
      rig.nextSlice();
      expect([rig.event, rig.counting]).toEqual(['active', ['guest']]);
    }
  });

  it(`the event of ${policy.name} counts beside a host event with its own filter`, () => {
    const guestFirst = withEvent();
    guestFirst.m.hostEvent(0, OF_TASK, ON);
    expect([guestFirst.event, guestFirst.counting]).toEqual(['active', ['guest', 'of-task']]);
    const hostFirst = new Rig(policy);
    hostFirst.m.hostEvent(0, OF_TASK, ON);
    hostFirst.write(0, SELECT, CALLSTACK_SELECT);
    expect([hostFirst.event, hostFirst.counting]).toEqual(['active', ['guest', 'of-task']]);
  });

  it(`${policy.name} never opens the registers twice in a slice, whoever closed them`, () => {
    const rig = withEvent();
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    expect([rig.write(0, TOS, 3), rig.read(0, TOS), rig.open]).toEqual([0, 3, []]);
    expect([rig.write(0, SELECT, 5), rig.read(0, DEBUGCTL), rig.open]).toEqual([0, 0, []]);
  });

  it(`the event of ${policy.name} ends with a reset, which leaves all else as it is`, () => {
    const rig = withEvent();
    const before = [rig.open, rig.words];
    policy.reset(rig.m.kvm, rig.m.vcpus[0]);
    expect([rig.event, rig.inUse, rig.counting]).toEqual(['none', false, []]);
    expect([rig.open, [...rig.words, 'lbr_event'].toSorted()]).toEqual([
      before[0],
      [...before[1]].toSorted(),
    ]);
  });

  it(`the event of ${policy.name} never outlives a live migration`, () => {
    const rig = withEvent();
    rig.write(0, FROM + 1, 77);
    rig.write(0, DEBUGCTL, LBR);
    rig.migrate();
    expect([rig.event, rig.words, rig.open, rig.debugctl]).toEqual(['none', [], [], 0]);
    expect(rig.inUse).toBe(false);
  });

  it(`the event of ${policy.name} never records anywhere but in the registers`, () => {
    const rig = withEvent();
    rig.write(0, SELECT, 0);
    rig.write(0, DEBUGCTL, LBR);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect(rig.read(0, TOS)).toBe(2);
  });
});

const V4 = [v4, v4Select];

describe('the mode of v4', () => {
  const CASES = [
    { select: CALLSTACK_SELECT, creates: true },
    { select: CALLSTACK_SELECT | LBR_USER, creates: true },
    { select: LBR_CALL_STACK, creates: false },
    { select: LBR_CALL_STACK | LBR_USER, creates: false },
    { select: LBR_KERNEL, creates: false },
    { select: 0, creates: false },
  ];

  it.each(V4)('the mode of $name is user call-stack mode when it makes its event', (policy) => {
    for (const { select, creates } of CASES) {
      const rig = new Rig(policy);
      expect(rig.write(0, SELECT, select)).toBe(0);
      const mode = creates ? ['lbr_event', 'lbr_user_callstack'] : [];
      expect([rig.event, rig.words]).toEqual([creates ? 'active' : 'none', ['lbr_used', ...mode]]);
      expect(rig.work()).toEqual(creates ? ['v0 writes one', 'perf writes'] : ['v0 writes one']);
      expect([rig.open, rig.inUse]).toEqual([['FROM', 'TO', 'TOS'], creates]);
    }
  });

  it.each(V4)('no register but LBR_SELECT ever tells the mode of $name', (policy) => {
    const rig = new Rig(policy);
    for (const msr of [FROM, TO, TOS]) {
      rig.nextSlice();
      expect([rig.write(0, msr, CALLSTACK_SELECT), rig.words]).toEqual([0, ['lbr_used']]);
    }
  });

  it('v4 asks for the mode at the first access of a slice alone', () => {
    const rig = new Rig(v4);
    rig.read(0, TOS);
    rig.write(0, SELECT, CALLSTACK_SELECT);
    expect([rig.event, rig.words]).toEqual(['none', ['lbr_used', 'lbr_user_callstack']]);
    rig.write(0, DEBUGCTL, LBR);
    expect(rig.event).toBe('none');
    rig.nextSlice();
    expect(rig.event).toBe('none');
    expect([rig.write(0, DEBUGCTL, LBR), rig.event]).toEqual([0, 'active']);
  });

  it('v4-select asks for the mode at every trapped access', () => {
    const rig = new Rig(v4Select);
    rig.read(0, TOS);
    expect([rig.write(0, SELECT, CALLSTACK_SELECT), rig.event]).toEqual([0, 'active']);
    v4Select.reset(rig.m.kvm, rig.m.vcpus[0]);
    expect([rig.event, rig.read(0, DEBUGCTL), rig.event]).toEqual(['none', 0, 'active']);
  });

  it.each(V4)('the mode of $name outlasts its event, and the event outlasts the mode', (policy) => {
    const rig = new Rig(policy);
    rig.write(0, SELECT, CALLSTACK_SELECT);
    rig.nextSlice();
    rig.nextSlice();
    expect([rig.event, rig.words]).toEqual(['none', ['lbr_user_callstack']]);
    rig.read(0, TOS);
    expect(rig.event).toBe('active');
    rig.write(0, SELECT, LBR_KERNEL);
    expect([rig.event, rig.words]).toEqual(['active', ['lbr_used', 'lbr_event']]);
    rig.nextSlice();
    rig.nextSlice();
    rig.read(0, TOS);
    expect([rig.event, rig.words]).toEqual(['none', ['lbr_used']]);
  });

  it.each(V4)('$name always reads and writes before it makes its event, INFO as well', (policy) => {
    const rig = new Rig(policy, { cpu: 'skylake' });
    rig.write(0, SELECT, CALLSTACK_SELECT);
    policy.reset(rig.m.kvm, rig.m.vcpus[0]);
    rig.nextSlice();
    rig.m.pcpus[0].wrmsr(INFO, 5, msrs.LBR_INFO_MISPRED_HI);
    rig.work();
    expect(rig.m.kvm.guestRdmsr(rig.m.vcpus[0], INFO)).toBe(5);
    expect([rig.m.kvm.edx, rig.m.kvm.vector]).toEqual([msrs.LBR_INFO_MISPRED_HI, 0]);
    expect(rig.work()).toEqual(['v0 reads one', 'perf writes']);
    expect([rig.event, rig.open]).toEqual(['active', ['FROM', 'TO', 'INFO', 'TOS']]);
    rig.nextSlice();
    rig.work();
    expect([rig.write(0, INFO, 7), rig.read(0, INFO), rig.work()]).toEqual([
      0,
      7,
      ['v0 writes one'],
    ]);
  });

  it.each(V4)('$name never has an event on a CPU without call stacks', (policy) => {
    const rig = new Rig(policy, { cpu: 'nehalem' });
    // Nehalem's LBR_SELECT lacks this bit, so the host faults and perf refuses the event.
    expect(rig.write(0, SELECT, CALLSTACK_SELECT)).toBe(0);
    expect(rig.work()).toEqual(['v0 writes one', 'host fault']);
    expect([rig.event, rig.inUse, rig.open]).toEqual(['none', false, ['FROM', 'TO', 'TOS']]);
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect(rig.read(0, FROM + 1)).toBe(66);
  });
});

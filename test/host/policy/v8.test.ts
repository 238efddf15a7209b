/** v8 creates an exclusive event before the access, else raises #GP; both readings. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LazyVcpu } from '../../../src/host/policy/lazy_event.js';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import type { HostPerf, LbrPolicy, PolicyHost } from '../../../src/host/policy/policy.js';
import { v8, v8Posted } from '../../../src/host/policy/v8.js';
import { CALLSTACK_SELECT, CLOSE, DEBUGCTL, FLEXIBLE, FROM } from '../../rig/machine.js';
import { GP, INFO, LBR, OF_TASK, OFF, ON, PINNED, Rig, SELECT, TOS } from '../../rig/machine.js';
import { seeded } from '../../rig/seed.js';
import { anySlices, performSlice, type Slice } from '../../rig/slices.js';

const BOTH: readonly LbrPolicy[] = [v8, v8Posted];
const USED = ['lbr_used', 'lbr_event'];
const OPEN = ['FROM', 'TO', 'TOS', 'SELECT'];

/** A rig whose guest has read TOS. The vCPU is out. */
function withEvent(policy: LbrPolicy): Rig {
  const rig = new Rig(policy);
  expect(rig.read(0, TOS)).toBe(0);
  expect([rig.event, rig.words, rig.open]).toEqual(['active', USED, OPEN]);
  rig.work();
  return rig;
}

describe.each(BOTH)('the first access under $name', (policy) => {
  it(`${policy.name} creates the event before the first access, which finds zeros`, () => {
    const rig = new Rig(policy);
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect([rig.event, rig.words, rig.open, rig.inUse]).toEqual(['none', [], [], false]);
    expect(rig.read(0, FROM + 1)).toBe(0);
    expect(rig.work()).toEqual(['perf writes', 'v0 reads one']);
    expect([rig.event, rig.words, rig.open, rig.inUse]).toEqual(['active', USED, OPEN, true]);
  });

  it(`a first write under ${policy.name} goes into a stack that is the guest’s own`, () => {
    const rig = new Rig(policy);
    expect(rig.write(0, FROM + 1, 77)).toBe(0);
    expect(rig.work()).toEqual(['perf writes', 'v0 writes one']);
    expect([rig.read(0, FROM + 1), rig.m.pcpus[0].rdmsr(FROM + 1)]).toEqual([77, 77]);
    expect(rig.event).toBe('active');
  });

  it(`a read and a write of DEBUGCTL both count as first access under ${policy.name}`, () => {
    for (const write of [true, false]) {
      const rig = new Rig(policy);
      if (write) expect(rig.write(0, DEBUGCTL, LBR)).toBe(0);
      else expect(rig.read(0, DEBUGCTL)).toBe(0);
      expect([rig.work(), rig.debugctl]).toEqual([['perf writes'], write ? LBR : 0]);
      expect([rig.event, rig.words, rig.open]).toEqual(['active', USED, OPEN]);
    }
  });

  it(`${policy.name} never opens the registers twice in a slice, whoever closed them`, () => {
    const rig = withEvent(policy);
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    policy.get_msr(rig.m.kvm, rig.m.vcpus[0], TOS);
    expect([rig.words, rig.open]).toEqual([USED, []]);
  });

  it(`an access to INFO never counts as use under ${policy.name} while it is trapped`, () => {
    const rig = new Rig(policy, { cpu: 'skylake' });
    expect([rig.read(0, INFO), rig.write(0, INFO, 7)]).toEqual(['gp', GP]);
    expect([rig.work(), rig.words, rig.open, rig.event]).toEqual([[], [], [], 'none']);
    rig.read(0, TOS);
    expect(rig.open).toEqual(['FROM', 'TO', 'INFO', 'TOS', 'SELECT']);
    const known = policy === v8;
    expect([rig.write(0, INFO, 7), rig.read(0, INFO)]).toEqual(known ? [0, 7] : [GP, 'gp']);
    rig.nextSlice();
    expect([rig.read(0, INFO), rig.write(0, INFO, 7), rig.open]).toEqual(['gp', GP, []]);
  });

  it(`every access raises #GP under ${policy.name} where perf refuses the event`, () => {
    const rig = new Rig(policy, { cpu: 'nehalem' });
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    for (let i = 0; i < 2; i++) {
      expect([rig.read(0, FROM + 1), rig.write(0, FROM + 1, 77)]).toEqual(['gp', GP]);
      expect([rig.read(0, DEBUGCTL), rig.write(0, DEBUGCTL, LBR)]).toEqual(['gp', GP]);
      rig.nextSlice();
    }
    expect([rig.event, rig.words, rig.open, rig.inUse]).toEqual(['none', [], [], false]);
    expect([rig.debugctl, rig.m.pcpus[0].rdmsr(FROM + 1), rig.work()]).toEqual([0, 66, []]);
  });
});

describe('a slice of v8', () => {
  /** Compares each slice with a rule that looks only at the last access. */
  function follows(slices: readonly Slice[]): void {
    const rig = new Rig(v8);
    let last = -2;
    let lbr = false;
    slices.forEach((slice, i) => {
      rig.nextSlice();
      if (slice === 'read') expect(rig.read(0, TOS)).toBe(0);
      else performSlice(rig, slice);
      rig.enter();
      if (slice !== 'idle') last = i;
      if (slice === 'on' || slice === 'off') lbr = slice === 'on';
      const kept = i - last <= 1 || lbr;
      expect([rig.event, rig.inUse]).toEqual([kept ? 'active' : 'none', kept]);
      const used = last === i;
      expect([rig.words.includes('lbr_used'), rig.open]).toEqual([used, used ? OPEN : []]);
    });
  }

  it('the event of v8 lasts through one idle slice, and through two only with LBR on', () => {
    fc.assert(fc.property(anySlices, follows), seeded(100));
    follows(['read', 'idle', 'idle', 'read', 'idle', 'read', 'idle', 'idle']);
    follows(['on', 'idle', 'idle', 'idle', 'off', 'idle', 'idle']);
  });

  it('with the event of v8 perf keeps stack and LBR_SELECT while another vCPU runs', () => {
    const rig = withEvent(v8);
    rig.write(0, FROM, 76);
    rig.write(0, SELECT, 5);
    rig.m.switchTo(0, 1);
    expect([rig.event, rig.work()]).toEqual(['inactive', ['perf reads']]);
    expect([rig.write(1, FROM, 66), rig.write(1, SELECT, 1)]).toEqual([0, 0]);
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.read(0, FROM), rig.read(0, SELECT)]).toEqual(['active', 76, 5]);
  });
});

describe('the check before entry', () => {
  it('before an entry v8 takes the registers back if, and only if, the event is off', () => {
    const rig = withEvent(v8);
    for (let i = 0; i < 2; i++) {
      rig.m.exitAndEnter(0);
      rig.enter();
      expect([rig.words, rig.open]).toEqual([USED, OPEN]);
    }
    rig.m.hostEvent(0, PINNED, ON);
    expect([rig.event, rig.words, rig.open]).toEqual(['inactive', USED, OPEN]);
    rig.enter();
    expect([rig.words, rig.open, rig.inUse]).toEqual([['lbr_event'], [], true]);
  });

  it('before an entry v8-posted takes the registers back if, and only if, the event is on', () => {
    const rig = withEvent(v8Posted);
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    rig.enter();
    expect([rig.event, rig.words, rig.open]).toEqual(['inactive', USED, OPEN]);
    expect([rig.read(0, FROM + 1), rig.write(0, FROM + 1, 67)]).toEqual([66, 0]);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(67);
    const own = withEvent(v8Posted);
    own.enter();
    expect([own.event, own.words, own.open]).toEqual(['active', ['lbr_event'], []]);
    expect([own.read(0, TOS), own.work()]).toEqual([0, ['v0 reads one']]);
    expect([own.words, own.open]).toEqual([USED, OPEN]);
  });

  it('one idle slice ends the event of v8-posted, since its use is forgotten', () => {
    const rig = withEvent(v8Posted);
    rig.enter();
    rig.nextSlice();
    expect([rig.event, rig.inUse]).toEqual(['none', false]);
    rig.write(0, DEBUGCTL, LBR);
    rig.enter();
    rig.nextSlice();
    rig.nextSlice();
    expect([rig.event, rig.read(0, DEBUGCTL)]).toEqual(['active', LBR]);
  });

  it('the check before entry touches nothing without an event, or without use in the slice', () => {
    for (const policy of BOTH) {
      const { m } = new Rig(policy);
      const [vcpu] = m.vcpus as LazyVcpu[];
      for (const [event, used] of [
        [0, 0],
        [0, 1],
        [1, 0],
      ]) {
        for (const state of ['none', 'inactive', 'active'] as const) {
          const perf = { guestLbrEvent: () => state } as Partial<HostPerf> as HostPerf;
          vcpu.words.lbr_used = used;
          vcpu.words.lbr_event = event;
          // This host throws on any call.
          policy.vcpu_enter({ perf } as PolicyHost, vcpu);
          expect([vcpu.words.lbr_used, vcpu.words.lbr_event]).toEqual([used, event]);
        }
      }
    }
  });
});

describe.each(BOTH)('a host event and that of $name', (policy) => {
  it(`under ${policy.name} a pinned host event takes the LBR, and accesses raise #GP`, () => {
    const rig = withEvent(policy);
    expect(rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI)).toBe(0);
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    expect([rig.event, rig.counting]).toEqual(['inactive', ['pinned']]);
    rig.m.hostWork(0, 3);
    const host = [rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].stack.lbr_select];
    rig.work();
    expect([rig.read(0, TOS), rig.read(0, FROM), rig.read(0, SELECT)]).toEqual(['gp', 'gp', 'gp']);
    expect([rig.write(0, TOS, 1), rig.write(0, SELECT, 5)]).toEqual([GP, GP]);
    expect([rig.read(0, DEBUGCTL), rig.write(0, DEBUGCTL, LBR)]).toEqual(['gp', GP]);
    expect([rig.debugctl, rig.work()]).toEqual([msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI, []]);
    expect([rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].stack.lbr_select]).toEqual(host);
    expect([rig.m.host.hostLbrActive(0), rig.inUse, rig.open]).toEqual([true, true, []]);
  });

  it(`an event of ${policy.name} never begins while a host event is pinned to the CPU`, () => {
    const rig = new Rig(policy);
    rig.m.hostEvent(0, PINNED, ON);
    rig.work();
    expect([rig.read(0, TOS), rig.event, rig.words]).toEqual(['gp', 'inactive', ['lbr_event']]);
    expect([rig.counting, rig.open]).toEqual([['pinned'], []]);
    // The guest's event stays in ERROR when the host event goes, until an idle slice.
    rig.m.hostEvent(0, PINNED, CLOSE);
    expect([rig.read(0, TOS), rig.event, rig.counting]).toEqual(['gp', 'inactive', []]);
    rig.nextSlice();
    expect(rig.event).toBe('none');
    expect([rig.read(0, TOS), rig.event, rig.words]).toEqual([0, 'active', USED]);
  });

  it(`a flexible host event waits for that of ${policy.name}, even with one filter`, () => {
    for (const [which, name] of [
      [FLEXIBLE, 'flexible'],
      [OF_TASK, 'of-task'],
    ] as const) {
      const guestFirst = withEvent(policy);
      guestFirst.m.hostEvent(0, which, ON);
      expect([guestFirst.event, guestFirst.counting]).toEqual(['active', ['guest']]);
      expect(guestFirst.m.host.hostEventState(0, which)).toBe('on');
      const rig = new Rig(policy);
      rig.m.hostEvent(0, which, ON);
      expect(rig.counting).toEqual([name]);
      expect([rig.read(0, TOS), rig.event, rig.counting]).toEqual([0, 'active', ['guest']]);
      rig.nextSlice();
      expect([rig.event, rig.counting]).toEqual(['active', ['guest']]);
      policy.reset(rig.m.kvm, rig.m.vcpus[0]);
      // The model has no rotation, so the host event is scheduled only when it is enabled again.
      for (const op of [OFF, ON]) rig.m.hostEvent(0, which, op);
      expect([rig.event, rig.counting]).toEqual(['none', [name]]);
    }
  });

  it(`under ${policy.name} a guest with LBR on never gets its event back`, () => {
    const rig = withEvent(policy);
    rig.write(0, DEBUGCTL, LBR);
    rig.m.hostEvent(0, PINNED, ON);
    rig.enter();
    rig.m.hostEvent(0, PINNED, CLOSE);
    for (let i = 0; i < 4; i++) {
      rig.nextSlice();
      expect([rig.event, rig.write(0, DEBUGCTL, 0), rig.debugctl]).toEqual(['inactive', GP, LBR]);
    }
    rig.m.branches(0, BRANCH_JCC, 2);
    expect(rig.m.pcpus[0].stack.tos).toBe(2);
    policy.reset(rig.m.kvm, rig.m.vcpus[0]);
    expect([rig.write(0, DEBUGCTL, 0), rig.event, rig.debugctl]).toEqual([0, 'active', 0]);
  });

  it(`host events and that of ${policy.name} never leave anything on the PMU`, () => {
    const rig = withEvent(policy);
    for (const which of [PINNED, FLEXIBLE, OF_TASK]) rig.m.hostEvent(0, which, ON);
    expect(rig.counting).toEqual(['pinned', 'flexible'].toSorted());
    for (const which of [PINNED, FLEXIBLE, OF_TASK]) {
      rig.m.hostEvent(0, which, OFF);
      rig.m.hostEvent(0, which, CLOSE);
    }
    policy.reset(rig.m.kvm, rig.m.vcpus[0]);
    const { cpuc } = rig.m.host.kernel.cpus[0];
    expect([rig.counting, cpuc.lbr_sel_ref, cpuc.lbr_users]).toEqual([[], 0, 0]);
  });
});

describe.each(BOTH)('reset of $name', (policy) => {
  it(`a reset of ${policy.name} ends the event, and leaves all else as it is`, () => {
    const rig = withEvent(policy);
    policy.reset(rig.m.kvm, rig.m.vcpus[0]);
    expect([rig.event, rig.inUse, rig.words, rig.open]).toEqual([
      'none',
      false,
      ['lbr_used'],
      OPEN,
    ]);
  });

  it(`${policy.name} never lets anything outlive a live migration`, () => {
    const rig = withEvent(policy);
    rig.write(0, FROM + 1, 77);
    rig.write(0, SELECT, CALLSTACK_SELECT);
    rig.write(0, DEBUGCTL, LBR);
    rig.migrate();
    expect([rig.event, rig.words, rig.open, rig.debugctl]).toEqual(['none', [], [], 0]);
    expect([rig.read(0, FROM + 1), rig.read(0, SELECT)]).toEqual([0, 0]);
  });
});

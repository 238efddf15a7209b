/** The policy merged in 5.12: a guest LBR event on the host's perf, which is released lazily. */
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { lbrMsrHooks, merged } from '../../../src/host/policy/merged.js';
import type { HostPerf, PolicyHost } from '../../../src/host/policy/policy.js';
import { DEBUGCTL, FROM, LBR, ON, PINNED, Rig, SELECT, TOS } from '../../rig/machine.js';

const INFO = msrs.MSR_LBR_INFO_0;

/** Gives v0 nonzero records. */
function fill(rig: Rig): void {
  rig.set(0, FROM + 1, 77);
  rig.set(0, FROM, 76);
  rig.set(0, TOS, 1);
  rig.set(0, SELECT, 5);
}

function filled(rig: Rig): number[] {
  return [FROM + 1, FROM, TOS, SELECT].map((msr) => rig.get(0, msr));
}

describe('the first access', () => {
  it('the first access creates the event, reads what perf has reset, then passes through', () => {
    const rig = new Rig(merged);
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect([rig.event, rig.intercepted(), rig.inUse]).toEqual(['none', true, false]);
    expect(rig.get(0, FROM + 1)).toBe(0);
    expect(rig.work()).toEqual(['perf writes', 'v0 reads one']);
    expect([rig.event, rig.intercepted()]).toEqual(['active', true]);
    expect(rig.get(0, FROM + 1)).toBe(0);
    expect([rig.intercepted(), rig.work()]).toEqual([false, []]);
    expect(rig.inUse).toBe(true);
  });

  it('a first write under merged reaches the register as well', () => {
    const rig = new Rig(merged);
    rig.set(0, FROM + 1, 77, 3);
    expect(rig.work()).toEqual(['perf writes', 'v0 writes one']);
    expect([rig.m.pcpus[0].rdmsr(FROM + 1), rig.m.pcpus[0].edx]).toEqual([77, 3]);
    rig.m.kvm.exit(rig.m.vcpus[0]);
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    expect([merged.get_msr(rig.m.kvm, rig.m.vcpus[0], FROM + 1).edx]).toEqual([3]);
    expect(rig.event).toBe('active');
  });
});

describe('setDebugctl', () => {
  it('a write of LBR=1 creates the event of merged, once', () => {
    const rig = new Rig(merged);
    rig.set(0, DEBUGCTL, msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    expect([rig.event, rig.work()]).toEqual(['none', []]);
    rig.set(0, DEBUGCTL, LBR);
    expect([rig.event, rig.work()]).toEqual(['active', ['perf writes']]);
    rig.set(0, DEBUGCTL, 0);
    rig.set(0, DEBUGCTL, LBR);
    expect([rig.event, rig.work()]).toEqual(['active', []]);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect([rig.intercepted(), rig.get(0, TOS)]).toEqual([false, 2]);
  });

  it('a write of DEBUGCTL never releases the event of merged', () => {
    const rig = new Rig(merged);
    rig.set(0, DEBUGCTL, LBR);
    rig.set(0, DEBUGCTL, 0);
    rig.m.exitAndEnter(0);
    rig.enter();
    expect([rig.event, rig.intercepted()]).toEqual(['active', false]);
  });
});

describe('cleanup', () => {
  it('cleanup releases the event after a switch if DEBUGCTL.LBR is clear', () => {
    const rig = new Rig(merged);
    fill(rig);
    expect(filled(rig)).toEqual([77, 76, 1, 5]);
    rig.m.switchTo(0, 1);
    expect(rig.event).toBe('inactive');
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.intercepted()]).toEqual(['none', true]);
    expect(filled(rig).slice(0, 2)).toEqual([0, 0]);
    expect(rig.event).toBe('active');
  });

  it('cleanup never releases the event while LBR is set: perf keeps stack and LBR_SELECT', () => {
    const rig = new Rig(merged);
    rig.set(0, DEBUGCTL, LBR);
    fill(rig);
    rig.work();
    rig.m.switchTo(0, 1);
    expect(rig.work()).toEqual(['perf reads']);
    rig.set(1, DEBUGCTL, LBR);
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.intercepted()]).toEqual(['active', false]);
    expect(rig.work()).toEqual(['perf writes', 'perf reads', 'perf writes']);
    expect(filled(rig)).toEqual([77, 76, 1, 5]);
  });

  it('cleanup needs a switch, and is done at most once for each', () => {
    const rig = new Rig(merged);
    rig.set(0, DEBUGCTL, LBR);
    rig.nextSlice();
    rig.set(0, DEBUGCTL, 0);
    for (let i = 0; i < 3; i++) {
      rig.m.exitAndEnter(0);
      expect(rig.event).toBe('active');
    }
    rig.nextSlice();
    expect(rig.event).toBe('none');
  });

  it('cleanup never hits an event that is newer than the switch', () => {
    const rig = new Rig(merged);
    rig.nextSlice();
    rig.get(0, TOS);
    rig.m.exitAndEnter(0);
    expect(rig.event).toBe('active');
  });
});

describe('without ownership', () => {
  // Core 2 has no call-stack mode, so perf refuses the event.
  it('without an event merged reads 0, drops any write, and never passes through', () => {
    const rig = new Rig(merged, { cpu: 'nehalem' });
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect(rig.get(0, FROM + 1)).toBe(0);
    rig.set(0, FROM + 1, 77);
    rig.set(0, SELECT, 0, 1);
    rig.set(0, DEBUGCTL, LBR);
    expect([rig.get(0, FROM + 1), rig.intercepted(), rig.event]).toEqual([0, true, 'none']);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(66);
    expect(rig.work()).toEqual([]);
  });

  it('with an inactive event merged reads 0 and drops writes as well', () => {
    const rig = new Rig(merged);
    const calls: string[] = [];
    const perf: HostPerf = {
      createGuestLbrEvent: () => void calls.push('create'),
      releaseGuestLbrEvent: () => void calls.push('release'),
      guestLbrEvent: () => 'inactive',
      hostLbrActive: () => false,
      loadGuestContext: () => void calls.push('load'),
      putGuestContext: () => void calls.push('put'),
    };
    const kvm = new Proxy({ perf } as PolicyHost, {
      get: (target, name) =>
        name === 'perf'
          ? target.perf
          : (...args: unknown[]) => calls.push(`${String(name)} ${String(args[1])}`),
    });
    const [vcpu] = rig.m.vcpus;
    const value = merged.get_msr(kvm, vcpu, TOS);
    expect([value.eax, value.edx, value.vector]).toEqual([0, 0, 0]);
    expect(merged.set_msr(kvm, vcpu, SELECT, 0, 1)).toBe(0);
    vcpu.vmcs.guestDebugctl = LBR;
    merged.setDebugctl(kvm, vcpu);
    expect(calls).toEqual([]);
    merged.vcpu_enter(kvm, vcpu);
    expect(calls).toEqual(['setPassthrough false']);
  });
});

describe('a host event', () => {
  it('a host event never gets LBR beside the guest event, but its start wipes the stack', () => {
    const rig = new Rig(merged);
    rig.set(0, DEBUGCTL, LBR);
    fill(rig);
    rig.m.hostEvent(0, PINNED, ON);
    expect([rig.m.host.hostLbrActive(0), rig.event]).toEqual([false, 'active']);
    expect(filled(rig).slice(0, 2)).toEqual([0, 0]);
    rig.m.switchTo(0, 1);
    expect(rig.m.host.hostLbrActive(0)).toBe(true);
  });
});

describe('reset', () => {
  it('a reset always releases the event of merged, as a live migration does', () => {
    const rig = new Rig(merged);
    rig.set(0, DEBUGCTL, LBR);
    fill(rig);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    expect([rig.event, rig.m.vcpus[0].vmcs.guestDebugctl]).toEqual(['none', 0]);
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.intercepted()]).toEqual(['none', true]);
    expect(filled(rig).slice(0, 2)).toEqual([0, 0]);
  });
});

describe('INFO of LBR_FMT 7', () => {
  /** Vectors of a read and a write of the first and the last INFO register. */
  function faults(rig: Rig): number[] {
    const { kvm, vcpus } = rig.m;
    return [INFO, INFO + 31].flatMap((msr) => [
      rig.rdmsr(0, msr)[2],
      kvm.guestWrmsr(vcpus[0], msr, 0, 0),
    ]);
  }

  // Linux 6.1: x86_perf_get_lbr() gives INFO for LBR_FORMAT_INFO only.
  it('merged of 6.1 refuses INFO of format 7, whether the rest passes through or not', () => {
    const rig = new Rig(merged, { cpu: 'goldmont-plus' });
    expect([faults(rig), rig.event]).toEqual([[13, 13, 13, 13], 'none']);
    rig.set(0, FROM + 31, 77);
    expect([rig.event, rig.get(0, FROM + 31), rig.intercepted()]).toEqual(['active', 77, false]);
    expect([faults(rig), rig.work()]).toEqual([
      [13, 13, 13, 13],
      ['perf writes', 'v0 writes one'],
    ]);
  });

  it('a KVM that knows INFO of format 7 passes it through like the others', () => {
    const policy = { ...merged, ...lbrMsrHooks({ infoOfFormat5Only: false }) };
    const rig = new Rig(policy, { cpu: 'goldmont-plus' });
    rig.set(0, INFO, 5);
    expect([rig.event, rig.get(0, INFO), rig.intercepted()]).toEqual(['active', 5, false]);
    expect(faults(rig)).toEqual([0, 0, 0, 0]);
  });

  it.each(['skylake', 'icelake', 'tigerlake'])('merged never refuses INFO on %s', (cpu) => {
    const rig = new Rig(merged, { cpu });
    rig.set(0, INFO + 31, 5);
    expect([rig.get(0, INFO + 31), rig.intercepted()]).toEqual([5, false]);
    expect(faults(rig)).toEqual([0, 0, 0, 0]);
  });
});

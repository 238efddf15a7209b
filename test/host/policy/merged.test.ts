/** The policy merged in 5.12: a guest LBR event on the host's perf, which is released lazily. */
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { merged } from '../../../src/host/policy/merged.js';
import type { HostPerf, PolicyHost } from '../../../src/host/policy/policy.js';
import { KERNEL_VERSIONS, type KernelVersion } from '../../../src/guest/perf/kernel.js';
import { lazySound } from '../../../src/host/policy/lazy_sound.js';
import { v10 } from '../../../src/host/policy/v10.js';
import { knownFailure, notApplicable } from '../../../src/judge/declared.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import { cpuModel } from '../../rig/cpu.js';
import { DEBUGCTL, FROM, GP, LBR, ON, PINNED, Rig, SELECT, TOS } from '../../rig/machine.js';

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
      setCounterEvent: () => void calls.push('counter event'),
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
    const rig = new Rig(merged, { cpu: 'goldmont-plus', kernel: '6.12' });
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

describe('versions of KVM', () => {
  /** Bit 10 of LBR_SELECT is reserved. */
  const BAD = 1 << 10;

  function badWrite(kernel: KernelVersion): { vector: number; work: string[]; event: string } {
    const rig = new Rig(merged, { kernel });
    const vector = rig.m.kvm.guestWrmsr(rig.m.vcpus[0], SELECT, BAD, 0);
    return { vector, work: rig.work(), event: rig.event };
  }

  it.each(['6.1', '4.18', '6.12'] as const)(
    'in %s a trapped write that faults is the fault of the host',
    (kernel) => {
      const work = ['perf writes', 'v0 writes one', 'host fault'];
      expect(badWrite(kernel)).toEqual({ vector: 0, work, event: 'active' });
    },
  );

  it('in 7.3 a trapped write that faults is the fault of the guest', () => {
    const work = ['perf writes', 'v0 writes one'];
    expect(badWrite('7.3')).toEqual({ vector: GP, work, event: 'active' });
  });

  it.each([
    ['6.1', 0, 'none'],
    ['4.18', 0, 'none'],
    ['6.12', LBR, 'active'],
    ['7.3', LBR, 'active'],
  ] as const)(
    'in %s DEBUGCTL arrives in a live migration as %i, with %s event, and the stack never',
    (kernel, debugctl, event) => {
      const rig = new Rig(merged, { kernel });
      rig.set(0, DEBUGCTL, LBR);
      fill(rig);
      rig.m.switchTo(0, -1);
      rig.m.liveMigrate(0);
      expect(rig.m.vcpus[0].vmcs.guestDebugctl).toBe(debugctl);
      rig.m.switchTo(0, 0);
      expect([rig.event, rig.get(0, DEBUGCTL)]).toEqual([event, debugctl]);
      expect([FROM + 1, FROM, SELECT].map((msr) => rig.get(0, msr))).toEqual([0, 0, 0]);
    },
  );

  it('a vCPU that arrives in 7.3 with LBR off has no event yet', () => {
    const rig = new Rig(merged, { kernel: '7.3' });
    rig.set(0, DEBUGCTL, LBR);
    rig.set(0, DEBUGCTL, 0);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.get(0, DEBUGCTL)]).toEqual(['none', 0]);
  });

  it.each(['6.12', '7.3'] as const)('%s gives no LBR without call-stack mode', (kernel) => {
    const rig = new Rig(merged, { kernel, cpu: 'sandybridge' });
    const { kvm, vcpus } = rig.m;
    const [vcpu] = vcpus;
    expect(rig.rdmsr(0, FROM)[2]).toBe(GP);
    expect(kvm.guestWrmsr(vcpu, TOS, 0, 0)).toBe(GP);
    expect(kvm.guestWrmsr(vcpu, DEBUGCTL, LBR, 0)).toBe(0);
    expect([rig.get(0, DEBUGCTL), rig.event]).toEqual([0, 'none']);
    expect(kvm.guestWrmsr(vcpu, DEBUGCTL, msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI, 0)).toBe(GP);
    expect(rig.get(0, msrs.MSR_IA32_PERF_CAPABILITIES)).toBe(0);
    const why = merged.noGuestLbr?.why;
    const silent = PROPERTY_NAMES.map((name) =>
      notApplicable(merged, name, rig.m.config.model, kernel),
    );
    expect(new Set(silent)).toEqual(new Set([why]));
  });

  it('6.1 takes LBR_SELECT for an LBR MSR where there is none, and lazy-sound does not', () => {
    const rig = new Rig(merged, { kernel: '6.1', cpu: 'core2' });
    expect(rig.rdmsr(0, SELECT)).toEqual([0, 0, 0]);
    expect(rig.m.kvm.guestWrmsr(rig.m.vcpus[0], SELECT, 1, 0)).toBe(0);
    expect(rig.rdmsr(0, SELECT)).toEqual([0, 0, 0]);
    const other = new Rig(lazySound, { kernel: '6.1', cpu: 'core2' });
    expect(other.rdmsr(0, SELECT)[2]).toBe(GP);
  });

  it.each([
    ['sandybridge', '6.1'],
    ['haswell', '7.3'],
  ] as const)('a guest on %s has LBR in %s', (cpu, kernel) => {
    const rig = new Rig(merged, { kernel, cpu });
    rig.set(0, DEBUGCTL, LBR);
    expect([rig.event === 'none', rig.get(0, DEBUGCTL)]).toEqual([cpu === 'sandybridge', LBR]);
    expect(rig.get(0, msrs.MSR_IA32_PERF_CAPABILITIES)).toBe(rig.m.config.model.lbr_format);
    expect(notApplicable(merged, 'no-fault', rig.m.config.model, kernel)).toBe(null);
  });

  it('v10 is of its time under every kernel', () => {
    const rig = new Rig(v10, { kernel: '7.3', cpu: 'goldmont-plus' });
    expect(rig.rdmsr(0, INFO)[2]).toBe(GP);
    const old = new Rig(v10, { kernel: '7.3', cpu: 'sandybridge' });
    expect(old.rdmsr(0, FROM)[2]).toBe(0);
    for (const kernel of ['6.1', '7.3'] as const) {
      expect(knownFailure(v10, 'no-fault', rig.m.config.model, kernel)).not.toBe(null);
    }
  });

  it('merged is known to make the host fault up to 6.12', () => {
    const broken = KERNEL_VERSIONS.filter(
      (kernel) => knownFailure(merged, 'no-fault', cpuModel('skylake'), kernel) !== null,
    );
    expect(broken).toEqual(['6.1', '6.12', '4.18']);
  });
});

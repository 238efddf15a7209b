/** The policy merged in 5.12: a guest LBR event on the host's perf, released lazily. */
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import { findCpuModel } from '../../../src/hw/cpu_models.js';
import * as msrs from '../../../src/hw/msr_index.js';
import type { Observer } from '../../../src/host/observer.js';
import { merged } from '../../../src/host/policy/merged.js';
import type { HostPerf, PolicyHost } from '../../../src/host/policy/policy.js';
import { Machine } from '../../../src/machine/machine.js';

/** The host's `perf record -b -a` pinned to a CPU, as an action names it. */
const HOST_EVENT_PINNED = 0;

const { MSR_LBR_NHM_FROM: FROM, MSR_LBR_TOS: TOS, MSR_LBR_SELECT: SELECT } = msrs;
const DEBUGCTL = msrs.MSR_IA32_DEBUGCTLMSR;
const LBR = msrs.DEBUGCTLMSR_LBR;

type EventState = ReturnType<HostPerf['guest_lbr_event']>;

/** Two VMs of one vCPU each, on one pCPU. */
class Rig {
  readonly m: Machine;
  private readonly log: string[] = [];

  constructor(cpu = 'haswell') {
    const observer = new Proxy({} as Observer, {
      get:
        (_target, name) =>
        (...args: number[]) => {
          const verb = args[3] ? 'writes' : 'reads';
          if (name === 'hostAccess' && args[1] >= 0) this.log.push(`v${args[1]} ${verb} one`);
          if (name === 'hostAccess' && args[1] < 0 && this.log.at(-1) !== `perf ${verb}`) {
            this.log.push(`perf ${verb}`);
          }
          if (name === 'hostStack') this.log.push('whole stack');
          if (name === 'hostFault') this.log.push('host fault');
        },
    });
    const model = findCpuModel(cpu);
    if (model === undefined) throw new Error(`no ${cpu}`);
    const shape = { vms: 2, vcpus: 1, tasks: 1, pcpus: 1 };
    this.m = new Machine({ model, kernel: '6.1', policy: merged, ...shape }, observer);
    this.m.boot();
  }

  read(vcpu: number, msr: number): number {
    const eax = this.m.kvm.guestRdmsr(this.m.vcpus[vcpu], msr);
    expect(this.m.kvm.vector).toBe(0);
    return eax;
  }

  write(vcpu: number, msr: number, eax: number, edx = 0): void {
    expect(this.m.kvm.guestWrmsr(this.m.vcpus[vcpu], msr, eax, edx)).toBe(0);
  }

  /** Records of v0 that can be told from zeros. */
  fill(): void {
    this.write(0, FROM + 1, 77);
    this.write(0, FROM, 76);
    this.write(0, TOS, 1);
    this.write(0, SELECT, 5);
  }

  filled(): number[] {
    return [FROM + 1, FROM, TOS, SELECT].map((msr) => this.read(0, msr));
  }

  /** The next slice of v0, after one of v1 in which nothing happens. */
  nextSlice(): void {
    this.m.switchTo(0, 1);
    this.m.switchTo(0, 0);
  }

  /** What the host did to LBR MSRs since the last call; accesses of its perf are told as one. */
  readonly work = (): string[] => this.log.splice(0);

  get event(): EventState {
    return this.m.host.guest_lbr_event(this.m.vcpus[0]);
  }

  get intercepted(): boolean {
    return this.m.vcpus[0].vmcs.interceptsRead(TOS);
  }
}

describe('the first access', () => {
  it('always creates the event, reads what perf has reset, passes through next', () => {
    const rig = new Rig();
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect([rig.event, rig.intercepted, merged.inUse(rig.m.vcpus[0])]).toEqual([
      'none',
      true,
      false,
    ]);
    expect(rig.read(0, FROM + 1)).toBe(0);
    expect(rig.work()).toEqual(['perf writes', 'v0 reads one']);
    expect([rig.event, rig.intercepted]).toEqual(['active', true]);
    expect(rig.read(0, FROM + 1)).toBe(0);
    expect([rig.intercepted, rig.work()]).toEqual([false, []]);
    expect(merged.inUse(rig.m.vcpus[0])).toBe(true);
  });

  it('always writes through as well', () => {
    const rig = new Rig();
    rig.write(0, FROM + 1, 77, 3);
    expect(rig.work()).toEqual(['perf writes', 'v0 writes one']);
    expect([rig.m.pcpus[0].rdmsr(FROM + 1), rig.m.pcpus[0].edx]).toEqual([77, 3]);
    rig.m.kvm.exit(rig.m.vcpus[0]);
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    expect([merged.get_msr(rig.m.kvm, rig.m.vcpus[0], FROM + 1).edx]).toEqual([3]);
    expect(rig.event).toBe('active');
  });

  it('always makes the host fault by a value that the register refuses, never the guest', () => {
    const rig = new Rig();
    rig.write(0, SELECT, 0, 1);
    expect(rig.work()).toEqual(['perf writes', 'v0 writes one', 'host fault']);
  });
});

describe('set_debugctl', () => {
  it('always creates the event for LBR=1, once', () => {
    const rig = new Rig();
    rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    expect([rig.event, rig.work()]).toEqual(['none', []]);
    rig.write(0, DEBUGCTL, LBR);
    expect([rig.event, rig.work()]).toEqual(['active', ['perf writes']]);
    rig.write(0, DEBUGCTL, 0);
    rig.write(0, DEBUGCTL, LBR);
    expect([rig.event, rig.work()]).toEqual(['active', []]);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect([rig.intercepted, rig.read(0, TOS)]).toEqual([false, 2]);
  });

  it('never releases the event by itself', () => {
    const rig = new Rig();
    rig.write(0, DEBUGCTL, LBR);
    rig.write(0, DEBUGCTL, 0);
    rig.m.exitAndEnter(0);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    expect([rig.event, rig.intercepted]).toEqual(['active', false]);
  });
});

describe('cleanup', () => {
  it('always releases the event of a guest that has DEBUGCTL.LBR clear after a switch', () => {
    const rig = new Rig();
    rig.fill();
    expect(rig.filled()).toEqual([77, 76, 1, 5]);
    rig.m.switchTo(0, 1);
    expect(rig.event).toBe('inactive');
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.intercepted]).toEqual(['none', true]);
    expect(rig.filled().slice(0, 2)).toEqual([0, 0]);
    expect(rig.event).toBe('active');
  });

  it('never releases that of one that has it set, whose stack and LBR_SELECT perf keeps', () => {
    const rig = new Rig();
    rig.write(0, DEBUGCTL, LBR);
    rig.fill();
    rig.work();
    rig.m.switchTo(0, 1);
    expect(rig.work()).toEqual(['perf reads']);
    rig.write(1, DEBUGCTL, LBR);
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.intercepted]).toEqual(['active', false]);
    expect(rig.work()).toEqual(['perf writes', 'perf reads', 'perf writes']);
    expect(rig.filled()).toEqual([77, 76, 1, 5]);
  });

  it('never comes without a switch, and at most once for each', () => {
    const rig = new Rig();
    rig.write(0, DEBUGCTL, LBR);
    rig.nextSlice();
    rig.write(0, DEBUGCTL, 0);
    for (let i = 0; i < 3; i++) {
      rig.m.exitAndEnter(0);
      expect(rig.event).toBe('active');
    }
    rig.nextSlice();
    expect(rig.event).toBe('none');
  });

  it('never comes late to a guest whose event is newer than the switch', () => {
    const rig = new Rig();
    rig.nextSlice();
    rig.read(0, TOS);
    rig.m.exitAndEnter(0);
    expect(rig.event).toBe('active');
  });
});

describe('without ownership', () => {
  // A part without call-stack mode, where perf refuses the event.
  it('always reads 0 and drops writes, bad ones as well, and never passes through', () => {
    const rig = new Rig('nehalem');
    rig.m.pcpus[0].wrmsr(FROM + 1, 66, 0);
    expect(rig.read(0, FROM + 1)).toBe(0);
    rig.write(0, FROM + 1, 77);
    rig.write(0, SELECT, 0, 1);
    rig.write(0, DEBUGCTL, LBR);
    expect([rig.read(0, FROM + 1), rig.intercepted, rig.event]).toEqual([0, true, 'none']);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(66);
    expect(rig.work()).toEqual([]);
  });

  it('always does the same while the event exists but is not active', () => {
    const rig = new Rig();
    const calls: string[] = [];
    const perf: HostPerf = {
      create_guest_lbr_event: () => void calls.push('create'),
      release_guest_lbr_event: () => void calls.push('release'),
      guest_lbr_event: () => 'inactive',
      host_lbr_active: () => false,
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
    vcpu.vmcs.guest_debugctl = LBR;
    merged.set_debugctl(kvm, vcpu);
    expect(calls).toEqual([]);
    merged.vcpu_enter(kvm, vcpu);
    expect(calls).toEqual(['setPassthrough false']);
  });
});

describe('a host event', () => {
  it('never gets LBR while the guest event is active, but wipes its stack by coming', () => {
    const rig = new Rig();
    rig.write(0, DEBUGCTL, LBR);
    rig.fill();
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    expect([rig.m.host.host_lbr_active(0), rig.event]).toEqual([false, 'active']);
    expect(rig.filled().slice(0, 2)).toEqual([0, 0]);
    rig.m.switchTo(0, 1);
    expect(rig.m.host.host_lbr_active(0)).toBe(true);
  });
});

describe('reset', () => {
  it('always releases the event, as a live migration does, which carries nothing', () => {
    const rig = new Rig();
    rig.write(0, DEBUGCTL, LBR);
    rig.fill();
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    expect([rig.event, rig.m.vcpus[0].vmcs.guest_debugctl]).toEqual(['none', 0]);
    rig.m.switchTo(0, 0);
    expect([rig.event, rig.intercepted]).toEqual(['none', true]);
    expect(rig.filled().slice(0, 2)).toEqual([0, 0]);
  });
});

/** The policies that wait for a sign of use: lazy-literal, lazy-sound, pv-sound and parked. */
import { describe, expect, it } from 'vitest';
import { MSR_KVM_PV_LBR_CTRL } from '../../../src/guest/pv/kvm_para.js';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import type { CpuModel } from '../../../src/hw/cpu_models.js';
import * as msrs from '../../../src/hw/msr_index.js';
import type { Observer } from '../../../src/host/observer.js';
import { lazyLiteral } from '../../../src/host/policy/lazy_literal.js';
import { lazySound } from '../../../src/host/policy/lazy_sound.js';
import { parked } from '../../../src/host/policy/parked.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { pvSound } from '../../../src/host/policy/pv_sound.js';
import { Machine } from '../../../src/machine/machine.js';

/** The host's `perf record -b -a` pinned to a CPU, as an action names it. */
const HOST_EVENT_PINNED = 0;

const { MSR_LBR_NHM_FROM: FROM, MSR_LBR_TOS: TOS, MSR_LBR_SELECT: SELECT } = msrs;
const DEBUGCTL = msrs.MSR_IA32_DEBUGCTLMSR;

/** What the host does to all 34 LBR MSRs of haswell for v0. */
const RESTORED = 'v0 writes 34';
const SAVED = 'v0 reads 34';
/** Saved and then wiped, which is a write of all of them. */
const PARKED = [SAVED, RESTORED];

function haswell(): CpuModel {
  const found = CPU_MODELS.find((model) => model.name === 'haswell');
  if (found === undefined) throw new Error('no haswell');
  return found;
}

/** Two VMs of one vCPU each, on one pCPU. */
class Rig {
  readonly m: Machine;
  private readonly log: string[] = [];

  constructor(policy: LbrPolicy) {
    const observer = new Proxy({} as Observer, {
      get:
        (_target, name) =>
        (...args: number[]) => {
          const who = args[1] < 0 ? 'host' : `v${args[1]}`;
          const verb = args[3] ? 'writes' : 'reads';
          if (name === 'hostStack') this.log.push(`${who} ${verb} ${args[2]}`);
          if (name === 'hostAccess' && args[1] >= 0) this.log.push(`${who} ${verb} one`);
          if (name === 'hostFault') this.log.push('host fault');
        },
    });
    const shape = { vms: 2, vcpus: 1, tasks: 1, pcpus: 1 };
    this.m = new Machine({ model: haswell(), kernel: '6.1', policy, ...shape }, observer);
    this.m.boot();
  }

  read(vcpu: number, msr: number): number {
    const eax = this.m.kvm.guestRdmsr(this.m.vcpus[vcpu], msr);
    expect(this.m.kvm.vector).toBe(0);
    return eax;
  }

  write(vcpu: number, msr: number, eax: number): void {
    expect(this.m.kvm.guestWrmsr(this.m.vcpus[vcpu], msr, eax, 0)).toBe(0);
  }

  /** The next slice of v0, after one of v1 in which nothing happens. */
  nextSlice(): void {
    this.m.switchTo(0, 1);
    this.m.switchTo(0, 0);
  }

  /** What the host did to LBR MSRs since the last call, its own perf apart. */
  readonly work = (): string[] => this.log.splice(0);

  get intercepted(): boolean {
    const { vmcs, msr_passthrough } = this.m.vcpus[0];
    expect(vmcs.interceptsRead(TOS)).toBe(!msr_passthrough);
    return vmcs.interceptsWrite(TOS);
  }

  inUse(policy: LbrPolicy): boolean | null {
    return policy.inUse(this.m.vcpus[0]);
  }
}

describe('lazy-literal', () => {
  it('always intercepts at the beginning of a slice, and restores nothing (L1)', () => {
    const rig = new Rig(lazyLiteral);
    expect([rig.intercepted, rig.inUse(lazyLiteral), rig.work()]).toEqual([true, false, []]);
    rig.read(0, TOS);
    expect([rig.intercepted, rig.inUse(lazyLiteral)]).toEqual([false, true]);
    rig.nextSlice();
    expect([rig.intercepted, rig.inUse(lazyLiteral)]).toEqual([true, false]);
  });

  it('always restores on the first access, makes it, and passes through from then on (L2)', () => {
    for (const access of ['read', 'write'] as const) {
      const rig = new Rig(lazyLiteral);
      rig.m.vcpus[0].records.write(FROM + 2, 77, 0);
      rig.m.vcpus[0].records.write(SELECT, 9, 0);
      if (access === 'read') expect(rig.read(0, FROM + 2)).toBe(77);
      else rig.write(0, FROM + 2, 78);
      expect(rig.work()).toEqual([RESTORED, `v0 ${access}s one`]);
      expect(rig.read(0, FROM + 2)).toBe(access === 'read' ? 77 : 78);
      expect(rig.read(0, SELECT)).toBe(9);
      rig.write(0, TOS, 5);
      expect(rig.read(0, TOS)).toBe(5);
      expect(rig.work()).toEqual([]);
    }
  });

  it('always saves a slice with an access, and never one without (L3)', () => {
    const rig = new Rig(lazyLiteral);
    rig.write(0, FROM + 2, 77);
    rig.write(0, SELECT, 9);
    rig.work();
    rig.nextSlice();
    expect(rig.work()).toEqual([SAVED]);
    rig.nextSlice();
    expect(rig.work()).toEqual([]);
    expect([rig.read(0, FROM + 2), rig.read(0, SELECT)]).toEqual([77, 9]);
  });

  it('always covers up what was recorded before the first access', () => {
    const rig = new Rig(lazyLiteral);
    rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_LBR);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect(rig.m.pcpus[0].stack.tos).toBe(2);
    expect(rig.read(0, TOS)).toBe(0);
  });

  it('always hands a fault of the access on', () => {
    const rig = new Rig(lazyLiteral);
    expect(rig.m.kvm.guestWrmsr(rig.m.vcpus[0], SELECT, 0, 1)).toBe(13);
    expect(rig.work()).toEqual([RESTORED, 'v0 writes one']);
  });

  it('never keeps the stack over a live migration, and intercepts again', () => {
    const rig = new Rig(lazyLiteral);
    rig.write(0, FROM + 2, 77);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.m.switchTo(0, 0);
    expect([rig.intercepted, rig.read(0, FROM + 2)]).toEqual([true, 0]);
  });
});

const SOUND = [lazySound, pvSound, parked];

describe.each(SOUND)('$name', (policy) => {
  it('never works for a guest that does not use LBR', () => {
    const rig = new Rig(policy);
    rig.nextSlice();
    rig.m.exitAndEnter(0);
    rig.nextSlice();
    expect([rig.work(), rig.intercepted, rig.inUse(policy)]).toEqual([[], true, false]);
  });

  it('always answers a trapped access from the parked copy, and restores before the entry', () => {
    const rig = new Rig(policy);
    rig.m.vcpus[0].records.write(FROM + 2, 77, 3);
    rig.m.vcpus[0].records.write(TOS, 4, 0);
    rig.m.pcpus[0].wrmsr(FROM + 2, 66, 0);
    expect([rig.read(0, FROM + 2), rig.m.kvm.edx]).toEqual([77, 3]);
    expect([rig.intercepted, rig.work()]).toEqual([true, []]);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    expect([rig.intercepted, rig.work()]).toEqual([false, [RESTORED]]);
    expect([rig.read(0, FROM + 2), rig.m.kvm.edx, rig.read(0, TOS)]).toEqual([77, 3, 4]);
    rig.m.exitAndEnter(0);
    expect(rig.work()).toEqual([]);
  });

  it('always takes a trapped write into the parked copy, and a bad one nowhere', () => {
    const rig = new Rig(policy);
    const before = rig.m.vcpus[0].records.lbr_select;
    expect(rig.m.kvm.guestWrmsr(rig.m.vcpus[0], SELECT, 1, 1)).toBe(13);
    expect(rig.m.vcpus[0].records.lbr_select).toBe(before);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    expect([rig.intercepted, rig.work()]).toEqual([true, []]);
    expect(rig.m.kvm.guestWrmsr(rig.m.vcpus[0], FROM + 1, 77, 2)).toBe(0);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(0);
    expect([rig.read(0, FROM + 1), rig.m.kvm.edx]).toEqual([77, 2]);
    expect([rig.m.pcpus[0].rdmsr(FROM + 1), rig.m.pcpus[0].edx]).toEqual([77, 2]);
    expect(rig.work()).toEqual([RESTORED]);
  });

  it('always restores before an entry with DEBUGCTL.LBR set, without an access', () => {
    const rig = new Rig(policy);
    rig.m.vcpus[0].records.write(TOS, 4, 0);
    rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_LBR);
    expect(rig.work()).toEqual([]);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect([rig.work(), rig.intercepted]).toEqual([[RESTORED], false]);
    expect([rig.inUse(policy) || policy === pvSound, rig.read(0, TOS)]).toEqual([true, 6]);
    rig.nextSlice();
    expect(rig.work()).toEqual([...PARKED, RESTORED]);
    expect([rig.intercepted, rig.read(0, TOS)]).toEqual([false, 6]);
  });

  it('never restores for FREEZE_LBRS_ON_PMI alone', () => {
    const rig = new Rig(policy);
    rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    expect([rig.work(), rig.intercepted]).toEqual([[], true]);
  });

  it('always saves, wipes and intercepts at the end of a slice in which it was live', () => {
    const rig = new Rig(policy);
    rig.write(0, FROM + 2, 77);
    rig.read(0, FROM + 2);
    rig.write(0, SELECT, 9);
    rig.work();
    rig.m.switchTo(0, -1);
    expect([rig.work(), rig.intercepted]).toEqual([PARKED, true]);
    const { stack } = rig.m.pcpus[0];
    expect([stack.empty, stack.tos, stack.lbr_select]).toEqual([true, 0, 0]);
    expect(rig.m.vcpus[0].records.readLow(FROM + 2)).toBe(77);
    expect(rig.m.vcpus[0].records.lbr_select).toBe(9);
  });

  it('always carries the stack over a live migration, and intercepts again', () => {
    const rig = new Rig(policy);
    rig.write(0, FROM + 2, 77);
    rig.read(0, FROM + 2);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.work();
    rig.m.switchTo(0, 0);
    expect([rig.work(), rig.intercepted, rig.inUse(policy)]).toEqual([[], true, false]);
    expect(rig.read(0, FROM + 2)).toBe(77);
  });

  it('always parks before a host event comes, and borrows from it around each entry', () => {
    const rig = new Rig(policy);
    rig.write(0, FROM + 2, 77);
    rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_LBR);
    rig.read(0, FROM + 2);
    rig.work();
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    expect([rig.work(), rig.intercepted]).toEqual([PARKED, true]);
    rig.m.hostWork(0, 3);
    const host = [rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].debugctl];
    for (let i = 0; i < 2; i++) {
      expect(rig.read(0, FROM + 2)).toBe(77);
      expect([rig.work(), rig.m.lentOut(0)]).toEqual([['host reads 34', RESTORED], true]);
      rig.m.kvm.exit(rig.m.vcpus[0]);
      expect(rig.work()).toEqual([...PARKED, 'host writes 34']);
      expect([rig.m.lentOut(0), rig.intercepted]).toEqual([false, true]);
      expect([rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].debugctl]).toEqual(host);
    }
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 1);
    rig.work();
    expect([rig.read(0, FROM + 2), rig.work()]).toEqual([77, [RESTORED]]);
  });

  it('never parks anything when a host event comes to an idle pCPU, or goes', () => {
    const rig = new Rig(policy);
    rig.write(0, FROM + 2, 77);
    rig.read(0, FROM + 2);
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    rig.m.switchTo(0, -1);
    rig.work();
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 2);
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    expect(rig.work()).toEqual([]);
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 1);
    rig.m.switchTo(0, 0);
    rig.read(0, FROM + 2);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    rig.work();
    // The event is off already, so the stack stays live.
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 2);
    expect([rig.work(), rig.intercepted]).toEqual([[], false]);
  });
});

/** A vCPU whose stack is live, with nothing recorded: it was read, and DEBUGCTL.LBR is 0. */
function used(policy: LbrPolicy): Rig {
  const rig = new Rig(policy);
  rig.read(0, TOS);
  rig.m.kvm.enter(rig.m.vcpus[0]);
  rig.work();
  return rig;
}

describe('lazy-sound', () => {
  it('never restores in the next slice without a new sign of use', () => {
    const rig = used(lazySound);
    expect(rig.inUse(lazySound)).toBe(true);
    rig.nextSlice();
    expect([rig.work(), rig.inUse(lazySound)]).toEqual([PARKED, false]);
    rig.nextSlice();
    expect(rig.work()).toEqual([]);
    rig.read(0, TOS);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    expect(rig.work()).toEqual([RESTORED]);
  });
});

describe('pv-sound', () => {
  it('always restores eagerly while ACTIVE is set', () => {
    const rig = new Rig(pvSound);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 1);
    expect([rig.inUse(pvSound), rig.work()]).toEqual([true, []]);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    expect([rig.work(), rig.intercepted]).toEqual([[RESTORED], false]);
    rig.nextSlice();
    expect([rig.work(), rig.intercepted]).toEqual([[...PARKED, RESTORED], false]);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 0);
    expect(rig.inUse(pvSound)).toBe(false);
    rig.nextSlice();
    expect([rig.work(), rig.intercepted]).toEqual([PARKED, true]);
    rig.nextSlice();
    expect(rig.work()).toEqual([]);
  });

  it('never restores in the next slice without ACTIVE or a new sign of use', () => {
    const rig = used(pvSound);
    rig.nextSlice();
    expect(rig.work()).toEqual(PARKED);
    rig.nextSlice();
    expect(rig.work()).toEqual([]);
  });

  it('always carries ACTIVE over a live migration', () => {
    const rig = new Rig(pvSound);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.work();
    rig.m.switchTo(0, 0);
    expect([rig.work(), rig.inUse(pvSound)]).toEqual([[RESTORED], true]);
  });
});

describe('parked', () => {
  it('always is eager for one slice after a sign of use, and then waits for the next', () => {
    const rig = used(parked);
    expect(rig.inUse(parked)).toBe(true);
    rig.nextSlice();
    expect([rig.work(), rig.intercepted]).toEqual([[...PARKED, RESTORED], false]);
    expect(rig.inUse(parked)).toBe(true);
    rig.nextSlice();
    expect([rig.work(), rig.intercepted, rig.inUse(parked)]).toEqual([PARKED, true, false]);
    rig.nextSlice();
    expect(rig.work()).toEqual([]);
  });

  it('always takes DEBUGCTL.LBR at an entry for a sign of use', () => {
    const rig = new Rig(parked);
    rig.write(0, DEBUGCTL, msrs.DEBUGCTLMSR_LBR);
    rig.m.kvm.enter(rig.m.vcpus[0]);
    rig.write(0, DEBUGCTL, 0);
    rig.work();
    rig.nextSlice();
    expect([rig.work(), rig.inUse(parked)]).toEqual([[...PARKED, RESTORED], true]);
  });

  it('never takes a trapped access that no entry followed for one', () => {
    const rig = new Rig(parked);
    rig.read(0, TOS);
    rig.nextSlice();
    expect([rig.work(), rig.inUse(parked)]).toEqual([[], false]);
  });
});

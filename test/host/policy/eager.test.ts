/** The policies that never look for a sign of use: never, always, and PV as posted in 2018. */
import { describe, expect, it } from 'vitest';
import { MSR_KVM_PV_LBR_CTRL } from '../../../src/guest/pv/kvm_para.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import type { CpuModel } from '../../../src/hw/cpu_models.js';
import * as msrs from '../../../src/hw/msr_index.js';
import type { Observer } from '../../../src/host/observer.js';
import { always } from '../../../src/host/policy/always.js';
import { never } from '../../../src/host/policy/never.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { pvV2 } from '../../../src/host/policy/pv_v2.js';
import { Machine } from '../../../src/machine/machine.js';

/** The host's `perf record -b -a` pinned to a CPU, as an action names it. */
const HOST_EVENT_PINNED = 0;

const { MSR_LBR_NHM_FROM: FROM, MSR_LBR_TOS: TOS, MSR_LBR_SELECT: SELECT } = msrs;

/** FROM, TO and TOS of haswell; LBR_SELECT is one more. */
const RECORDS = 33;
const ALL = 34;

function haswell(): CpuModel {
  const found = CPU_MODELS.find((model) => model.name === 'haswell');
  if (found === undefined) throw new Error('no haswell');
  return found;
}

/** Two VMs of one vCPU each. */
class Rig {
  readonly m: Machine;
  private readonly log: string[] = [];

  constructor(policy: LbrPolicy, pcpus = 1) {
    const observer = new Proxy({} as Observer, {
      get:
        (_target, name) =>
        (...args: number[]) => {
          if (name === 'hostStack') this.hostStack(args[0], args[1], args[2], Boolean(args[3]));
          if (name === 'hostAccess' && args[1] >= 0) this.log.push(`v${args[1]} accesses one`);
          if (name === 'hostFault') this.log.push('host fault');
        },
    });
    const shape = { vms: 2, vcpus: 1, tasks: 1, pcpus };
    this.m = new Machine({ model: haswell(), kernel: '6.1', policy, ...shape }, observer);
    this.m.boot();
  }

  private hostStack(pcpu: number, onBehalf: number, accesses: number, write: boolean): void {
    const who = onBehalf < 0 ? 'host' : `v${onBehalf}`;
    this.log.push(`p${pcpu}: ${who} ${write ? 'writes' : 'reads'} ${accesses}`);
  }

  read(vcpu: number, msr: number): number {
    const eax = this.m.kvm.guestRdmsr(this.m.vcpus[vcpu], msr);
    expect(this.m.kvm.vector).toBe(0);
    return eax;
  }

  write(vcpu: number, msr: number, eax: number): void {
    expect(this.m.kvm.guestWrmsr(this.m.vcpus[vcpu], msr, eax, 0)).toBe(0);
  }

  /** What the host did to LBR MSRs since the last call, its own perf apart. */
  readonly work = (): string[] => this.log.splice(0);

  /** Whether an access of the vCPU exits. */
  intercepted(vcpu: number): boolean {
    const { vmcs, msr_passthrough } = this.m.vcpus[vcpu];
    expect(vmcs.interceptsRead(TOS)).toBe(!msr_passthrough);
    return vmcs.interceptsWrite(TOS);
  }
}

describe('never', () => {
  it('always leaves to the next vCPU, and to the host, what is in the registers', () => {
    const rig = new Rig(never);
    expect([rig.intercepted(0), rig.intercepted(1)]).toEqual([false, false]);
    rig.write(0, FROM + 1, 77);
    rig.write(0, TOS, 1);
    rig.m.switchTo(0, 1);
    expect([rig.read(1, FROM + 1), rig.read(1, TOS)]).toEqual([77, 1]);
    rig.write(1, FROM + 1, 78);
    rig.m.switchTo(0, -1);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(78);
    rig.m.switchTo(0, 0);
    expect(rig.read(0, FROM + 1)).toBe(78);
    expect(rig.work()).toEqual([]);
  });

  it('never keeps anything over a live migration, and passes through again', () => {
    const rig = new Rig(never);
    rig.write(0, msrs.MSR_IA32_DEBUGCTLMSR, 1);
    rig.m.switchTo(0, -1);
    rig.m.vcpus[0].records.write(TOS, 3, 0);
    rig.m.liveMigrate(0);
    expect([rig.m.vcpus[0].records.tos, rig.m.vcpus[0].vmcs.guest_debugctl]).toEqual([0, 0]);
    expect(rig.intercepted(0)).toBe(false);
  });

  it('never believes anything', () => {
    expect(never.inUse(new Rig(never).m.vcpus[0])).toBe(null);
  });
});

describe('always', () => {
  it('always restores before the first entry, and saves and scrubs at the end of a slice', () => {
    const rig = new Rig(always);
    expect(rig.work()).toEqual([`p0: v0 writes ${ALL}`]);
    expect(rig.intercepted(0)).toBe(false);
    rig.write(0, FROM + 1, 77);
    rig.write(0, TOS, 1);
    rig.write(0, SELECT, 5);
    rig.m.switchTo(0, -1);
    expect(rig.work()).toEqual([`p0: v0 reads ${ALL}`, `p0: v0 writes ${ALL}`]);
    const { stack } = rig.m.pcpus[0];
    expect([stack.empty, stack.tos, stack.lbr_select]).toEqual([true, 0, 0]);
    expect(rig.intercepted(0)).toBe(true);
    rig.m.switchTo(0, 1);
    expect(rig.work()).toEqual([`p0: v1 writes ${ALL}`]);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.read(1, msr))).toEqual([0, 0, 0]);
    rig.write(1, FROM + 1, 78);
    rig.m.switchTo(0, 0);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.read(0, msr))).toEqual([77, 1, 5]);
    rig.m.switchTo(0, 1);
    expect(rig.read(1, FROM + 1)).toBe(78);
  });

  it('never works at an exit and re-entry while no host event counts', () => {
    const rig = new Rig(always);
    rig.work();
    rig.m.exitAndEnter(0);
    rig.read(0, TOS);
    expect(rig.work()).toEqual([]);
  });

  it('always follows the vCPU to another pCPU', () => {
    const rig = new Rig(always, 2);
    rig.write(0, FROM + 1, 77);
    rig.m.switchTo(0, -1);
    rig.m.switchTo(1, -1);
    rig.work();
    rig.m.switchTo(1, 0);
    expect(rig.work()).toEqual([`p1: v0 writes ${ALL}`]);
    expect(rig.read(0, FROM + 1)).toBe(77);
  });

  it('always parks before a host event comes, and borrows from it around each entry', () => {
    const rig = new Rig(always);
    rig.write(0, FROM + 1, 77);
    rig.work();
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    expect(rig.work()).toEqual([`p0: v0 reads ${ALL}`, `p0: v0 writes ${ALL}`]);
    expect(rig.intercepted(0)).toBe(true);
    const host = rig.m.pcpus[0].debugctl;
    expect(host & msrs.DEBUGCTLMSR_LBR).toBe(msrs.DEBUGCTLMSR_LBR);
    rig.m.hostWork(0, 3);
    const own = rig.m.pcpus[0].stack.tos;
    for (let i = 0; i < 2; i++) {
      expect(rig.read(0, FROM + 1)).toBe(77);
      expect(rig.intercepted(0)).toBe(false);
      expect(rig.work()).toEqual([`p0: host reads ${ALL}`, `p0: v0 writes ${ALL}`]);
      rig.m.kvm.exit(rig.m.vcpus[0]);
      const parked = [`p0: v0 reads ${ALL}`, `p0: v0 writes ${ALL}`];
      expect(rig.work()).toEqual([...parked, `p0: host writes ${ALL}`]);
      expect([rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].debugctl]).toEqual([own, host]);
      expect(rig.intercepted(0)).toBe(true);
    }
  });

  it('never borrows any more once the host event has gone', () => {
    const rig = new Rig(always);
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    rig.read(0, TOS);
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 2);
    rig.work();
    rig.read(0, TOS);
    rig.m.exitAndEnter(0);
    expect(rig.work()).toEqual([`p0: v0 writes ${ALL}`]);
    expect(rig.m.lentOut(0)).toBe(false);
  });

  it('always carries the stack over a live migration', () => {
    const rig = new Rig(always);
    rig.write(0, FROM + 1, 77);
    rig.write(0, msrs.MSR_IA32_DEBUGCTLMSR, 1);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.m.switchTo(0, 0);
    expect([rig.read(0, FROM + 1), rig.read(0, msrs.MSR_IA32_DEBUGCTLMSR)]).toEqual([77, 1]);
    expect(always.inUse(rig.m.vcpus[0])).toBe(null);
  });
});

describe('pv-v2', () => {
  it('never does anything while ACTIVE is 0', () => {
    const rig = new Rig(pvV2);
    expect(pvV2.inUse(rig.m.vcpus[0])).toBe(false);
    rig.write(0, FROM + 1, 77);
    rig.m.switchTo(0, 1);
    expect(rig.read(1, FROM + 1)).toBe(77);
    expect(rig.work()).toEqual([]);
    expect([rig.intercepted(0), rig.intercepted(1)]).toEqual([false, false]);
  });

  it('always saves and restores all but LBR_SELECT while it is 1, and never scrubs', () => {
    const rig = new Rig(pvV2);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 1);
    expect(pvV2.inUse(rig.m.vcpus[0])).toBe(true);
    rig.write(0, FROM + 1, 77);
    rig.write(0, TOS, 1);
    rig.write(0, SELECT, 5);
    expect(rig.work()).toEqual([]);
    rig.m.switchTo(0, 1);
    expect(rig.work()).toEqual([`p0: v0 reads ${RECORDS}`]);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.read(1, msr))).toEqual([77, 1, 5]);
    rig.write(1, FROM + 1, 78);
    rig.write(1, TOS, 2);
    rig.write(1, SELECT, 6);
    rig.m.switchTo(0, 0);
    expect(rig.work()).toEqual([`p0: v0 writes ${RECORDS}`]);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.read(0, msr))).toEqual([77, 1, 6]);
    expect(rig.intercepted(0)).toBe(false);
  });

  it('never saves after ACTIVE was cleared', () => {
    const rig = new Rig(pvV2);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 0);
    rig.m.switchTo(0, 1);
    rig.m.switchTo(0, 0);
    expect(rig.work()).toEqual([]);
  });

  it('never carries ACTIVE over a live migration', () => {
    const rig = new Rig(pvV2);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    expect([rig.m.vcpus[0].pv_lbr_ctrl, rig.intercepted(0)]).toEqual([0, false]);
  });

  it('always goes on under a host event, which is what makes it unsound', () => {
    const rig = new Rig(pvV2);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.hostEvent(0, HOST_EVENT_PINNED, 0);
    rig.m.switchTo(0, 1);
    rig.m.switchTo(0, 0);
    expect(rig.work()).toEqual([`p0: v0 reads ${RECORDS}`, `p0: v0 writes ${RECORDS}`]);
  });
});

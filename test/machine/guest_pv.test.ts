/** Where a guest's driver sets and clears ACTIVE: each site, in the order of its MSR accesses. */
import { describe, expect, it } from 'vitest';
import {
  KVM_FEATURE_PV_LBR_CTRL,
  KVM_PV_LBR_CTRL_ACTIVE,
  MSR_KVM_PV_LBR_CTRL,
  PV_SITES,
} from '../../src/guest/pv/kvm_para.js';
import type { PvSite } from '../../src/guest/pv/kvm_para.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import { KIND_NONE, lbrMap } from '../../src/hw/lbr_map.js';
import { DEBUGCTLMSR_LBR, MSR_IA32_DEBUGCTLMSR } from '../../src/hw/msr_index.js';
import type { Observer } from '../../src/host/observer.js';
import { never } from '../../src/host/policy/never.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { Machine } from '../../src/machine/machine.js';

const CALLSTACK_USER = BRANCH_TYPES[0];
const CALLSTACK_BOTH = CALLSTACK_USER | perf.PERF_SAMPLE_BRANCH_KERNEL;
const ANY_USER = BRANCH_TYPES[1];

/** One VM of one vCPU whose driver has the given site. */
class Rig {
  readonly m: Machine;
  private readonly log: string[] = [];

  constructor(pv: PvSite) {
    const model = findCpuModel('haswell');
    if (model === undefined) throw new Error('no haswell');
    const map = lbrMap(model);
    const observer = new Proxy({} as Observer, {
      get: (_target, name) => (_vcpu: number, msr: number, eax: number) => {
        if (name === 'guestFault') this.log.push('fault');
        if (name === 'guestWrite' && msr === MSR_KVM_PV_LBR_CTRL) this.log.push(`ACTIVE=${eax}`);
        if (name === 'guestWrite' && msr === MSR_IA32_DEBUGCTLMSR) {
          this.log.push(`LBR=${eax & DEBUGCTLMSR_LBR}`);
        }
        const isLbr = name === 'guestRead' || name === 'guestWrite';
        if (isLbr && map.kind(msr) !== KIND_NONE && this.log.at(-1) !== 'lbr') this.log.push('lbr');
      },
    });
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    this.m = new Machine({ ...shape, model, kernel: '6.1', policy: { ...never, pv } }, observer);
    this.m.boot();
  }

  open(task: number, type = CALLSTACK_USER, attr = 0): void {
    expect(this.m.open(0, task, attr, type)).toBe(0);
  }

  /** What the guest did to LBR MSRs (told as one), DEBUGCTL and ACTIVE since the last call. */
  readonly did = (): string[] => this.log.splice(0);

  /** What it did to ACTIVE alone. */
  active(): string[] {
    return this.did().filter((line) => line.startsWith('ACTIVE') || line === 'fault');
  }
}

describe('the ABI', () => {
  it('always is what a host and a guest were built with', () => {
    expect(MSR_KVM_PV_LBR_CTRL).toBe(1263947262);
    expect([KVM_PV_LBR_CTRL_ACTIVE, KVM_FEATURE_PV_LBR_CTRL]).toEqual([1, 30]);
    expect(PV_SITES).toEqual(['none', 'add-del', 'add-del-boot', 'enable-disable', 'sticky']);
  });
});

describe('a guest without the feature', () => {
  it('never touches the MSR', () => {
    const rig = new Rig('none');
    rig.open(0);
    rig.m.pmi(0, 0, 0);
    rig.m.switchTask(0, 1);
    rig.m.switchTask(0, 0);
    rig.m.close(0, 0);
    rig.m.kexec(0);
    expect(rig.active()).toEqual([]);
  });
});

describe.each(['add-del', 'add-del-boot'] as const)('%s', (site) => {
  it('always sets ACTIVE before the first LBR access, and clears it after the last', () => {
    const rig = new Rig(site);
    rig.open(0);
    expect(rig.did()).toEqual(['ACTIVE=1', 'lbr', 'LBR=1']);
    rig.m.close(0, 0);
    expect(rig.did()).toEqual(['LBR=0', 'ACTIVE=0']);
  });

  it('always follows the task that has the event', () => {
    const rig = new Rig(site);
    rig.open(0);
    rig.did();
    rig.m.switchTask(0, 1);
    expect(rig.did()).toEqual(['LBR=0', 'lbr', 'ACTIVE=0']);
    rig.m.switchTask(0, 0);
    expect(rig.did()).toEqual(['ACTIVE=1', 'lbr', 'LBR=1']);
  });

  it('always counts its users: only the first sets it, only the last clears it', () => {
    const rig = new Rig(site);
    rig.open(0);
    rig.open(-1, CALLSTACK_BOTH);
    rig.open(0);
    rig.m.disable(0, 0);
    expect(rig.m.cpu(0).cpuc.pv_lbr_users).toBeGreaterThan(0);
    rig.active();
    rig.m.close(0, 2);
    rig.m.close(0, 1);
    expect(rig.active().at(-1)).toBe('ACTIVE=0');
    expect([rig.m.vcpus[0].pv_lbr_ctrl, rig.m.cpu(0).cpuc.pv_lbr_users]).toEqual([0, 0]);
  });

  it('never sets it for other modes, nor in a PMI', () => {
    const rig = new Rig(site);
    rig.open(0, ANY_USER);
    rig.m.disable(0, 0);
    rig.m.close(0, 0);
    expect(rig.active()).toEqual([]);
    rig.open(0);
    rig.did();
    rig.m.pmi(0, 0, 0);
    expect(rig.active()).toEqual([]);
  });

  it('always leaves it to a kernel that takes over, which clears it only if it knows', () => {
    const rig = new Rig(site);
    rig.open(0);
    rig.did();
    rig.m.kexec(0);
    expect(rig.active()).toEqual(site === 'add-del-boot' ? ['ACTIVE=0'] : []);
    expect(rig.m.vcpus[0].pv_lbr_ctrl).toBe(site === 'add-del-boot' ? 0 : 1);
  });
});

describe('enable-disable', () => {
  it('always goes with DEBUGCTL.LBR: set before it, cleared after it, but not in a PMI', () => {
    const rig = new Rig('enable-disable');
    rig.open(0);
    expect(rig.did()).toEqual(['lbr', 'ACTIVE=1', 'lbr', 'LBR=1']);
    rig.m.pmi(0, 0, 0);
    expect(rig.active()).toEqual([]);
    rig.m.switchTask(0, 1);
    const out = rig.did();
    expect(out.slice(0, 3)).toEqual(['LBR=0', 'ACTIVE=0', 'lbr']);
    expect(out).not.toContain('ACTIVE=1');
    rig.m.switchTask(0, 0);
    expect(rig.active()).toEqual(['ACTIVE=1']);
  });

  it('never touches it for other modes, nor at the start of a CPU', () => {
    const rig = new Rig('enable-disable');
    rig.open(0, ANY_USER);
    rig.m.close(0, 0);
    rig.m.kexec(0);
    expect(rig.active()).toEqual([]);
  });
});

describe('sticky', () => {
  it('always sets ACTIVE as add-del, and clears it at a close that leaves no user', () => {
    const rig = new Rig('sticky');
    rig.open(0);
    rig.open(-1);
    expect(rig.active()[0]).toBe('ACTIVE=1');
    rig.m.switchTask(0, 1);
    rig.m.switchTask(0, 0);
    rig.m.disable(0, 1);
    rig.m.enable(0, 1);
    expect(rig.active()).not.toContain('ACTIVE=0');
    rig.m.close(0, 0);
    expect(rig.active()).not.toContain('ACTIVE=0');
    rig.m.close(0, 1);
    expect(rig.active()).toEqual(['ACTIVE=0']);
  });

  it('never clears it at the close of another mode, nor at the start of a CPU', () => {
    const rig = new Rig('sticky');
    rig.open(0);
    rig.m.disable(0, 0);
    rig.open(0, ANY_USER);
    rig.did();
    rig.m.close(0, 1);
    rig.m.kexec(0);
    expect(rig.active()).toEqual([]);
    expect(rig.m.vcpus[0].pv_lbr_ctrl).toBe(1);
  });
});

/** KVM's run loop: VM entry and exit, the virtual PMI, switches of threads, migration. */
import { describe, expect, it } from 'vitest';
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import { ModelInvariantError } from '../../src/hw/assert.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { Vcpu } from '../../src/host/vcpu.js';
import { HOST_EVENT_TASK } from '../../src/machine/host_perf.js';
import { DEBUGCTL, HookedRig, LBR } from '../rig/machine.js';

const BTF = msrs.DEBUGCTLMSR_BTF;
const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;

type HookedVcpu = Vcpu<'a' | 'b'>;

describe('setPassthrough', () => {
  it('setPassthrough moves bitmap and flag together, and skips the walk if nothing changes', () => {
    const { m } = new HookedRig();
    const [vcpu] = m.vcpus;
    expect([vcpu.msr_passthrough, vcpu.vmcs.interceptsRead(msrs.MSR_LBR_TOS)]).toEqual([
      false,
      true,
    ]);
    m.kvm.setPassthrough(vcpu, true);
    expect(vcpu.msr_passthrough).toBe(true);
    expect(vcpu.vmcs.interceptsRead(msrs.MSR_LBR_TOS)).toBe(false);
    vcpu.vmcs.setIntercept(msrs.MSR_LBR_TOS, true);
    m.kvm.setPassthrough(vcpu, true);
    expect(vcpu.vmcs.interceptsRead(msrs.MSR_LBR_TOS)).toBe(true);
    m.kvm.setPassthrough(vcpu, false);
    expect([vcpu.msr_passthrough, vcpu.vmcs.interceptsWrite(msrs.MSR_LBR_SELECT)]).toEqual([
      false,
      true,
    ]);
  });
});

describe('enter and exit', () => {
  it('enter and exit always swap the DEBUGCTL of the guest and that of the host', () => {
    const { m, said } = new HookedRig();
    const [vcpu] = m.vcpus;
    const [cpu] = m.pcpus;
    m.kvm.exit(vcpu);
    cpu.debugctl = LBR | BTF;
    vcpu.vmcs.guestDebugctl = FREEZE;
    said();
    m.kvm.enter(vcpu);
    expect([cpu.debugctl, vcpu.inGuest, vcpu.host_debugctl]).toEqual([FREEZE, true, LBR | BTF]);
    cpu.debugctl = FREEZE | LBR;
    m.kvm.exit(vcpu);
    expect([cpu.debugctl, vcpu.inGuest]).toEqual([LBR | BTF, false]);
    expect(vcpu.vmcs.guestDebugctl).toBe(FREEZE | LBR);
    expect(said()).toEqual(['handleRequests 0', 'vcpu_enter 0', 'vcpu_exit 0', 'exited 0']);
  });

  it('a second enter or exit in a row never does anything', () => {
    const { m, said } = new HookedRig();
    const [vcpu] = m.vcpus;
    m.pcpus[0].debugctl = LBR;
    m.kvm.enter(vcpu);
    expect(m.pcpus[0].debugctl).toBe(LBR);
    m.kvm.exit(vcpu);
    said();
    m.pcpus[0].debugctl = BTF;
    m.kvm.exit(vcpu);
    expect(m.pcpus[0].debugctl).toBe(BTF);
    expect(said()).toEqual([]);
  });

  it('enter always reads the host’s DEBUGCTL between handleRequests and vcpu_enter', () => {
    const rig = new HookedRig();
    const [vcpu] = rig.m.vcpus;
    const [cpu] = rig.m.pcpus;
    rig.m.kvm.exit(vcpu);
    rig.hooks.on.handleRequests = (): void => {
      cpu.debugctl = LBR | FREEZE;
    };
    rig.hooks.on.vcpu_enter = (): void => {
      cpu.debugctl = BTF;
    };
    rig.m.kvm.enter(vcpu);
    expect([vcpu.host_debugctl, cpu.debugctl]).toEqual([LBR | FREEZE, 0]);
    rig.m.kvm.exit(vcpu);
    expect(cpu.debugctl).toBe(LBR | FREEZE);
  });

  it('vcpu_exit always finds the vCPU out of the guest, with DEBUGCTL 0', () => {
    const rig = new HookedRig();
    const [vcpu] = rig.m.vcpus;
    const [cpu] = rig.m.pcpus;
    rig.m.kvm.exit(vcpu);
    cpu.debugctl = BTF;
    vcpu.vmcs.guestDebugctl = LBR;
    const seen: unknown[] = [];
    rig.hooks.on.vcpu_enter = (): void => void seen.push(cpu.debugctl, vcpu.inGuest);
    rig.hooks.on.vcpu_exit = (): void =>
      void seen.push(cpu.debugctl, vcpu.inGuest, vcpu.vmcs.guestDebugctl);
    rig.m.kvm.enter(vcpu);
    rig.m.kvm.exit(vcpu);
    expect(seen).toEqual([BTF, false, 0, false, LBR]);
  });

  it('an entry that fails for a reserved bit is always reported', () => {
    const { m, said } = new HookedRig();
    m.kvm.exit(m.vcpus[0]);
    m.vcpus[0].vmcs.guestDebugctl = 1 << 20;
    said();
    m.kvm.enter(m.vcpus[0]);
    expect(said()).toEqual(['handleRequests 0', 'vcpu_enter 0', 'entryFailed 0']);
  });
});

describe('injectPmi', () => {
  it('injectPmi always exits, reports, freezes if asked to, tells the policy, enters', () => {
    for (const frozen of [true, false]) {
      const rig = new HookedRig();
      const [vcpu] = rig.m.vcpus;
      rig.write(0, DEBUGCTL, frozen ? LBR | FREEZE : LBR);
      rig.m.kvm.enter(vcpu);
      const seen: number[] = [];
      rig.hooks.on.deliver_pmi = (): void => void seen.push(vcpu.vmcs.guestDebugctl);
      rig.said();
      rig.m.kvm.injectPmi(vcpu, 2);
      expect(rig.said()).toEqual([
        'vcpu_exit 0',
        'exited 0',
        'guestPmi 0 2',
        'deliver_pmi 0',
        'handleRequests 0',
        'vcpu_enter 0',
      ]);
      expect(seen).toEqual([frozen ? FREEZE : LBR]);
      expect(rig.m.pcpus[0].debugctl).toBe(frozen ? FREEZE : LBR);
      expect([vcpu.global_status, vcpu.inGuest]).toEqual([0b100, true]);
    }
  });

  it('injectPmi makes an exit even for a vCPU that was out', () => {
    const { m, said } = new HookedRig();
    m.kvm.exit(m.vcpus[0]);
    said();
    m.kvm.injectPmi(m.vcpus[0], 0);
    const enter = ['handleRequests 0', 'vcpu_enter 0'];
    const pmi = ['vcpu_exit 0', 'exited 0', 'guestPmi 0 0', 'deliver_pmi 0'];
    expect(said()).toEqual([...enter, ...pmi, ...enter]);
    m.kvm.injectPmi(m.vcpus[0], 1);
    expect(m.vcpus[0].global_status).toBe(0b11);
  });
});

describe('schedOut and schedIn', () => {
  it('the policy always acts in schedOut and schedIn while the thread is on its pCPU', () => {
    const rig = new HookedRig();
    // A thread that has never run is in userspace.
    rig.m.switchTo(0, 1);
    rig.m.switchTo(0, 0);
    rig.said();
    const seen: unknown[] = [];
    const note = (vcpu: Vcpu): void => void seen.push(vcpu.id, vcpu.pcpu, vcpu.inGuest);
    rig.hooks.on = { vcpu_put: note, sched_in: note, vcpu_load: note };
    rig.m.switchTo(0, 1);
    expect(seen).toEqual([0, 0, false, 1, 0, false, 1, 0, false]);
    expect(rig.m.vcpus.map((vcpu) => vcpu.pcpu)).toEqual([-1, 0]);
    expect(rig.said()).toEqual([
      'vcpu_exit 0',
      'exited 0',
      'vcpu_put 0',
      'vcpuSwitch 0 0 false',
      'sched_in 1',
      'vcpu_load 1',
      'vcpuSwitch 1 0 true',
      'handleRequests 1',
      'vcpu_enter 1',
    ]);
  });

  it('schedOut always follows the saving of perf, and schedIn its restoring', () => {
    const rig = new HookedRig();
    for (const vcpu of [0, 1]) {
      rig.m.switchTo(0, vcpu);
      rig.m.hostEvent(0, HOST_EVENT_TASK, 0);
      rig.m.hostWork(0, 2);
    }
    rig.said();
    rig.m.switchTo(0, 0);
    const lines = rig.said();
    const put = lines.indexOf('vcpu_put 1');
    const load = lines.indexOf('vcpu_load 0');
    const perf = [...lines.keys()].filter((i) => lines[i].startsWith('hostAccess'));
    const reads = perf.filter((i) => lines[i].endsWith('false'));
    const writes = perf.filter((i) => lines[i].endsWith('true'));
    expect([reads.length > 0, writes.length > 0]).toEqual([true, true]);
    expect(reads.filter((i) => i > put)).toEqual([]);
    expect(writes.filter((i) => i < put || i > load)).toEqual([]);
  });
});

describe('a vCPU', () => {
  it('a vCPU never leaves a pCPU from inside its guest, nor one that it is not on', () => {
    const { m } = new HookedRig();
    const [vcpu, other] = m.vcpus;
    expect(vcpu.inGuest).toBe(true);
    expect(() => m.kvm.schedOut(vcpu)).toThrow('a vCPU leaves its pCPU after a VM exit');
    expect(() => m.kvm.schedOut(other)).toThrow(ModelInvariantError);
    m.kvm.exit(vcpu);
    expect(() => m.kvm.schedOut(vcpu)).not.toThrow();
  });

  it('a vCPU is never loaded twice, and never enters its guest or migrates while off', () => {
    const { m } = new HookedRig();
    const [vcpu, other] = m.vcpus;
    expect(() => m.kvm.schedIn(vcpu, 0)).toThrow('a vCPU is loaded on one pCPU at a time');
    expect(() => m.kvm.enter(other)).toThrow(ModelInvariantError);
    expect(() => m.kvm.migrate(vcpu)).toThrow('a vCPU migrates while its thread is off');
    expect(() => m.kvm.migrate(other)).not.toThrow();
  });
});

describe('migrate', () => {
  function prepared(carried: boolean): { rig: HookedRig; vcpu: HookedVcpu } {
    const rig = new HookedRig('add-del');
    const [vcpu] = rig.m.vcpus as HookedVcpu[];
    rig.write(0, DEBUGCTL, LBR | FREEZE);
    rig.write(0, MSR_KVM_PV_LBR_CTRL, KVM_PV_LBR_CTRL_ACTIVE);
    rig.write(0, msrs.MSR_CORE_PERF_GLOBAL_CTRL, 5, 2);
    rig.m.switchTo(0, -1);
    vcpu.words.a = 11;
    vcpu.words.b = 12;
    vcpu.records.write(msrs.MSR_LBR_NHM_FROM, 1, 2);
    vcpu.records.write(msrs.MSR_LBR_TOS, 3, 0);
    vcpu.records.write(msrs.MSR_LBR_SELECT, 4, 0);
    rig.m.kvm.setPassthrough(vcpu, true);
    rig.hooks.sends = carried;
    rig.said();
    return { rig, vcpu };
  }

  const records = (vcpu: Vcpu): number[] =>
    [msrs.MSR_LBR_NHM_FROM, msrs.MSR_LBR_TOS, msrs.MSR_LBR_SELECT].map((msr) =>
      vcpu.records.readLow(msr),
    );

  it('migrate always carries records, DEBUGCTL and ACTIVE if the policy sends its state', () => {
    const { rig, vcpu } = prepared(true);
    const seen: unknown[] = [];
    const note = (): void =>
      void seen.push(vcpu.words.a, vcpu.words.b, vcpu.msr_passthrough, vcpu.vmcs.guestDebugctl);
    rig.hooks.on.reset = note;
    rig.m.liveMigrate(0);
    expect(rig.said()).toEqual(['get_state 0', 'reset 0', 'set_state 0']);
    expect(seen).toEqual([0, 0, false, LBR | FREEZE]);
    expect(records(vcpu)).toEqual([1, 3, 4]);
    expect([vcpu.vmcs.guestDebugctl, vcpu.pvLbrCtrl]).toEqual([LBR | FREEZE, 1]);
    expect(vcpu.vmcs.interceptsRead(msrs.MSR_LBR_TOS)).toBe(true);
    expect([vcpu.global_ctrl, vcpu.global_ctrl_hi]).toEqual([5, 2]);
  });

  it('migrate never carries records, DEBUGCTL or ACTIVE if the policy sends no state', () => {
    const { rig, vcpu } = prepared(false);
    rig.m.liveMigrate(0);
    expect(rig.said()).toEqual(['get_state 0', 'reset 0']);
    expect(records(vcpu)).toEqual([0, 0, 0]);
    expect([vcpu.vmcs.guestDebugctl, vcpu.pvLbrCtrl]).toEqual([0, 0]);
    expect([vcpu.words.a, vcpu.words.b, vcpu.msr_passthrough]).toEqual([0, 0, false]);
    expect([vcpu.global_ctrl, vcpu.global_ctrl_hi]).toEqual([5, 2]);
  });
});

describe('vCPU words', () => {
  it('the words of a vCPU never overlap, nor reach those of another vCPU', () => {
    const { m } = new HookedRig();
    const [a, b] = m.vcpus as HookedVcpu[];
    const fields = [
      'pcpu',
      'host_debugctl',
      'global_ctrl',
      'global_ctrl_hi',
      'global_status',
      'pvLbrCtrl',
    ] as const;
    fields.forEach((field, i) => {
      a[field] = 100 + i;
      b[field] = 200 + i;
    });
    for (const [i, vcpu] of [a, b].entries()) {
      vcpu.inGuest = i === 0;
      vcpu.msr_passthrough = i !== 0;
      vcpu.words.a = 300 + i;
      vcpu.words.b = 400 + i;
      vcpu.vmcs.guestDebugctl = 500 + i;
    }
    expect(fields.map((field) => a[field])).toEqual([100, 101, 102, 103, 104, 105]);
    expect(fields.map((field) => b[field])).toEqual([200, 201, 202, 203, 204, 205]);
    expect([a, b].map((v) => [v.inGuest, v.msr_passthrough])).toEqual([
      [true, false],
      [false, true],
    ]);
    expect([a, b].map((v) => [v.words.a, v.words.b, v.vmcs.guestDebugctl])).toEqual([
      [300, 400, 500],
      [301, 401, 501],
    ]);
    expect([a, b].map((v) => [v.id, v.vm, v.cpu])).toEqual([
      [0, 0, 0],
      [1, 1, 0],
    ]);
  });
});

/** The MSRs that KVM emulates for a guest, and the way of an LBR MSR access to its policy. */
import { describe, expect, it } from 'vitest';
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import type { PvSite } from '../../src/guest/pv/kvm_para.js';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { Observer } from '../../src/host/observer.js';
import { never } from '../../src/host/policy/never.js';
import type { LbrPolicy, MsrValue, PolicyHost } from '../../src/host/policy/policy.js';
import { msrValue, nothing } from '../../src/host/policy/policy.js';
import type { Vcpu } from '../../src/host/vcpu.js';
import { Machine } from '../../src/machine/machine.js';

const LBR = msrs.DEBUGCTLMSR_LBR;
const BTF = msrs.DEBUGCTLMSR_BTF;
const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const DEBUGCTL = msrs.MSR_IA32_DEBUGCTLMSR;
const GP = 13;

function cpuModel(name: string): CpuModel {
  const found = findCpuModel(name);
  if (found === undefined) throw new Error(`no CPU model ${name}`);
  return found;
}

const SKYLAKE = cpuModel('skylake');

/** Everything that a machine tells, and every hook of its policy, in one list of lines. */
class Rig {
  readonly log: string[] = [];
  readonly m: Machine;
  /** What the hooks do beside being logged. */
  on: Partial<Record<string, (vcpu: Vcpu) => void>> = {};
  vector: 0 | 13 = 0;

  constructor(pv: PvSite = 'none', model: CpuModel = SKYLAKE) {
    const observer = new Proxy({} as Observer, {
      get:
        (_target, name) =>
        (...args: number[]) =>
          this.log.push([name, ...args].join(' ')),
    });
    const policy = this.policy(pv);
    const shape = { vms: 2, vcpus: 1, tasks: 1, pcpus: 1 };
    this.m = new Machine({ model, kernel: '6.1', policy, ...shape }, observer);
    this.m.boot();
    this.log.length = 0;
  }

  private policy(pv: PvSite): LbrPolicy {
    const hook =
      (name: string) =>
      (_kvm: PolicyHost, vcpu: Vcpu): void =>
        this.called(name, vcpu);
    return {
      ...never,
      pv,
      handle_requests: hook('handle_requests'),
      vcpu_enter: hook('vcpu_enter'),
      vcpu_exit: hook('vcpu_exit'),
      set_debugctl: hook('set_debugctl'),
      set_pv_lbr_ctrl: hook('set_pv_lbr_ctrl'),
      reset: nothing,
      get_msr: (_kvm, _vcpu, msr): MsrValue => {
        this.log.push(`get_msr ${msr}`);
        const value = msrValue(msr + 1, msr + 2);
        value.vector = this.vector;
        return value;
      },
      set_msr: (_kvm, _vcpu, msr, eax, edx): 0 | 13 => {
        this.log.push(`set_msr ${msr} ${eax} ${edx}`);
        return this.vector;
      },
    };
  }

  private called(name: string, vcpu: Vcpu): void {
    this.log.push(`${name} ${vcpu.id}`);
    this.on[name]?.(vcpu);
  }

  /** [eax, edx, vector] of a guest's RDMSR. */
  readonly read = (msr: number): number[] => {
    const eax = this.m.kvm.guestRdmsr(this.m.vcpus[0], msr);
    return [eax, this.m.kvm.edx, this.m.kvm.vector];
  };

  readonly write = (msr: number, eax: number, edx: number): number =>
    this.m.kvm.guestWrmsr(this.m.vcpus[0], msr, eax, edx);

  /** What was logged since the last call. */
  readonly said = (): string[] => this.log.splice(0);
}

const bits = Array.from({ length: 32 }, (_, n) => 1 << n);

describe('set_msr of IA32_DEBUGCTL', () => {
  it('always takes LBR and FREEZE_LBRS_ON_PMI into the VMCS and tells the policy once', () => {
    const { m, write, read, said } = new Rig();
    for (const value of [LBR, FREEZE, LBR | FREEZE, 0]) {
      said();
      expect(write(DEBUGCTL, value, 0)).toBe(0);
      expect(m.vcpus[0].vmcs.guest_debugctl).toBe(value);
      expect(m.vcpus[0].in_guest).toBe(false);
      expect(said()).toContain('set_debugctl 0');
      expect(read(DEBUGCTL)).toEqual([value, 0, 0]);
    }
  });

  it('always has the new value in the VMCS when the policy hears of it', () => {
    const rig = new Rig();
    const seen: number[] = [];
    rig.on.set_debugctl = (vcpu) => seen.push(vcpu.vmcs.guest_debugctl);
    rig.write(DEBUGCTL, LBR | FREEZE, 0);
    rig.write(DEBUGCTL, FREEZE, 0);
    expect(seen).toEqual([LBR | FREEZE, FREEZE]);
  });

  it('always drops BTF without a fault', () => {
    const { write, read } = new Rig();
    expect(write(DEBUGCTL, BTF | LBR, 0)).toBe(0);
    expect(read(DEBUGCTL)).toEqual([LBR, 0, 0]);
    expect(write(DEBUGCTL, BTF, 0)).toBe(0);
    expect(read(DEBUGCTL)).toEqual([0, 0, 0]);
  });

  it('always faults on every other bit, and keeps the value and its peace', () => {
    const { write, read, said } = new Rig();
    write(DEBUGCTL, LBR | FREEZE, 0);
    for (const bit of bits) {
      said();
      const known = [LBR, BTF, FREEZE].includes(bit);
      if (!known) {
        expect(write(DEBUGCTL, bit | LBR, 0)).toBe(GP);
        expect(said().at(-1)).toBe(`guestFault 0 ${DEBUGCTL} true ${bit | LBR} 0`);
      }
      said();
      expect(write(DEBUGCTL, 0, bit)).toBe(GP);
      expect(said().filter((line) => line.startsWith('set_debugctl'))).toEqual([]);
      expect(read(DEBUGCTL)).toEqual([LBR | FREEZE, 0, 0]);
    }
  });
});

describe('the emulated PMU', () => {
  it('always takes four general and three fixed counters in GLOBAL_CTRL, and no more', () => {
    const { m, write, read } = new Rig();
    const msr = msrs.MSR_CORE_PERF_GLOBAL_CTRL;
    expect(write(msr, 0b1010, 0b101)).toBe(0);
    for (const [n, bit] of bits.entries()) {
      expect(write(msr, bit, 0)).toBe(n < 4 ? 0 : GP);
      expect(write(msr, 0, bit)).toBe(n < 3 ? 0 : GP);
    }
    expect(write(msr, 0b1100, 0b110)).toBe(0);
    expect(read(msr)).toEqual([0b1100, 0b110, 0]);
    expect(write(msr, 1 << 4, 0)).toBe(GP);
    expect(read(msr)).toEqual([0b1100, 0b110, 0]);
    expect([m.vcpus[0].global_ctrl, m.vcpus[0].global_ctrl_hi]).toEqual([0b1100, 0b110]);
  });

  it('always collects overflows in GLOBAL_STATUS, which can only be read', () => {
    const { m, write, read } = new Rig();
    for (const counter of [0, 3]) m.kvm.injectPmi(m.vcpus[0], counter);
    expect(read(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1001, 0, 0]);
    expect(write(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 0, 0)).toBe(GP);
    expect(read(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1001, 0, 0]);
  });

  it('always clears by OVF_CTRL what is written as 1, and reads it as 0', () => {
    const { m, write, read } = new Rig();
    const msr = msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL;
    for (const counter of [0, 1, 3]) m.kvm.injectPmi(m.vcpus[0], counter);
    expect(write(msr, 0b0011, 0)).toBe(0);
    expect(read(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1000, 0, 0]);
    expect(read(msr)).toEqual([0, 0, 0]);
    for (const [n, bit] of bits.entries()) {
      // OvfBuffer and CondChgd, bits 62 and 63, beside the fixed counters.
      expect(write(msr, 0, bit)).toBe(n < 3 || n >= 30 ? 0 : GP);
      if (n >= 4) expect(write(msr, bit, 0)).toBe(GP);
    }
    expect(read(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1000, 0, 0]);
  });

  it('always shows the LBR format and nothing else in PERF_CAPABILITIES', () => {
    for (const name of ['haswell', 'skylake', 'nehalem']) {
      const rig = new Rig('none', cpuModel(name));
      const msr = msrs.MSR_IA32_PERF_CAPABILITIES;
      expect(rig.read(msr)).toEqual([cpuModel(name).lbr_format, 0, 0]);
      expect(rig.write(msr, 0, 0)).toBe(GP);
    }
  });

  it('never has the STATUS_SET of version 4, nor an MSR that nobody knows', () => {
    const { write, read, said } = new Rig();
    for (const msr of [msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET, 0x10, 0x4b564d00, 0xffffffff]) {
      said();
      expect(read(msr)).toEqual([0, 0, GP]);
      expect(said().at(-1)).toBe(`guestFault 0 ${msr} false 0 0`);
      expect(write(msr, 5, 6)).toBe(GP);
      expect(said().at(-1)).toBe(`guestFault 0 ${msr} true 5 6`);
    }
  });
});

describe('MSR_KVM_PV_LBR_CTRL', () => {
  it('never exists without the feature', () => {
    const { m, read, write, said } = new Rig();
    expect(read(MSR_KVM_PV_LBR_CTRL)).toEqual([0, 0, GP]);
    expect(write(MSR_KVM_PV_LBR_CTRL, KVM_PV_LBR_CTRL_ACTIVE, 0)).toBe(GP);
    expect(m.vcpus[0].pv_lbr_ctrl).toBe(0);
    expect(said().filter((line) => line.startsWith('set_pv'))).toEqual([]);
  });

  it('always takes ACTIVE, and faults on every other bit', () => {
    const rig = new Rig('add-del');
    const { read, write, said } = rig;
    const seen: number[] = [];
    rig.on.set_pv_lbr_ctrl = (vcpu) => seen.push(vcpu.pv_lbr_ctrl);
    expect(write(MSR_KVM_PV_LBR_CTRL, KVM_PV_LBR_CTRL_ACTIVE, 0)).toBe(0);
    for (const bit of bits) {
      if (bit !== KVM_PV_LBR_CTRL_ACTIVE) expect(write(MSR_KVM_PV_LBR_CTRL, bit, 0)).toBe(GP);
      expect(write(MSR_KVM_PV_LBR_CTRL, 0, bit)).toBe(GP);
    }
    expect(read(MSR_KVM_PV_LBR_CTRL)).toEqual([KVM_PV_LBR_CTRL_ACTIVE, 0, 0]);
    said();
    expect(write(MSR_KVM_PV_LBR_CTRL, 0, 0)).toBe(0);
    expect(said()).toContain('set_pv_lbr_ctrl 0');
    expect(read(MSR_KVM_PV_LBR_CTRL)).toEqual([0, 0, 0]);
    expect(seen).toEqual([KVM_PV_LBR_CTRL_ACTIVE, 0]);
  });
});

describe('guestRdmsr and guestWrmsr of LBR MSRs', () => {
  const FROM = msrs.MSR_LBR_NHM_FROM;

  it('always go to the policy while intercepted, after an exit', () => {
    const { m, read, write, said } = new Rig();
    expect(m.vcpus[0].in_guest).toBe(true);
    expect(read(FROM)).toEqual([FROM + 1, FROM + 2, 0]);
    const exit = ['vcpu_exit 0', 'exited 0'];
    const read0 = `guestRead 0 ${FROM} ${FROM + 1} ${FROM + 2}`;
    expect(said()).toEqual([...exit, `get_msr ${FROM}`, read0]);
    expect(write(FROM, 7, 8)).toBe(0);
    const enter = ['handle_requests 0', 'vcpu_enter 0'];
    expect(said()).toEqual([...enter, ...exit, `set_msr ${FROM} 7 8`, `guestWrite 0 ${FROM} 7 8`]);
  });

  it('always report a fault that the policy raises, and never an access as well', () => {
    const rig = new Rig();
    rig.vector = 13;
    expect(rig.read(FROM)[2]).toBe(GP);
    expect(rig.said().slice(-2)).toEqual([`get_msr ${FROM}`, `guestFault 0 ${FROM} false 0 0`]);
    expect(rig.write(FROM, 1, 2)).toBe(GP);
    expect(rig.said().slice(-2)).toEqual([`set_msr ${FROM} 1 2`, `guestFault 0 ${FROM} true 1 2`]);
    rig.vector = 0;
    expect(rig.read(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0, 0, 0]);
  });

  it('always reach the registers without an exit once passed through', () => {
    const { m, read, write, said } = new Rig();
    m.kvm.setPassthrough(m.vcpus[0], true);
    expect(write(FROM, 0x123, 0x456)).toBe(0);
    expect(read(FROM)).toEqual([0x123, 0x456, 0]);
    expect(said()).toEqual([`guestWrite 0 ${FROM} 291 1110`, `guestRead 0 ${FROM} 291 1110`]);
    expect([m.pcpus[0].rdmsr(FROM), m.pcpus[0].edx]).toEqual([0x123, 0x456]);
    expect(write(msrs.MSR_LBR_SELECT, 0, 1)).toBe(GP);
    expect(said()).toEqual([`guestFault 0 ${msrs.MSR_LBR_SELECT} true 0 1`]);
    expect(read(msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0, 0, 0]);
  });

  it('always enter the guest first', () => {
    const { m, read, write, said } = new Rig();
    m.kvm.setPassthrough(m.vcpus[0], true);
    m.kvm.exit(m.vcpus[0]);
    said();
    read(msrs.MSR_LBR_TOS);
    expect([m.vcpus[0].in_guest, said()[0]]).toEqual([true, 'handle_requests 0']);
    m.kvm.exit(m.vcpus[0]);
    said();
    write(msrs.MSR_LBR_TOS, 1, 0);
    expect([m.vcpus[0].in_guest, said()[0]]).toEqual([true, 'handle_requests 0']);
  });
});

/** The MSRs that KVM emulates, and how an access to an LBR MSR reaches the policy. */
import { describe, expect, it } from 'vitest';
import { KVM_PV_LBR_CTRL_ACTIVE, MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import * as msrs from '../../src/hw/msr_index.js';
import { cpuModel } from '../rig/cpu.js';
import { DEBUGCTL, FROM, GP, HookedRig, LBR } from '../rig/machine.js';

const BTF = msrs.DEBUGCTLMSR_BTF;
const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const RTM = msrs.DEBUGCTLMSR_RTM_DEBUG;
const SMM = msrs.DEBUGCTLMSR_FREEZE_IN_SMM;

const bits = Array.from({ length: 32 }, (_, n) => 1 << n);

describe('set_msr of IA32_DEBUGCTL', () => {
  it('a write of LBR and FREEZE_LBRS_ON_PMI reaches the VMCS and tells the policy once', () => {
    const { m, write, rdmsr, said } = new HookedRig();
    for (const value of [LBR, FREEZE, LBR | FREEZE, 0]) {
      said();
      expect(write(0, DEBUGCTL, value, 0)).toBe(0);
      expect(m.vcpus[0].vmcs.guestDebugctl).toBe(value);
      expect(m.vcpus[0].inGuest).toBe(false);
      expect(said()).toContain(`setDebugctl 0 at ${value}`);
      expect(rdmsr(0, DEBUGCTL)).toEqual([value, 0, 0]);
    }
  });

  it('the VMCS has the new DEBUGCTL when the policy hears of the write', () => {
    const rig = new HookedRig();
    const seen: number[] = [];
    rig.hooks.on.setDebugctl = (vcpu) => seen.push(vcpu.vmcs.guestDebugctl);
    rig.write(0, DEBUGCTL, LBR | FREEZE, 0);
    rig.write(0, DEBUGCTL, FREEZE, 0);
    expect(seen).toEqual([LBR | FREEZE, FREEZE]);
  });

  it('a write of BTF is always dropped without a fault', () => {
    const { write, rdmsr } = new HookedRig();
    expect(write(0, DEBUGCTL, BTF | LBR, 0)).toBe(0);
    expect(rdmsr(0, DEBUGCTL)).toEqual([LBR, 0, 0]);
    expect(write(0, DEBUGCTL, BTF, 0)).toBe(0);
    expect(rdmsr(0, DEBUGCTL)).toEqual([0, 0, 0]);
  });

  // vmx.c:vmx_get_supported_debugctl(): boot_cpu_has() and guest_cpuid_has() of RTM.
  it.each([
    ['haswell', 0],
    ['skylake', 0],
    ['icelake', 0],
    ['haswell-notsx', GP],
    ['tigerlake', GP],
    ['goldmont-plus', GP],
  ])('RTM_DEBUG is taken where the guest has RTM: on %s the vector is %i', (cpu, vector) => {
    const { write, rdmsr } = new HookedRig('none', { cpu });
    write(0, DEBUGCTL, FREEZE, 0);
    expect(write(0, DEBUGCTL, RTM | BTF | LBR, 0)).toBe(vector);
    expect(rdmsr(0, DEBUGCTL)).toEqual([vector === 0 ? RTM | LBR : FREEZE, 0, 0]);
  });

  it('FREEZE_IN_SMM is always the host’s: refused, hidden, and on while the guest runs', () => {
    const { m, write, rdmsr } = new HookedRig();
    const [vcpu] = m.vcpus;
    const [cpu] = m.pcpus;
    for (const bit of [SMM, 0, SMM]) {
      m.kvm.exit(vcpu);
      cpu.debugctl = bit;
      m.kvm.enter(vcpu);
      expect([bit, cpu.debugctl & SMM, rdmsr(0, DEBUGCTL)[0] & SMM]).toEqual([bit, bit, 0]);
      expect(write(0, DEBUGCTL, SMM | LBR, 0)).toBe(GP);
      expect(write(0, DEBUGCTL, LBR, 0)).toBe(0);
      // The write has exited, and the bit is in the VMCS before the next entry.
      expect([vcpu.inGuest, cpu.debugctl]).toEqual([false, bit]);
      expect([bit, vcpu.vmcs.guestDebugctl]).toEqual([bit, LBR | bit]);
      m.kvm.enter(vcpu);
      expect([bit, cpu.debugctl]).toEqual([bit, LBR | bit]);
      m.kvm.exit(vcpu);
      expect([bit, cpu.debugctl, rdmsr(0, DEBUGCTL)[0]]).toEqual([bit, bit, LBR]);
    }
  });

  it('a freeze on a PMI leaves the host’s bit, and a migration does not carry it', () => {
    const { m, write, hooks } = new HookedRig();
    const [vcpu] = m.vcpus;
    hooks.sends = true;
    m.kvm.exit(vcpu);
    m.pcpus[0].debugctl = SMM;
    write(0, DEBUGCTL, LBR | FREEZE, 0);
    m.kvm.injectPmi(vcpu, 0);
    expect(m.pcpus[0].debugctl).toBe(FREEZE | SMM);
    m.kvm.exit(vcpu);
    expect(vcpu.vmcs.guestDebugctl).toBe(FREEZE | SMM);
    m.switchTo(0, 1);
    m.liveMigrate(0);
    expect(vcpu.vmcs.guestDebugctl).toBe(FREEZE);
  });

  it('a write of any other DEBUGCTL bit always faults, keeps the value and tells nobody', () => {
    const { write, rdmsr, said } = new HookedRig();
    write(0, DEBUGCTL, LBR | FREEZE, 0);
    for (const bit of bits) {
      said();
      const known = [LBR, BTF, FREEZE, RTM].includes(bit);
      if (!known) {
        expect(write(0, DEBUGCTL, bit | LBR, 0)).toBe(GP);
        expect(said().at(-1)).toBe(`guestFault 0 ${DEBUGCTL} true ${bit | LBR} 0`);
      }
      said();
      expect(write(0, DEBUGCTL, 0, bit)).toBe(GP);
      expect(said().filter((line) => line.startsWith('setDebugctl'))).toEqual([]);
      expect(rdmsr(0, DEBUGCTL)).toEqual([LBR | FREEZE, 0, 0]);
    }
  });
});

describe('the emulated PMU', () => {
  it('GLOBAL_CTRL always takes four general and three fixed counters, and no more', () => {
    const { m, write, rdmsr } = new HookedRig();
    const msr = msrs.MSR_CORE_PERF_GLOBAL_CTRL;
    expect(write(0, msr, 0b1010, 0b101)).toBe(0);
    for (const [n, bit] of bits.entries()) {
      expect(write(0, msr, bit, 0)).toBe(n < 4 ? 0 : GP);
      expect(write(0, msr, 0, bit)).toBe(n < 3 ? 0 : GP);
    }
    expect(write(0, msr, 0b1100, 0b110)).toBe(0);
    expect(rdmsr(0, msr)).toEqual([0b1100, 0b110, 0]);
    expect(write(0, msr, 1 << 4, 0)).toBe(GP);
    expect(rdmsr(0, msr)).toEqual([0b1100, 0b110, 0]);
    expect([m.vcpus[0].global_ctrl, m.vcpus[0].global_ctrl_hi]).toEqual([0b1100, 0b110]);
  });

  it('GLOBAL_STATUS always collects overflows, and can only be read', () => {
    const { m, write, rdmsr } = new HookedRig();
    for (const counter of [0, 3]) m.kvm.injectPmi(m.vcpus[0], counter);
    expect(rdmsr(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1001, 0, 0]);
    expect(write(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS, 0, 0)).toBe(GP);
    expect(rdmsr(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1001, 0, 0]);
  });

  it('OVF_CTRL always clears what is written as 1, and reads as 0', () => {
    const { m, write, rdmsr } = new HookedRig();
    const msr = msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL;
    for (const counter of [0, 1, 3]) m.kvm.injectPmi(m.vcpus[0], counter);
    expect(write(0, msr, 0b0011, 0)).toBe(0);
    expect(rdmsr(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1000, 0, 0]);
    expect(rdmsr(0, msr)).toEqual([0, 0, 0]);
    for (const [n, bit] of bits.entries()) {
      // Bits 62 and 63 are OvfBuffer and CondChgd. Bits 34:32 belong to the fixed counters.
      expect(write(0, msr, 0, bit)).toBe(n < 3 || n >= 30 ? 0 : GP);
      if (n >= 4) expect(write(0, msr, bit, 0)).toBe(GP);
    }
    expect(rdmsr(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0b1000, 0, 0]);
  });

  it('PERF_CAPABILITIES always shows the LBR format and nothing else', () => {
    for (const name of ['haswell', 'skylake', 'nehalem']) {
      const rig = new HookedRig('none', { cpu: name });
      const msr = msrs.MSR_IA32_PERF_CAPABILITIES;
      expect(rig.rdmsr(0, msr)).toEqual([cpuModel(name).lbr_format, 0, 0]);
      expect(rig.write(0, msr, 0, 0)).toBe(GP);
    }
  });

  it('an emulated PMU never has STATUS_SET of version 4, nor an MSR of no known index', () => {
    const { write, rdmsr, said } = new HookedRig();
    for (const msr of [msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET, 0x10, 0x4b564d00, 0xffffffff]) {
      said();
      expect(rdmsr(0, msr)).toEqual([0, 0, GP]);
      expect(said().at(-1)).toBe(`guestFault 0 ${msr} false 0 0`);
      expect(write(0, msr, 5, 6)).toBe(GP);
      expect(said().at(-1)).toBe(`guestFault 0 ${msr} true 5 6`);
    }
  });
});

describe('MSR_KVM_PV_LBR_CTRL', () => {
  it('MSR_KVM_PV_LBR_CTRL never exists without its feature', () => {
    const { m, rdmsr, write, said } = new HookedRig();
    expect(rdmsr(0, MSR_KVM_PV_LBR_CTRL)).toEqual([0, 0, GP]);
    expect(write(0, MSR_KVM_PV_LBR_CTRL, KVM_PV_LBR_CTRL_ACTIVE, 0)).toBe(GP);
    expect(m.vcpus[0].pvLbrCtrl).toBe(0);
    expect(said().filter((line) => line.startsWith('set_pv'))).toEqual([]);
  });

  it('MSR_KVM_PV_LBR_CTRL always takes ACTIVE, and faults on every other bit', () => {
    const rig = new HookedRig('add-del');
    const { rdmsr, write, said } = rig;
    const seen: number[] = [];
    rig.hooks.on.setPvLbrCtrl = (vcpu) => seen.push(vcpu.pvLbrCtrl);
    expect(write(0, MSR_KVM_PV_LBR_CTRL, KVM_PV_LBR_CTRL_ACTIVE, 0)).toBe(0);
    for (const bit of bits) {
      if (bit !== KVM_PV_LBR_CTRL_ACTIVE) expect(write(0, MSR_KVM_PV_LBR_CTRL, bit, 0)).toBe(GP);
      expect(write(0, MSR_KVM_PV_LBR_CTRL, 0, bit)).toBe(GP);
    }
    expect(rdmsr(0, MSR_KVM_PV_LBR_CTRL)).toEqual([KVM_PV_LBR_CTRL_ACTIVE, 0, 0]);
    said();
    expect(write(0, MSR_KVM_PV_LBR_CTRL, 0, 0)).toBe(0);
    expect(said()).toContain('setPvLbrCtrl 0');
    expect(rdmsr(0, MSR_KVM_PV_LBR_CTRL)).toEqual([0, 0, 0]);
    expect(seen).toEqual([KVM_PV_LBR_CTRL_ACTIVE, 0]);
  });
});

describe('guestRdmsr and guestWrmsr of LBR MSRs', () => {
  it('an intercepted LBR access always goes to the policy, after an exit', () => {
    const { m, rdmsr, write, said } = new HookedRig();
    expect(m.vcpus[0].inGuest).toBe(true);
    expect(rdmsr(0, FROM)).toEqual([FROM + 1, FROM + 2, 0]);
    const exit = ['vcpu_exit 0', 'exited 0'];
    const read0 = `guestRead 0 ${FROM} ${FROM + 1} ${FROM + 2}`;
    expect(said()).toEqual([...exit, `get_msr ${FROM}`, read0]);
    expect(write(0, FROM, 7, 8)).toBe(0);
    const enter = ['handleRequests 0', 'vcpu_enter 0'];
    expect(said()).toEqual([...enter, ...exit, `set_msr ${FROM} 7 8`, `guestWrite 0 ${FROM} 7 8`]);
  });

  it('a fault that the policy raises is always reported, and no access beside it', () => {
    const rig = new HookedRig();
    rig.hooks.vector = 13;
    expect(rig.rdmsr(0, FROM)[2]).toBe(GP);
    expect(rig.said().slice(-2)).toEqual([`get_msr ${FROM}`, `guestFault 0 ${FROM} false 0 0`]);
    expect(rig.write(0, FROM, 1, 2)).toBe(GP);
    expect(rig.said().slice(-2)).toEqual([`set_msr ${FROM} 1 2`, `guestFault 0 ${FROM} true 1 2`]);
    rig.hooks.vector = 0;
    expect(rig.rdmsr(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0, 0, 0]);
  });

  it('an LBR access that is passed through always reaches the register without an exit', () => {
    const { m, rdmsr, write, said } = new HookedRig();
    m.kvm.setPassthrough(m.vcpus[0], true);
    expect(write(0, FROM, 0x123, 0x456)).toBe(0);
    expect(rdmsr(0, FROM)).toEqual([0x123, 0x456, 0]);
    expect(said()).toEqual([`guestWrite 0 ${FROM} 291 1110`, `guestRead 0 ${FROM} 291 1110`]);
    expect([m.pcpus[0].rdmsr(FROM), m.pcpus[0].edx]).toEqual([0x123, 0x456]);
    expect(write(0, msrs.MSR_LBR_SELECT, 0, 1)).toBe(GP);
    expect(said()).toEqual([`guestFault 0 ${msrs.MSR_LBR_SELECT} true 0 1`]);
    expect(rdmsr(0, msrs.MSR_CORE_PERF_GLOBAL_STATUS)).toEqual([0, 0, 0]);
  });

  it('an LBR access always enters the guest first', () => {
    const { m, rdmsr, write, said } = new HookedRig();
    m.kvm.setPassthrough(m.vcpus[0], true);
    m.kvm.exit(m.vcpus[0]);
    said();
    rdmsr(0, msrs.MSR_LBR_TOS);
    expect([m.vcpus[0].inGuest, said()[0]]).toEqual([true, 'handleRequests 0']);
    m.kvm.exit(m.vcpus[0]);
    said();
    write(0, msrs.MSR_LBR_TOS, 1, 0);
    expect([m.vcpus[0].inGuest, said()[0]]).toEqual([true, 'handleRequests 0']);
  });
});

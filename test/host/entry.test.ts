/** What KVM offers the posted versions: a veto on DEBUGCTL, LBR_SELECT alone, MSR areas. */
import { describe, expect, it } from 'vitest';
import * as msrs from '../../src/hw/msr_index.js';
import { kvmCpuidFeatures } from '../../src/host/kvm.js';
import { POLICIES } from '../../src/host/policy/index.js';
import { never } from '../../src/host/policy/never.js';
import { pvV2 } from '../../src/host/policy/pv_v2.js';
import { bootedMachine, DEBUGCTL, FROM, GP, HookedRig, LBR } from '../rig/machine.js';
import { SELECT, TO, TOS } from '../rig/machine.js';

const BTF = msrs.DEBUGCTLMSR_BTF;

const rigOf = (cpu: string): HookedRig => new HookedRig('none', { vms: 1, cpu });

/** Lines of the rig without the VM exits. */
function told({ said }: HookedRig): string[] {
  const exits = ['exited', 'vcpu_exit', 'handleRequests', 'vcpu_enter'];
  return said().filter((line) => !exits.includes(line.split(' ')[0]));
}

describe('an access to DEBUGCTL', () => {
  it('the policy is always asked about a DEBUGCTL access first, and sees the old value', () => {
    const rig = rigOf('haswell');
    expect(rig.write(0, DEBUGCTL, LBR | BTF)).toBe(0);
    const written = `guestWrite 0 ${DEBUGCTL} ${LBR | BTF} 0`;
    expect(told(rig)).toEqual(['debugctlAccess 0 at 0', `setDebugctl 0 at ${LBR}`, written]);
    expect(rig.rdmsr(0, DEBUGCTL)).toEqual([LBR, 0, 0]);
    expect(told(rig)).toEqual([`debugctlAccess 0 at ${LBR}`, `guestRead 0 ${DEBUGCTL} ${LBR} 0`]);
  });

  it('an access to DEBUGCTL fails with what the policy raises, and changes nothing', () => {
    const rig = rigOf('haswell');
    rig.write(0, DEBUGCTL, LBR);
    told(rig);
    rig.hooks.vector = GP;
    expect(rig.write(0, DEBUGCTL, 0)).toBe(GP);
    const refused = `guestFault 0 ${DEBUGCTL}`;
    expect(told(rig)).toEqual([`debugctlAccess 0 at ${LBR}`, `${refused} true 0 0`]);
    expect(rig.m.vcpus[0].vmcs.guestDebugctl).toBe(LBR);
    expect(rig.rdmsr(0, DEBUGCTL)).toEqual([0, 0, GP]);
    expect(told(rig)).toEqual([`debugctlAccess 0 at ${LBR}`, `${refused} false 0 0`]);
    rig.hooks.vector = 0;
    expect(rig.rdmsr(0, DEBUGCTL)).toEqual([LBR, 0, 0]);
  });

  it('a DEBUGCTL value that the CPU refuses never reaches the policy', () => {
    const rig = rigOf('haswell');
    expect([rig.write(0, DEBUGCTL, LBR, 1), rig.write(0, DEBUGCTL, 1 << 20)]).toEqual([GP, GP]);
    expect(told(rig).filter((line) => line.includes('debugctl'))).toEqual([]);
  });
});

describe('lbrEnabled', () => {
  it('lbrEnabled always says whether the guest will record', () => {
    const { vcpus } = rigOf('haswell').m;
    const values = [0, LBR, BTF, LBR | BTF, ~LBR];
    const enabled = values.map((value) => {
      vcpus[0].vmcs.guestDebugctl = value;
      return vcpus[0].lbrEnabled;
    });
    expect(enabled).toEqual([false, true, false, true, false]);
  });
});

describe('interceptSelect', () => {
  it('interceptSelect always traps SELECT for reads and writes, and leaves the rest open', () => {
    const { kvm, vcpus } = rigOf('haswell').m;
    const [{ vmcs }] = vcpus;
    kvm.setPassthrough(vcpus[0], true);
    expect([vmcs.interceptsRead(SELECT), vmcs.interceptsWrite(SELECT)]).toEqual([false, false]);
    kvm.interceptSelect(vcpus[0]);
    expect([vmcs.interceptsRead(SELECT), vmcs.interceptsWrite(SELECT)]).toEqual([true, true]);
    for (const msr of [TOS, FROM, TO + 15]) expect(vmcs.interceptsRead(msr)).toBe(false);
  });

  it('interceptSelect never traps anything on a CPU without SELECT', () => {
    const { kvm, vcpus } = rigOf('core2').m;
    kvm.setPassthrough(vcpus[0], true);
    kvm.interceptSelect(vcpus[0]);
    expect(vcpus[0].vmcs.interceptsWrite(TOS)).toBe(false);
  });
});

describe('loadAtEntry', () => {
  /** A vCPU whose saved stack holds a kernel address as hardware without TSX captures it. */
  function captured(cpu: string): HookedRig {
    const rig = rigOf(cpu);
    const [{ records }] = rig.m.vcpus;
    records.write(FROM, 5, 0x1fff8000);
    records.write(FROM + 1, 6, 0x22);
    records.write(TO, 7, 0x33);
    records.write(TOS, 1, 0);
    records.write(SELECT, 4, 0);
    rig.m.kvm.loadAtEntry(rig.m.vcpus[0]);
    return rig;
  }

  it('loadAtEntry always writes every register from the saved stack, on behalf of the vCPU', () => {
    const rig = captured('haswell');
    const { stack } = rig.m.pcpus[0];
    expect(told(rig)).toEqual(['hostStack 0 0 34 true']);
    expect([stack.readLow(FROM), stack.readHigh(FROM)]).toEqual([5, 0x1fff8000]);
    expect([stack.readHigh(FROM + 1), stack.readLow(TO), stack.readHigh(TO)]).toEqual([
      0x22, 7, 0x33,
    ]);
    expect([stack.tos, stack.lbr_select]).toEqual([1, 4]);
  });

  it('without TSX loadAtEntry never repairs a sign: the entry fails, the register stays', () => {
    const rig = captured('haswell-notsx');
    const { stack } = rig.m.pcpus[0];
    expect(told(rig)).toEqual(['hostStack 0 0 34 true', 'entryFailed 0']);
    expect([stack.readLow(FROM), stack.readHigh(FROM)]).toEqual([0, 0]);
    expect([stack.readLow(FROM + 1), stack.tos, stack.lbr_select]).toEqual([6, 1, 4]);
  });
});

describe('scrubPcpu', () => {
  it('scrubPcpu always zeroes every register of the pCPU, for the host itself', () => {
    const rig = rigOf('haswell');
    const [cpu] = rig.m.pcpus;
    for (const msr of [FROM, TO + 15, TOS, SELECT]) expect(cpu.wrmsr(msr, 3, 0)).toBe(0);
    rig.m.kvm.scrubPcpu(0);
    expect([FROM, TO + 15, TOS, SELECT].map((msr) => cpu.rdmsr(msr))).toEqual([0, 0, 0, 0]);
    expect(told(rig)).toEqual(['hostStack 0 -1 34 true true']);
  });
});

describe('kvmCpuidFeatures', () => {
  it('kvmCpuidFeatures has bit 30 for paravirtual policies, and never any other bit', () => {
    const features = POLICIES.map((policy) => [policy.pv !== 'none', kvmCpuidFeatures(policy)]);
    for (const [pv, eax] of features) expect(eax).toBe(pv === true ? 0x40000000 : 0);
    expect(kvmCpuidFeatures(never)).toBe(0);
    expect(kvmCpuidFeatures(pvV2)).toBe(0x40000000);
  });
});

describe('migrate', () => {
  it.each(POLICIES)('a migration never touches the vCPU beside it under $name', (policy) => {
    const m = bootedMachine({ policy });
    m.switchTo(0, 1);
    const [, { pcpu, inGuest, host_debugctl }] = m.vcpus;
    m.liveMigrate(0);
    const [, beside] = m.vcpus;
    expect([beside.pcpu, beside.inGuest]).toEqual([pcpu, inGuest]);
    expect([pcpu, beside.host_debugctl]).toEqual([0, host_debugctl]);
  });
});

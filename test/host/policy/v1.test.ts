/** v1 saves the stack at every VM exit and restores it at every VM entry; three readings. */
import { describe, expect, it } from 'vitest';
import { BRANCH_SYSCALL, BRANCH_IRET } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { v1Vmx, v1VmxArea, v1VmxSwap } from '../../../src/host/policy/v1_vmx.js';
import { cpuModel } from '../../rig/cpu.js';
import { CLOSE, DEBUGCTL, FLEXIBLE, FROM, GP, INFO, LBR } from '../../rig/machine.js';
import { OF_TASK, ON, PINNED, Rig, SELECT, TO, TOS } from '../../rig/machine.js';

const ALL = [v1Vmx, v1VmxSwap, v1VmxArea];
/** The host accesses all LBR MSRs for v0, at an entry and at an exit. */
const LOADED = 'v0 writes 34';
const SAVED = 'v0 reads 34';
const OPEN = ['FROM', 'TO', 'TOS', 'SELECT'];

function fill(rig: Rig, seed: number): void {
  for (const [i, msr] of [FROM, TO, FROM + 15, TO + 15, TOS, SELECT].entries()) {
    expect(rig.write(0, msr, seed + i)).toBe(0);
  }
}

/** Values of v0's registers, read without an exit. */
function found(rig: Rig): (number | 'gp')[] {
  return [FROM, TO, FROM + 15, TO + 15, TOS, SELECT].map((msr) => rig.read(0, msr));
}

describe.each(ALL)('$name', (policy) => {
  it(`${policy.name} passes everything through, and never takes the guest to have stopped`, () => {
    for (const cpu of ['haswell', 'skylake']) {
      const rig = new Rig(policy, { cpu });
      expect([rig.open.filter((name) => name !== 'INFO'), rig.inUse]).toEqual([OPEN, null]);
      expect(rig.open.includes('INFO')).toBe(cpu === 'skylake');
      expect([rig.event, rig.words, rig.work()]).toEqual(['none', [], []]);
    }
  });

  it(`${policy.name} saves once at an exit and restores once at an entry, and that is all`, () => {
    const rig = new Rig(policy);
    const [vcpu] = rig.m.vcpus;
    fill(rig, 8);
    rig.m.kvm.enter(vcpu);
    expect(rig.work()).toEqual([]);
    rig.m.kvm.exit(vcpu);
    expect(rig.work()).toEqual([SAVED]);
    rig.m.kvm.exit(vcpu);
    expect(rig.work()).toEqual([]);
    rig.m.kvm.enter(vcpu);
    expect(rig.work()).toEqual([LOADED]);
    rig.nextSlice();
    expect(rig.work()).toEqual([SAVED, 'v1 writes 34', 'v1 reads 34', LOADED]);
    rig.read(0, DEBUGCTL);
    expect(rig.work()).toEqual([SAVED]);
  });

  it(`${policy.name} always brings back the whole stack, LBR_SELECT included`, () => {
    for (const cpu of ['haswell', 'nehalem', 'knl']) {
      const rig = new Rig(policy, { cpu });
      const last = cpuModel(cpu).lbr_nr - 1;
      const filled = [FROM, TO, FROM + last, TO + last, TOS, SELECT];
      for (const [i, msr] of filled.entries()) expect(rig.write(0, msr, i + 2)).toBe(0);
      rig.m.kvm.exit(rig.m.vcpus[0]);
      for (const msr of filled) rig.m.pcpus[0].wrmsr(msr, 1, 0);
      expect(filled.map((msr) => rig.read(0, msr))).toEqual([2, 3, 4, 5, 6, 7]);
      for (const msr of filled) rig.write(0, msr, 3);
      rig.m.switchTo(0, 1);
      expect(filled.map((msr) => rig.read(1, msr))).toEqual([0, 0, 0, 0, 0, 0]);
      rig.m.switchTo(0, 0);
      expect(filled.map((msr) => rig.read(0, msr))).toEqual([3, 3, 3, 3, 3, 3]);
    }
  });

  it(`${policy.name} always brings back INFO and the high halves`, () => {
    const rig = new Rig(policy, { cpu: 'skylake' });
    rig.write(0, INFO + 31, 9, msrs.LBR_INFO_MISPRED_HI);
    rig.write(0, FROM + 31, 7, 3);
    rig.m.exitAndEnter(0);
    rig.m.pcpus[0].stack.clear();
    const { kvm, vcpus } = rig.m;
    expect([kvm.guestRdmsr(vcpus[0], INFO + 31), kvm.edx]).toEqual([9, msrs.LBR_INFO_MISPRED_HI]);
    expect([kvm.guestRdmsr(vcpus[0], FROM + 31), kvm.edx]).toEqual([7, 3]);
  });

  it(`${policy.name} never keeps anything over a live migration`, () => {
    const rig = new Rig(policy);
    fill(rig, 8);
    rig.write(0, DEBUGCTL, LBR);
    rig.migrate();
    expect([found(rig), rig.debugctl]).toEqual([[0, 0, 0, 0, 0, 0], 0]);
  });

  it(`a bad write faults the guest under ${policy.name}, since it is passed through`, () => {
    const rig = new Rig(policy);
    expect([rig.write(0, SELECT, 0, 1), rig.work()]).toEqual([GP, []]);
  });
});

/** A host event counts and has records of its own. The vCPU is out. */
function beside(policy: LbrPolicy, which: number): Rig {
  const rig = new Rig(policy);
  fill(rig, 8);
  rig.m.hostEvent(0, which, ON);
  rig.m.hostWork(0, 3);
  expect(rig.m.host.hostLbrActive(0)).toBe(true);
  rig.work();
  return rig;
}

describe('a host event that counts', () => {
  it.each([v1Vmx, v1VmxArea])(
    'a host event that counts always loses its records to the guest under $name',
    (policy) => {
      for (const which of [PINNED, OF_TASK, FLEXIBLE]) {
        const rig = beside(policy, which);
        rig.enter();
        rig.m.kvm.exit(rig.m.vcpus[0]);
        expect([rig.work(), rig.m.kvm.lentOut(0)]).toEqual([[LOADED, SAVED], false]);
        const { stack } = rig.m.pcpus[0];
        expect([stack.readLow(FROM), stack.tos, stack.lbr_select]).toEqual([8, 12, 13]);
      }
    },
  );

  it('under v1-vmx-swap a host event lends its records from entry to exit', () => {
    for (const which of [PINNED, OF_TASK, FLEXIBLE]) {
      const rig = beside(v1VmxSwap, which);
      const [vcpu] = rig.m.vcpus;
      const { stack } = rig.m.pcpus[0];
      const host = [stack.readLow(FROM), stack.tos, stack.lbr_select, rig.m.pcpus[0].debugctl];
      for (let i = 0; i < 2; i++) {
        rig.enter();
        expect(rig.work()).toEqual(['host reads 34', LOADED]);
        expect([rig.words, rig.m.kvm.lentOut(0)]).toEqual([['borrowed'], true]);
        expect(found(rig)).toEqual([8, 9, 10, 11, 12, 13]);
        rig.m.kvm.exit(vcpu);
        expect(rig.work()).toEqual([SAVED, 'host writes 34']);
        expect([rig.words, rig.m.kvm.lentOut(0)]).toEqual([[], false]);
        const now = [stack.readLow(FROM), stack.tos, stack.lbr_select, rig.m.pcpus[0].debugctl];
        expect(now).toEqual(host);
      }
    }
  });

  it('v1-vmx-swap never borrows from a closed host event, nor gives back what nobody lent', () => {
    const rig = beside(v1VmxSwap, PINNED);
    rig.enter();
    rig.m.hostEvent(0, PINNED, CLOSE);
    expect([rig.m.kvm.lentOut(0), rig.words]).toEqual([false, []]);
    rig.work();
    rig.m.exitAndEnter(0);
    expect([rig.work(), rig.words, rig.m.kvm.lentOut(0)]).toEqual([[LOADED, SAVED], [], false]);
    expect(found(rig)).toEqual([8, 9, 10, 11, 12, 13]);
  });
});

describe('an entry after a record with a kernel address', () => {
  /** With LBR on, the guest enters its kernel and returns. Then the vCPU exits. */
  function recorded(policy: LbrPolicy, cpu: string): Rig {
    const rig = new Rig(policy, { cpu });
    rig.write(0, DEBUGCTL, LBR);
    rig.m.enterKernel(0, BRANCH_SYSCALL);
    rig.m.leaveKernel(0, BRANCH_IRET);
    rig.write(0, DEBUGCTL, 0);
    expect(rig.m.vcpus[0].records.tos).toBe(2);
    rig.work();
    rig.m.switchTo(0, -1);
    rig.work();
    return rig;
  }

  it('without TSX the entry of v1-vmx-area fails after a kernel record, which stays out', () => {
    const rig = recorded(v1VmxArea, 'haswell-notsx');
    rig.m.pcpus[0].stack.clear();
    rig.m.pcpus[0].wrmsr(FROM + 2, 66, 0);
    rig.m.pcpus[0].wrmsr(TO + 2, 67, 0);
    rig.m.switchTo(0, 0);
    expect(rig.work()).toEqual([LOADED, 'entry of v0 failed']);
    const { stack } = rig.m.pcpus[0];
    expect([stack.readLow(FROM + 2), stack.readHigh(FROM + 2)]).toEqual([66, 0]);
    expect([stack.readLow(TO + 2), stack.readLow(FROM + 1), stack.tos]).toEqual([2, 1, 2]);
  });

  it('the entry never fails with TSX, nor where KVM fixes up what it writes', () => {
    for (const [policy, cpu] of [
      [v1VmxArea, 'haswell'],
      [v1VmxArea, 'skylake'],
      [v1Vmx, 'haswell-notsx'],
      [v1VmxSwap, 'haswell-notsx'],
    ] as const) {
      const rig = recorded(policy, cpu);
      rig.m.pcpus[0].stack.clear();
      rig.m.switchTo(0, 0);
      const count = cpu === 'skylake' ? 98 : 34;
      expect([policy.name, cpu, rig.work()]).toEqual([policy.name, cpu, [`v0 writes ${count}`]]);
      const { stack } = rig.m.pcpus[0];
      expect([stack.readLow(FROM + 2), stack.readLow(TO + 2), stack.tos]).toEqual([2, 2, 2]);
    }
  });
});

/** The policies that wait for a sign of use: lazy-literal, lazy-sound, pv-sound and parked. */
import { describe, expect, it } from 'vitest';
import { MSR_KVM_PV_LBR_CTRL } from '../../../src/guest/pv/kvm_para.js';
import { BRANCH_JCC } from '../../../src/hw/branch.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { lazyLiteral } from '../../../src/host/policy/lazy_literal.js';
import { lazySound } from '../../../src/host/policy/lazy_sound.js';
import { parked } from '../../../src/host/policy/parked.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { pvSound } from '../../../src/host/policy/pv_sound.js';
import { CLOSE, DEBUGCTL, FROM, LBR, OFF, ON, PINNED, Rig } from '../../rig/machine.js';
import { SELECT, TOS } from '../../rig/machine.js';

/** The host accesses all 34 LBR MSRs of haswell for v0. */
const RESTORED = 'v0 writes 34';
const SAVED = 'v0 reads 34';
/** A save, then a wipe, which writes all the registers. */
const PARKED = [SAVED, RESTORED];

describe('lazy-literal', () => {
  it('lazy-literal always intercepts when a slice begins, and restores nothing (L1)', () => {
    const rig = new Rig(lazyLiteral);
    expect([rig.intercepted(), rig.inUse, rig.workAtBoot]).toEqual([true, false, []]);
    rig.get(0, TOS);
    expect([rig.intercepted(), rig.inUse]).toEqual([false, true]);
    rig.nextSlice();
    expect([rig.intercepted(), rig.inUse]).toEqual([true, false]);
  });

  it('lazy-literal restores on the first access, makes it, and then passes through (L2)', () => {
    for (const access of ['read', 'write'] as const) {
      const rig = new Rig(lazyLiteral);
      rig.m.vcpus[0].records.write(FROM + 2, 77, 0);
      rig.m.vcpus[0].records.write(SELECT, 9, 0);
      if (access === 'read') expect(rig.get(0, FROM + 2)).toBe(77);
      else rig.set(0, FROM + 2, 78);
      expect(rig.kvmWork()).toEqual([RESTORED, `v0 ${access}s one`]);
      expect(rig.get(0, FROM + 2)).toBe(access === 'read' ? 77 : 78);
      expect(rig.get(0, SELECT)).toBe(9);
      rig.set(0, TOS, 5);
      expect(rig.get(0, TOS)).toBe(5);
      expect(rig.kvmWork()).toEqual([]);
    }
  });

  it('lazy-literal always saves a slice with an access, and never one without (L3)', () => {
    const rig = new Rig(lazyLiteral);
    rig.set(0, FROM + 2, 77);
    rig.set(0, SELECT, 9);
    rig.kvmWork();
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([SAVED]);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([]);
    expect([rig.get(0, FROM + 2), rig.get(0, SELECT)]).toEqual([77, 9]);
  });

  it('lazy-literal always covers up what was recorded before the first access', () => {
    const rig = new Rig(lazyLiteral);
    rig.set(0, DEBUGCTL, LBR);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect(rig.m.pcpus[0].stack.tos).toBe(2);
    expect(rig.get(0, TOS)).toBe(0);
  });

  it('lazy-literal always hands on the fault of an access', () => {
    const rig = new Rig(lazyLiteral);
    expect(rig.write(0, SELECT, 0, 1)).toBe(13);
    expect(rig.kvmWork()).toEqual([RESTORED, 'v0 writes one']);
  });

  it('lazy-literal never keeps the stack over a live migration, and intercepts again', () => {
    const rig = new Rig(lazyLiteral);
    rig.set(0, FROM + 2, 77);
    rig.migrate();
    expect([rig.intercepted(), rig.get(0, FROM + 2)]).toEqual([true, 0]);
  });
});

const SOUND = [lazySound, pvSound, parked];

describe.each(SOUND)('$name', (policy) => {
  it(`${policy.name} never works for a guest that does not use LBR`, () => {
    const rig = new Rig(policy);
    rig.nextSlice();
    rig.m.exitAndEnter(0);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.intercepted(), rig.inUse]).toEqual([[], true, false]);
    expect(rig.workAtBoot).toEqual([]);
  });

  it(`${policy.name} answers a trapped read from the copy, and restores at the entry`, () => {
    const rig = new Rig(policy);
    rig.m.vcpus[0].records.write(FROM + 2, 77, 3);
    rig.m.vcpus[0].records.write(TOS, 4, 0);
    rig.m.pcpus[0].wrmsr(FROM + 2, 66, 0);
    expect([rig.get(0, FROM + 2), rig.m.kvm.edx]).toEqual([77, 3]);
    expect([rig.intercepted(), rig.kvmWork()]).toEqual([true, []]);
    rig.enter();
    expect([rig.intercepted(), rig.kvmWork()]).toEqual([false, [RESTORED]]);
    expect([rig.get(0, FROM + 2), rig.m.kvm.edx, rig.get(0, TOS)]).toEqual([77, 3, 4]);
    rig.m.exitAndEnter(0);
    expect(rig.kvmWork()).toEqual([]);
  });

  it(`${policy.name} takes a trapped write into the parked copy, and a bad one nowhere`, () => {
    const rig = new Rig(policy);
    const before = rig.m.vcpus[0].records.lbr_select;
    expect(rig.write(0, SELECT, 1, 1)).toBe(13);
    expect(rig.m.vcpus[0].records.lbr_select).toBe(before);
    rig.enter();
    expect([rig.intercepted(), rig.kvmWork()]).toEqual([true, []]);
    expect(rig.write(0, FROM + 1, 77, 2)).toBe(0);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(0);
    expect([rig.get(0, FROM + 1), rig.m.kvm.edx]).toEqual([77, 2]);
    expect([rig.m.pcpus[0].rdmsr(FROM + 1), rig.m.pcpus[0].edx]).toEqual([77, 2]);
    expect(rig.kvmWork()).toEqual([RESTORED]);
  });

  it(`${policy.name} always restores before an entry with DEBUGCTL.LBR set`, () => {
    const rig = new Rig(policy);
    rig.m.vcpus[0].records.write(TOS, 4, 0);
    rig.set(0, DEBUGCTL, LBR);
    expect(rig.kvmWork()).toEqual([]);
    rig.m.branches(0, BRANCH_JCC, 2);
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([[RESTORED], false]);
    expect([rig.inUse || policy === pvSound, rig.get(0, TOS)]).toEqual([true, 6]);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([...PARKED, RESTORED]);
    expect([rig.intercepted(), rig.get(0, TOS)]).toEqual([false, 6]);
  });

  it(`${policy.name} never restores for FREEZE_LBRS_ON_PMI alone`, () => {
    const rig = new Rig(policy);
    rig.set(0, DEBUGCTL, msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    rig.enter();
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([[], true]);
  });

  it(`${policy.name} saves, wipes and intercepts when a slice with a live stack ends`, () => {
    const rig = new Rig(policy);
    rig.set(0, FROM + 2, 77);
    rig.get(0, FROM + 2);
    rig.set(0, SELECT, 9);
    rig.kvmWork();
    rig.m.switchTo(0, -1);
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([PARKED, true]);
    const { stack } = rig.m.pcpus[0];
    expect([stack.empty, stack.tos, stack.lbr_select]).toEqual([true, 0, 0]);
    expect(rig.m.vcpus[0].records.readLow(FROM + 2)).toBe(77);
    expect(rig.m.vcpus[0].records.lbr_select).toBe(9);
  });

  it(`${policy.name} carries the stack over a live migration, and intercepts again`, () => {
    const rig = new Rig(policy);
    rig.set(0, FROM + 2, 77);
    rig.get(0, FROM + 2);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.kvmWork();
    rig.m.switchTo(0, 0);
    expect([rig.kvmWork(), rig.intercepted(), rig.inUse]).toEqual([[], true, false]);
    expect(rig.get(0, FROM + 2)).toBe(77);
  });

  it(`${policy.name} parks before a host event counts, and borrows around each entry`, () => {
    const rig = new Rig(policy);
    rig.set(0, FROM + 2, 77);
    rig.set(0, DEBUGCTL, LBR);
    rig.get(0, FROM + 2);
    rig.kvmWork();
    rig.m.hostEvent(0, PINNED, ON);
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([PARKED, true]);
    rig.m.hostWork(0, 3);
    const host = [rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].debugctl];
    for (let i = 0; i < 2; i++) {
      expect(rig.get(0, FROM + 2)).toBe(77);
      expect([rig.kvmWork(), rig.m.kvm.lentOut(0)]).toEqual([['host reads 34', RESTORED], true]);
      rig.m.kvm.exit(rig.m.vcpus[0]);
      expect(rig.kvmWork()).toEqual([...PARKED, 'host writes 34']);
      expect([rig.m.kvm.lentOut(0), rig.intercepted()]).toEqual([false, true]);
      expect([rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].debugctl]).toEqual(host);
    }
    rig.m.hostEvent(0, PINNED, OFF);
    rig.kvmWork();
    expect([rig.get(0, FROM + 2), rig.kvmWork()]).toEqual([77, [RESTORED]]);
  });

  it(`${policy.name} never parks for a host event on an idle pCPU, nor when one stops`, () => {
    const rig = new Rig(policy);
    rig.set(0, FROM + 2, 77);
    rig.get(0, FROM + 2);
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.switchTo(0, -1);
    rig.kvmWork();
    rig.m.hostEvent(0, PINNED, CLOSE);
    rig.m.hostEvent(0, PINNED, ON);
    expect(rig.kvmWork()).toEqual([]);
    rig.m.hostEvent(0, PINNED, OFF);
    rig.m.switchTo(0, 0);
    rig.get(0, FROM + 2);
    rig.enter();
    rig.kvmWork();
    // The host event is off already, so the stack stays live.
    rig.m.hostEvent(0, PINNED, CLOSE);
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([[], false]);
  });
});

/** A vCPU with a live, empty stack: the guest has read a register, and DEBUGCTL.LBR is 0. */
function used(policy: LbrPolicy): Rig {
  const rig = new Rig(policy);
  rig.get(0, TOS);
  rig.enter();
  rig.kvmWork();
  return rig;
}

describe('lazy-sound', () => {
  it('lazy-sound never restores in the next slice without a new sign of use', () => {
    const rig = used(lazySound);
    expect(rig.inUse).toBe(true);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.inUse]).toEqual([PARKED, false]);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([]);
    rig.get(0, TOS);
    rig.enter();
    expect(rig.kvmWork()).toEqual([RESTORED]);
  });
});

describe('pv-sound', () => {
  it('pv-sound always restores eagerly while ACTIVE is set', () => {
    const rig = new Rig(pvSound);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    expect([rig.inUse, rig.kvmWork()]).toEqual([true, []]);
    rig.enter();
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([[RESTORED], false]);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([[...PARKED, RESTORED], false]);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 0);
    expect(rig.inUse).toBe(false);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([PARKED, true]);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([]);
  });

  it('pv-sound never restores in the next slice without ACTIVE or a new sign of use', () => {
    const rig = used(pvSound);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual(PARKED);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([]);
  });

  it('pv-sound always carries ACTIVE over a live migration', () => {
    const rig = new Rig(pvSound);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    rig.kvmWork();
    rig.m.switchTo(0, 0);
    expect([rig.kvmWork(), rig.inUse]).toEqual([[RESTORED], true]);
  });
});

describe('parked', () => {
  it('parked is eager for one slice after a sign of use, and then waits for the next', () => {
    const rig = used(parked);
    expect(rig.inUse).toBe(true);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.intercepted()]).toEqual([[...PARKED, RESTORED], false]);
    expect(rig.inUse).toBe(true);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.intercepted(), rig.inUse]).toEqual([PARKED, true, false]);
    rig.nextSlice();
    expect(rig.kvmWork()).toEqual([]);
  });

  it('parked always takes DEBUGCTL.LBR at an entry for a sign of use', () => {
    const rig = new Rig(parked);
    rig.set(0, DEBUGCTL, LBR);
    rig.enter();
    rig.set(0, DEBUGCTL, 0);
    rig.kvmWork();
    rig.nextSlice();
    expect([rig.kvmWork(), rig.inUse]).toEqual([[...PARKED, RESTORED], true]);
  });

  it('parked never takes a trapped access that no entry followed for a sign of use', () => {
    const rig = new Rig(parked);
    rig.get(0, TOS);
    rig.nextSlice();
    expect([rig.kvmWork(), rig.inUse]).toEqual([[], false]);
  });
});

/** The policies that do not look for signs of use: never, always, and PV as posted in 2018. */
import { describe, expect, it } from 'vitest';
import { MSR_KVM_PV_LBR_CTRL } from '../../../src/guest/pv/kvm_para.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { always } from '../../../src/host/policy/always.js';
import { never } from '../../../src/host/policy/never.js';
import { pvV2, pvV2Direct } from '../../../src/host/policy/pv_v2.js';
import { CLOSE, DEBUGCTL, FROM, ON, PINNED, Rig, SELECT, TOS } from '../../rig/machine.js';

/** FROM, TO and TOS of haswell. ALL counts LBR_SELECT as well. */
const RECORDS = 33;
const ALL = 34;

describe('never', () => {
  it('the policy "never" leaves the registers to the next vCPU, and to the host', () => {
    const rig = new Rig(never);
    expect([rig.intercepted(0), rig.intercepted(1)]).toEqual([false, false]);
    rig.set(0, FROM + 1, 77);
    rig.set(0, TOS, 1);
    rig.m.switchTo(0, 1);
    expect([rig.get(1, FROM + 1), rig.get(1, TOS)]).toEqual([77, 1]);
    rig.set(1, FROM + 1, 78);
    rig.m.switchTo(0, -1);
    expect(rig.m.pcpus[0].rdmsr(FROM + 1)).toBe(78);
    rig.m.switchTo(0, 0);
    expect(rig.get(0, FROM + 1)).toBe(78);
    expect([rig.workAtBoot, rig.kvmWork()]).toEqual([[], []]);
  });

  it('the policy "never" loses the stack in a live migration, and passes through again', () => {
    const rig = new Rig(never);
    rig.set(0, DEBUGCTL, 1);
    rig.m.switchTo(0, -1);
    rig.m.vcpus[0].records.write(TOS, 3, 0);
    rig.m.liveMigrate(0);
    expect([rig.m.vcpus[0].records.tos, rig.m.vcpus[0].vmcs.guestDebugctl]).toEqual([0, 0]);
    expect(rig.intercepted(0)).toBe(false);
  });

  it('the policy "never" does not know whether a guest uses LBR', () => {
    expect(never.inUse).toBe(null);
  });
});

describe('always', () => {
  it('the policy "always" restores before the first entry, and parks when a slice ends', () => {
    const rig = new Rig(always);
    expect(rig.workAtBoot).toEqual([`v0 writes ${ALL}`]);
    expect(rig.intercepted(0)).toBe(false);
    rig.set(0, FROM + 1, 77);
    rig.set(0, TOS, 1);
    rig.set(0, SELECT, 5);
    rig.m.switchTo(0, -1);
    expect(rig.kvmWork()).toEqual([`v0 reads ${ALL}`, `v0 writes ${ALL}`]);
    const { stack } = rig.m.pcpus[0];
    expect([stack.empty, stack.tos, stack.lbr_select]).toEqual([true, 0, 0]);
    expect(rig.intercepted(0)).toBe(true);
    rig.m.switchTo(0, 1);
    expect(rig.kvmWork()).toEqual([`v1 writes ${ALL}`]);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.get(1, msr))).toEqual([0, 0, 0]);
    rig.set(1, FROM + 1, 78);
    rig.m.switchTo(0, 0);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.get(0, msr))).toEqual([77, 1, 5]);
    rig.m.switchTo(0, 1);
    expect(rig.get(1, FROM + 1)).toBe(78);
  });

  it('the policy "always" does nothing at an exit and re-entry without a host event', () => {
    const rig = new Rig(always);
    rig.m.exitAndEnter(0);
    rig.get(0, TOS);
    expect(rig.kvmWork()).toEqual([]);
  });

  it('under the policy "always" the stack follows the vCPU to another pCPU', () => {
    const rig = new Rig(always, { pcpus: 2 });
    rig.set(0, FROM + 1, 77);
    rig.m.switchTo(0, -1);
    rig.m.switchTo(1, -1);
    rig.kvmWork();
    rig.m.switchTo(1, 0);
    expect(rig.kvmWork()).toEqual([`p1: v0 writes ${ALL}`]);
    expect(rig.get(0, FROM + 1)).toBe(77);
  });

  it('the policy "always" parks for a host event, and borrows around each entry', () => {
    const rig = new Rig(always);
    rig.set(0, FROM + 1, 77);
    rig.kvmWork();
    rig.m.hostEvent(0, PINNED, ON);
    expect(rig.kvmWork()).toEqual([`v0 reads ${ALL}`, `v0 writes ${ALL}`]);
    expect(rig.intercepted(0)).toBe(true);
    const host = rig.m.pcpus[0].debugctl;
    expect(host & msrs.DEBUGCTLMSR_LBR).toBe(msrs.DEBUGCTLMSR_LBR);
    rig.m.hostWork(0, 3);
    const own = rig.m.pcpus[0].stack.tos;
    for (let i = 0; i < 2; i++) {
      expect(rig.get(0, FROM + 1)).toBe(77);
      expect(rig.intercepted(0)).toBe(false);
      expect(rig.kvmWork()).toEqual([`host reads ${ALL}`, `v0 writes ${ALL}`]);
      rig.m.kvm.exit(rig.m.vcpus[0]);
      const parked = [`v0 reads ${ALL}`, `v0 writes ${ALL}`];
      expect(rig.kvmWork()).toEqual([...parked, `host writes ${ALL}`]);
      expect([rig.m.pcpus[0].stack.tos, rig.m.pcpus[0].debugctl]).toEqual([own, host]);
      expect(rig.intercepted(0)).toBe(true);
    }
  });

  it('the policy "always" borrows no longer once the host event is closed', () => {
    const rig = new Rig(always);
    rig.m.hostEvent(0, PINNED, ON);
    rig.get(0, TOS);
    rig.m.hostEvent(0, PINNED, CLOSE);
    rig.kvmWork();
    rig.get(0, TOS);
    rig.m.exitAndEnter(0);
    expect(rig.kvmWork()).toEqual([`v0 writes ${ALL}`]);
    expect(rig.m.kvm.lentOut(0)).toBe(false);
  });

  it('under the policy "always" the stack survives a live migration', () => {
    const rig = new Rig(always);
    rig.set(0, FROM + 1, 77);
    rig.set(0, DEBUGCTL, 1);
    rig.migrate();
    expect([rig.get(0, FROM + 1), rig.get(0, DEBUGCTL)]).toEqual([77, 1]);
    expect(always.inUse).toBe(null);
  });
});

describe('pv-v2-direct', () => {
  it('pv-v2-direct never does anything while ACTIVE is 0', () => {
    const rig = new Rig(pvV2Direct);
    expect(pvV2Direct.inUse?.(rig.m.vcpus[0])).toBe(false);
    rig.set(0, FROM + 1, 77);
    rig.m.switchTo(0, 1);
    expect(rig.get(1, FROM + 1)).toBe(77);
    expect([rig.workAtBoot, rig.kvmWork()]).toEqual([[], []]);
    expect([rig.intercepted(0), rig.intercepted(1)]).toEqual([false, false]);
  });

  it('while ACTIVE is 1, pv-v2-direct switches all but LBR_SELECT, and never scrubs', () => {
    const rig = new Rig(pvV2Direct);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    expect(pvV2Direct.inUse?.(rig.m.vcpus[0])).toBe(true);
    rig.set(0, FROM + 1, 77);
    rig.set(0, TOS, 1);
    rig.set(0, SELECT, 5);
    expect(rig.kvmWork()).toEqual([]);
    rig.m.switchTo(0, 1);
    expect(rig.kvmWork()).toEqual([`v0 reads ${RECORDS}`]);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.get(1, msr))).toEqual([77, 1, 5]);
    rig.set(1, FROM + 1, 78);
    rig.set(1, TOS, 2);
    rig.set(1, SELECT, 6);
    rig.m.switchTo(0, 0);
    expect(rig.kvmWork()).toEqual([`v0 writes ${RECORDS}`]);
    expect([FROM + 1, TOS, SELECT].map((msr) => rig.get(0, msr))).toEqual([77, 1, 6]);
    expect(rig.intercepted(0)).toBe(false);
  });

  it('pv-v2-direct never saves after ACTIVE was cleared', () => {
    const rig = new Rig(pvV2Direct);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 0);
    rig.m.switchTo(0, 1);
    rig.m.switchTo(0, 0);
    expect(rig.kvmWork()).toEqual([]);
  });

  it('pv-v2-direct never carries ACTIVE over a live migration', () => {
    const rig = new Rig(pvV2Direct);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    expect([rig.m.vcpus[0].pvLbrCtrl, rig.intercepted(0)]).toEqual([0, false]);
  });

  it('pv-v2-direct is unsound since it saves and restores under a host event as well', () => {
    const rig = new Rig(pvV2Direct);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.switchTo(0, 1);
    rig.m.switchTo(0, 0);
    expect(rig.kvmWork()).toEqual([`v0 reads ${RECORDS}`, `v0 writes ${RECORDS}`]);
  });
});

describe('pv-v2', () => {
  it('pv-v2 passes everything through, and never touches a register itself', () => {
    const rig = new Rig(pvV2);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.set(0, FROM + 1, 77);
    rig.m.switchTo(0, 1);
    rig.m.switchTo(0, 0);
    expect([rig.workAtBoot, rig.kvmWork()]).toEqual([[], []]);
    expect([rig.intercepted(0), rig.intercepted(1)]).toEqual([false, false]);
  });

  it('the event of pv-v2 comes with ACTIVE and goes with it, and perf switches the stack', () => {
    const rig = new Rig(pvV2);
    const event = (): string => rig.m.host.guestLbrEvent(rig.m.vcpus[0]);
    expect([event(), pvV2.inUse?.(rig.m.vcpus[0])]).toEqual(['none', false]);
    for (let i = 0; i < 2; i++) rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    expect([event(), pvV2.inUse?.(rig.m.vcpus[0])]).toEqual(['active', true]);
    rig.set(0, FROM + 1, 77);
    rig.set(0, TOS, 1);
    rig.m.switchTo(0, 1);
    // With another record there perf would take the stack for v0's own, which it saved last.
    rig.set(1, FROM + 1, 0);
    rig.m.switchTo(0, 0);
    expect([rig.get(0, FROM + 1), event()]).toEqual([77, 'active']);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 0);
    expect(event()).toBe('none');
    rig.m.switchTo(0, 1);
    rig.set(1, FROM + 1, 79);
    rig.m.switchTo(0, 0);
    expect(rig.get(0, FROM + 1)).toBe(79);
  });

  it('the event of pv-v2 wipes the registers as it comes', () => {
    const rig = new Rig(pvV2);
    rig.set(0, FROM + 1, 77);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    expect(rig.get(0, FROM + 1)).toBe(0);
  });

  it('pv-v2 never carries ACTIVE or its event over a live migration', () => {
    const rig = new Rig(pvV2);
    rig.set(0, MSR_KVM_PV_LBR_CTRL, 1);
    rig.m.switchTo(0, -1);
    rig.m.liveMigrate(0);
    expect([rig.m.vcpus[0].pvLbrCtrl, rig.intercepted(0)]).toEqual([0, false]);
    expect(rig.m.host.guestLbrEvent(rig.m.vcpus[0])).toBe('none');
  });
});

/**
 * v1 of 2017: the guest's stack is saved at every VM exit and restored at every VM entry. Its text
 * is not to be found; v2's changelog and the objections name it. What it leaves open are two steps,
 * and each has a reading of its own: whether the host's records go the other way meanwhile, and
 * whether KVM's code moves the registers or the MSR areas of the VMCS do, as in Xen.
 */
import type { Vcpu } from '../vcpu.js';
import type { LbrPolicy, PolicyHost } from './policy.js';
import { PASS_THROUGH } from './policy.js';

/** The host's registers are in `lent`, to come back at the exit. */
const BORROWED = 0;

export const v1Vmx: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'v1-vmx',
  summary: "the guest's stack is saved at every VM exit and restored at every VM entry",
  cites: "Wei Wang, v1, 2017-09-25, from v2's changelog",
  assumes: 'no LBR event of the host counts on a pCPU that runs a guest',
  needlessSwitches: 0,
  knownFailures: {},
  needsCallstack: false,
  notApplicable: {
    'active-agrees': 'not a paravirtual policy',
    'no-premature-stop': 'it never takes the guest to have stopped',
  },
  inUse: () => null,
  vcpu_enter: (kvm: PolicyHost, vcpu: Vcpu): void => kvm.restoreStack(vcpu, true),
  vcpu_exit: (kvm: PolicyHost, vcpu: Vcpu): void => kvm.saveStack(vcpu, true),
};

export const v1VmxSwap: LbrPolicy = {
  ...v1Vmx,
  name: 'v1-vmx-swap',
  summary: 'v1-vmx that keeps the records of a host event that counts, and brings them back',
  cites: 'a reading of v1; Peter Zijlstra, 2019-07, asks for it in reply to v7',
  assumes: 'perf lends its registers to KVM between VM entry and VM exit',
  words: ['borrowed'],
  knownFailures: {},
  vcpu_enter: (kvm: PolicyHost, vcpu: Vcpu): void => {
    if (kvm.perf.host_lbr_active(vcpu.pcpu)) {
      kvm.borrowLbr(vcpu);
      vcpu.setWord(BORROWED, 1);
    }
    kvm.restoreStack(vcpu, true);
  },
  vcpu_exit: (kvm: PolicyHost, vcpu: Vcpu): void => {
    kvm.saveStack(vcpu, true);
    if (vcpu.word(BORROWED) === 0) return;
    kvm.giveBackLbr(vcpu);
    vcpu.setWord(BORROWED, 0);
  },
};

export const v1VmxArea: LbrPolicy = {
  ...v1Vmx,
  name: 'v1-vmx-area',
  summary: 'v1-vmx by the MSR-store and MSR-load areas of the VMCS, values as they were stored',
  cites: "a reading of v1; Xen's lbr-tsx-vmentry is what it meets",
  assumes: 'WRMSR takes what RDMSR gave, and no LBR event of the host counts',
  knownFailures: {},
  vcpu_enter: (kvm: PolicyHost, vcpu: Vcpu): void => kvm.loadAtEntry(vcpu),
};

/**
 * v1 of 2017: saves the guest's stack at every VM exit and restores it at every VM entry. The text
 * of v1 was not found; v2's changelog and the objections describe it. They leave two steps open,
 * and each has a reading of its own: whether the host's records are saved and restored in turn, and
 * whether KVM's code moves the registers or the VMCS MSR areas do, as in Xen.
 */
import { LBR_FORMAT_EIP_FLAGS2 } from '../../hw/cpu_models.js';
import type { Vcpu } from '../vcpu.js';
import type { KnownFailure, LbrPolicy, Where } from './policy.js';
import { PASS_THROUGH } from './policy.js';

/** Its failures where only the guest's own reads are concerned. */
const NOT_SENT: KnownFailure = {
  why: 'a live migration leaves the stack behind: no LBR MSR is among what is sent',
};
const WITHOUT_STACK: LbrPolicy['knownFailures'] = {
  'no-loss/callstack': NOT_SENT,
  'no-loss/any': NOT_SENT,
  'callstack-true': NOT_SENT,
  'sample-true': NOT_SENT,
  'no-needless-switch': { why: 'it saves and restores for ever, used or not' },
};

const UNDER_THE_HOST: LbrPolicy['knownFailures'] = {
  ...WITHOUT_STACK,
  'host-intact': { why: "the host's event goes on with the guest's records and its LBR_SELECT" },
  'owner-only': { why: 'it restores under a host event that counts' },
};

/** Only captures without TSX differ from what WRMSR takes. */
const WITHOUT_TSX: Where = ({ lbr_format, tsx }) => lbr_format === LBR_FORMAT_EIP_FLAGS2 && !tsx;

const REFUSED_ENTRY: KnownFailure = {
  why: 'the entry refuses a FROM as it was captured, and the registers keep what they had',
  where: WITHOUT_TSX,
};

export const v1Vmx: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'v1-vmx',
  summary: "the guest's stack is saved at every VM exit and restored at every VM entry",
  cites: "Wei Wang, v1, 2017-09-25, from v2's changelog",
  assumes: 'no LBR event of the host counts on a pCPU that runs a guest',
  needlessSwitches: 0,
  knownFailures: UNDER_THE_HOST,
  notApplicable: {},
  inUse: null,
  vcpu_enter: (kvm, vcpu) => kvm.restoreStack(vcpu, true),
  vcpu_exit: (kvm, vcpu) => kvm.saveStack(vcpu, true),
};

export const v1VmxSwap: LbrPolicy = {
  ...v1Vmx,
  name: 'v1-vmx-swap',
  summary: 'v1-vmx that keeps the records of a host event that counts, and brings them back',
  cites: 'a reading of v1; Peter Zijlstra, 2019-07, asks for it in reply to v7',
  assumes: 'perf lends its registers to KVM between VM entry and VM exit',
  /** The host's registers are in `lent`, to come back at the exit. */
  words: ['borrowed'],
  knownFailures: {
    ...WITHOUT_STACK,
    'host-intact': {
      why:
        "after an exit the guest's records stay: perf's shortcut takes them for its own, and an " +
        'event that comes again has no reset',
      // Without the shortcut one campaign in some misses it.
      seldom: true,
    },
  },
  vcpu_enter: (kvm, vcpu: Vcpu<'borrowed'>) => {
    if (kvm.perf.hostLbrActive(vcpu.pcpu)) {
      kvm.borrowLbr(vcpu);
      vcpu.words.borrowed = 1;
    }
    kvm.restoreStack(vcpu, true);
  },
  vcpu_exit: (kvm, vcpu: Vcpu<'borrowed'>) => {
    kvm.saveStack(vcpu, true);
    if (vcpu.words.borrowed === 0) return;
    kvm.giveBackLbr(vcpu);
    vcpu.words.borrowed = 0;
  },
};

export const v1VmxArea: LbrPolicy = {
  ...v1Vmx,
  name: 'v1-vmx-area',
  summary: 'v1-vmx by the MSR-store and MSR-load areas of the VMCS, values as they were stored',
  cites: "a reading of v1; Xen's lbr-tsx-vmentry is what it meets",
  assumes: 'WRMSR takes what RDMSR gave, and no LBR event of the host counts',
  knownFailures: {
    ...UNDER_THE_HOST,
    'no-leak/vm': REFUSED_ENTRY,
    'no-leak/task': REFUSED_ENTRY,
    'recorder-owned': REFUSED_ENTRY,
    'no-fault': REFUSED_ENTRY,
  },
  vcpu_enter: (kvm, vcpu) => kvm.loadAtEntry(vcpu),
};

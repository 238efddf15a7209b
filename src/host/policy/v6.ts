/**
 * Models the LBR part of arch/x86/kvm/vmx/pmu_intel.c as patch 10/12 of v6 and of v7 has it.
 * Two defects are visible in that code and kept: the first trapped access reaches the registers
 * before there is an event that makes them the guest's, and msr_is_lbr_stack() compares INFO with
 * an empty range, so a trapped access to it is not known and raises #GP.
 */
import type { Vector } from '../../hw/msr_port.js';
import { GP_VECTOR } from '../../hw/msr_port.js';
import { KIND_INFO, lbrMap } from '../../hw/lbr_map.js';
import type { Vcpu } from '../vcpu.js';
import * as lazy from './lazy_event.js';
import type { LbrPolicy, MsrValue, PolicyHost } from './policy.js';
import { msrValue, PASS_THROUGH, REFUSED, WITH_SHORTCUT } from './policy.js';

/** Kernel: pmu_intel.c:msr_is_lbr_stack(), v6; is_lbr_msr(), v7 and v8. */
export function is_lbr_msr(vcpu: Vcpu, msr: number): boolean {
  return lbrMap(vcpu.records.model).kind(msr) !== KIND_INFO;
}

/** What differs between the two versions: whether LBR_SELECT is passed through with the stack. */
function policyOf(passSelect: boolean): Omit<LbrPolicy, 'name' | 'summary' | 'cites'> {
  /** Kernel: pmu_intel.c:intel_pmu_access_lbr_msr(), after the access itself. */
  const accessed = (kvm: PolicyHost, vcpu: Vcpu): void => {
    if (vcpu.word(lazy.LBR_USED) !== 0) return;
    vcpu.setWord(lazy.LBR_USED, 1);
    kvm.setPassthrough(vcpu, true);
    if (!passSelect) kvm.interceptSelect(vcpu);
    lazy.createEvent(kvm, vcpu, 'flexible');
  };
  return {
    ...PASS_THROUGH,
    assumes: 'no LBR event of the host contends, and a stack that is off is used every other slice',
    words: lazy.LAZY_EVENT_WORDS,
    needlessSwitches: 4,
    knownFailures: {
      ...lazy.UNOWNED,
      'no-loss/callstack': {
        why: 'a second coming without a trapped access destroys the event; a host event wipes',
      },
      'no-leak/task': {
        why: "vCPUs of one VM meet in the registers before an event comes, or by perf's shortcut",
        where: (model, kernel) => !model.callstack || WITH_SHORTCUT(model, kernel),
      },
      'no-fault': {
        why: 'a trapped access to INFO raises #GP; and a trapped write reaches WRMSR unchecked',
      },
    },
    notApplicable: { 'active-agrees': 'not a paravirtual policy' },
    inUse: lazy.hasEvent,
    vcpu_load: lazy.intel_pmu_sched_in,
    get_msr: (kvm: PolicyHost, vcpu: Vcpu, msr: number): MsrValue => {
      if (!is_lbr_msr(vcpu, msr)) return REFUSED;
      const eax = kvm.rdmsr(vcpu, msr);
      const { edx } = kvm;
      accessed(kvm, vcpu);
      return msrValue(eax, edx);
    },
    /** The access is wrmsrl(): a value that faults is the host's fault. */
    set_msr: (kvm: PolicyHost, vcpu: Vcpu, msr: number, eax: number, edx: number): Vector => {
      if (!is_lbr_msr(vcpu, msr)) return GP_VECTOR;
      kvm.wrmsr(vcpu, msr, eax, edx);
      accessed(kvm, vcpu);
      return 0;
    },
    /** DEBUGCTL lies in the VMCS, so it does not matter whether it is accessed before or after. */
    debugctl_access: (kvm: PolicyHost, vcpu: Vcpu): Vector => {
      accessed(kvm, vcpu);
      return 0;
    },
    reset: lazy.destroyEvent,
  };
}

export const v6: LbrPolicy = {
  ...policyOf(false),
  name: 'v6',
  summary:
    'host event from the first trapped access on, until a slice without one and with LBR off',
  cites: 'Wei Wang, v6 10/12, 2019-06-06',
};

export const v7: LbrPolicy = {
  ...policyOf(true),
  name: 'v7',
  summary: 'as v6, with LBR_SELECT passed through like the stack',
  cites: 'Wei Wang, v7 10/12, 2019-07-08',
};

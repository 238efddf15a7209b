/**
 * Models the LBR part of arch/x86/kvm/vmx/pmu_intel.c as patch 10/12 of v6 and of v7 has it.
 * Two defects are visible in that code and kept: the first trapped access reaches the registers
 * before there is an event that makes them the guest's, and msr_is_lbr_stack() compares INFO with
 * an empty range, so a trapped access to it is not known and raises #GP.
 */
import { GP_VECTOR } from '../../hw/msr_port.js';
import { KIND_INFO, lbrMap } from '../../hw/lbr_map.js';
import type { Vcpu } from '../vcpu.js';
import * as lazy from './lazy_event.js';
import { type LbrPolicy, type PolicyHost, REFUSED } from './policy.js';

/** Kernel: pmu_intel.c:msr_is_lbr_stack(), v6; is_lbr_msr(), v7 and v8. */
export function is_lbr_msr(vcpu: Vcpu, msr: number): boolean {
  return lbrMap(vcpu.records.model).kind(msr) !== KIND_INFO;
}

/** What differs between the two versions: whether LBR_SELECT is passed through with the stack. */
function policyOf(passSelect: boolean): Omit<LbrPolicy, 'name' | 'summary' | 'cites'> {
  /** Kernel: pmu_intel.c:intel_pmu_access_lbr_msr(), after the access itself. */
  const accessed = (kvm: PolicyHost, vcpu: lazy.LazyVcpu): void => {
    if (vcpu.words.lbr_used !== 0) return;
    vcpu.words.lbr_used = 1;
    kvm.setPassthrough(vcpu, true);
    if (!passSelect) kvm.interceptSelect(vcpu);
    lazy.createEvent(kvm, vcpu, 'flexible');
  };
  const base = lazy.lazyEvent(accessed);
  return {
    ...base,
    assumes: 'no LBR event of the host contends, and a stack that is off is used every other slice',
    knownFailures: {
      ...base.knownFailures,
      'no-loss/callstack': {
        why: 'a second coming without a trapped access destroys the event; a host event wipes',
      },
      'no-leak/task': {
        why:
          "vCPUs of one VM meet in the registers before an event comes, by perf's shortcut, or " +
          'where counters leave no room for an event',
      },
      'no-fault': {
        why: 'a trapped access to INFO raises #GP; and a trapped write reaches WRMSR unchecked',
      },
    },
    get_msr: (kvm, vcpu, msr) => (is_lbr_msr(vcpu, msr) ? base.get_msr(kvm, vcpu, msr) : REFUSED),
    set_msr: (kvm, vcpu, msr, eax, edx) =>
      is_lbr_msr(vcpu, msr) ? base.set_msr(kvm, vcpu, msr, eax, edx) : GP_VECTOR,
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

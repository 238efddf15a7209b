/**
 * v4 of the lazy series, from its message (patch 10/10, 2018-12-26); the code was not found. It
 * works as v6, except that the host event is created only while the guest's LBR_SELECT is in user
 * call-stack mode. KVM knows the mode because it always intercepts LBR_SELECT. The message leaves
 * two steps open: whether only the first access of a slice checks the mode, and whether an event is
 * destroyed while DEBUGCTL.LBR is set. (The changelog has the check `!lbr_used` for the
 * pass-through, and does not mention the event.) `v4` and `v4-select` are the two extreme readings.
 */
import { LBR_CALL_STACK, LBR_KERNEL, MSR_LBR_SELECT } from '../../hw/msr_index.js';
import * as lazy from './lazy_event.js';
import type { LbrPolicy, PolicyHost } from './policy.js';

/** `lbr_user_callstack`: kvm_vcpu_arch.lbr_user_callstack. */
type V4Vcpu = lazy.LazyVcpu<'lbr_user_callstack'>;

/** In LBR_SELECT a bit of LBR_KERNEL keeps branches of the kernel out. */
function selectsUserCallstack(eax: number): boolean {
  return (eax & LBR_CALL_STACK) !== 0 && (eax & LBR_KERNEL) !== 0;
}

/** The message's rule: an idle slice ends it, whatever DEBUGCTL.LBR is. */
function sched_in(kvm: PolicyHost, vcpu: V4Vcpu): void {
  if (vcpu.words.lbr_used === 0 && lazy.hasEvent(vcpu)) lazy.destroyEvent(kvm, vcpu);
  else lazy.intel_pmu_sched_in(kvm, vcpu);
}

function policyOf(asksAlways: boolean): Omit<LbrPolicy, 'name' | 'summary'> {
  /** Kernel: pmu_intel.c:guest_access_lbr_msr(), v4. */
  const accessed = (kvm: PolicyHost, vcpu: V4Vcpu): void => {
    const first = vcpu.words.lbr_used === 0;
    if ((first || asksAlways) && vcpu.words.lbr_user_callstack !== 0) {
      lazy.createEvent(kvm, vcpu, 'flexible');
    }
    if (!first) return;
    vcpu.words.lbr_used = 1;
    kvm.setPassthrough(vcpu, true);
    kvm.interceptSelect(vcpu);
  };
  const base = lazy.lazyEvent(accessed);
  return {
    ...base,
    cites: 'Wei Wang, v4 10/10, 2018-12-26, message only',
    assumes: 'guests use LBR for user call stacks alone, and no LBR event of the host contends',
    words: [...base.words, 'lbr_user_callstack'],
    knownFailures: {
      ...base.knownFailures,
      'no-loss/callstack': {
        why: 'the event comes after the first use and wipes the stack, or a slice late',
      },
      'no-leak/task': { why: 'ring-mode users get no event: vCPUs share the registers of a pCPU' },
    },
    sched_in: asksAlways ? base.sched_in : sched_in,
    set_msr: (kvm, vcpu: V4Vcpu, msr, eax, edx) => {
      if (msr === MSR_LBR_SELECT) {
        vcpu.words.lbr_user_callstack = selectsUserCallstack(eax) ? 1 : 0;
      }
      return base.set_msr(kvm, vcpu, msr, eax, edx);
    },
  };
}

export const v4: LbrPolicy = {
  ...policyOf(false),
  name: 'v4',
  summary: 'host event if the first access of a slice finds user call-stack mode; K=2, LBR or not',
};

export const v4Select: LbrPolicy = {
  ...policyOf(true),
  name: 'v4-select',
  summary: 'v4, read kindly: the event comes with LBR_SELECT too, and stays while LBR is on',
};

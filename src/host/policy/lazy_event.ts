/**
 * The common part of v3 to v8: a host perf event on the vCPU's thread makes perf save and restore
 * the guest's stack, and the intercepts show whether the guest has used LBR in this slice. When the
 * vCPU returns after a slice without a trapped access, the event is destroyed. So a disabled stack
 * survives one idle slice, but not two.
 */
import type { Vcpu } from '../vcpu.js';
import type { GuestLbrEvent, LbrPolicy, PolicyHost } from './policy.js';
import { PASS_THROUGH, WITH_CALLSTACK } from './policy.js';

/**
 * `lbr_used`: as kvm_pmu.lbr_used, an LBR MSR was accessed in this slice, as far as accesses are
 * trapped; `lbr_event`: kvm_pmu.vcpu_lbr_event (v8: lbr_event) is not NULL.
 */
export const LAZY_EVENT_WORDS = ['lbr_used', 'lbr_event'] as const;
export type LazyVcpu<Own extends string = never> = Vcpu<(typeof LAZY_EVENT_WORDS)[number] | Own>;

/** The belief of these policies: as long as there is an event, the guest uses LBR. */
export function hasEvent(vcpu: LazyVcpu): boolean {
  return vcpu.words.lbr_event !== 0;
}

/** Creates the event, if there is none. Returns whether there is one. */
export function createEvent(kvm: PolicyHost, vcpu: LazyVcpu, kind: GuestLbrEvent): boolean {
  if (!hasEvent(vcpu)) {
    kvm.perf.createGuestLbrEvent(vcpu, kind);
    vcpu.words.lbr_event = kvm.perf.guestLbrEvent(vcpu) === 'none' ? 0 : 1;
  }
  return hasEvent(vcpu);
}

/** Destroys the event, if there is one; all that intel_pmu_reset() does to LBR in v6 to v8. */
export function destroyEvent(kvm: PolicyHost, vcpu: LazyVcpu): void {
  kvm.perf.releaseGuestLbrEvent(vcpu);
  vcpu.words.lbr_event = 0;
}

/** Failures of v4 to v7 with one cause: they never check whether the host uses the LBR. */
const UNOWNED: LbrPolicy['knownFailures'] = {
  'no-loss/any': { why: "the guest reads and records in what the host's event has, or has wiped" },
  'no-leak/vm': { why: "an access reaches the registers whoever's records they hold" },
  'callstack-true': { why: "frames are the host's, or wiped when its event or KVM's comes" },
  'sample-true': {
    why: "a sample repeats others' records, or lacks what an event that came wiped",
  },
  'host-intact': { why: "the guest writes into the host event's records and its LBR_SELECT" },
  'owner-only': { why: 'an access is carried out under a host event that counts' },
  'recorder-owned': { why: 'with LBR on hardware records for the guest, event or not' },
  'no-needless-switch': {
    why: 'any access to DEBUGCTL counts as use, though it leaves LBR off',
    where: WITH_CALLSTACK,
  },
  'no-premature-stop': { why: 'without an event, or when it has gone, nothing keeps the stack' },
  'no-fault': {
    why: 'an intercepted write reaches WRMSR unchecked: a guest can make the host fault',
  },
};

/** Kernel: pmu_intel.c:intel_pmu_sched_in(), v6 to v8. */
export function intel_pmu_sched_in(kvm: PolicyHost, vcpu: LazyVcpu): void {
  if (vcpu.words.lbr_used !== 0) {
    vcpu.words.lbr_used = 0;
    kvm.setPassthrough(vcpu, false);
  } else if (hasEvent(vcpu) && !vcpu.lbrEnabled) {
    destroyEvent(kvm, vcpu);
  }
}

/**
 * v4 to v7, except for what follows an access: `accessed` is called after each trapped access. The
 * write is wrmsrl(): a value that faults is the host's fault. DEBUGCTL lies in the VMCS, so
 * `accessed` may run before or after the access to it.
 */
export function lazyEvent<Own extends string = never>(
  accessed: (kvm: PolicyHost, vcpu: LazyVcpu<Own>) => void,
): Omit<LbrPolicy, 'name' | 'summary' | 'cites' | 'assumes'> {
  return {
    ...PASS_THROUGH,
    words: LAZY_EVENT_WORDS,
    needlessSwitches: 4,
    knownFailures: UNOWNED,
    notApplicable: {},
    inUse: hasEvent,
    sched_in: intel_pmu_sched_in,
    get_msr: (kvm, vcpu: LazyVcpu<Own>, msr) => {
      const value = PASS_THROUGH.get_msr(kvm, vcpu, msr);
      accessed(kvm, vcpu);
      return value;
    },
    set_msr: (kvm, vcpu: LazyVcpu<Own>, msr, eax, edx) => {
      kvm.wrmsr(vcpu, msr, eax, edx);
      accessed(kvm, vcpu);
      return 0;
    },
    debugctlAccess: (kvm, vcpu: LazyVcpu<Own>) => {
      accessed(kvm, vcpu);
      return 0;
    },
    reset: destroyEvent,
  };
}

/**
 * Models the LBR part of arch/x86/kvm/vmx/pmu_intel.c as v8 has it (patches 9, 10, 12 and 13 of
 * 14, 2019-08-06), after Peter Zijlstra's objections: the event is pinned to the task and shares
 * with no other, it is created before the access, and with interrupts off KVM looks whether it is
 * on the CPU before it touches a register, and again before a VM entry. An access without the
 * event raises #GP, DEBUGCTL included: that is how the access functions fail. INFO is not known,
 * as in v6.
 *
 * Patch 13/14 has the last look the wrong way round: it takes the registers back from the guest
 * if the event *is* on the CPU (`oncpu != -1`), against its own message; its author said so in
 * reply, a day later. `v8` does what the message says, `v8-posted` what the code does.
 */
import { GP_VECTOR } from '../../hw/msr_port.js';
import * as lazy from './lazy_event.js';
import type { LbrPolicy, PolicyHost } from './policy.js';
import { PASS_THROUGH, REFUSED, WITH_CALLSTACK, WITH_SHORTCUT } from './policy.js';
import { is_lbr_msr } from './v6.js';

/** perf refuses a call-stack event there, so there is never an owner. */
const REFUSES = 'without call-stack mode its event cannot exist, and every access raises #GP';

const LOST =
  'a host event or an idle guest ends the event, and the stack with it; it is not migrated';
const SHORTCUT =
  "perf's restore shortcut trusts registers that a vCPU restored whose event was then released";

const FAULTS = 'while a host event has the LBR each read of a PMI handler raises #GP, and yields 0';

function owns(kvm: PolicyHost, vcpu: lazy.LazyVcpu): boolean {
  return kvm.perf.guestLbrEvent(vcpu) === 'active';
}

/** Kernel: pmu_intel.c:intel_pmu_access_lbr_msr(), v8. Returns whether the access may be made. */
function intel_pmu_access_lbr_msr(kvm: PolicyHost, vcpu: lazy.LazyVcpu): boolean {
  if (!lazy.createEvent(kvm, vcpu, 'exclusive') || !owns(kvm, vcpu)) return false;
  if (vcpu.words.lbr_used === 0) {
    vcpu.words.lbr_used = 1;
    kvm.setPassthrough(vcpu, true);
  }
  return true;
}

/** Kernel: pmu_intel.c:intel_pmu_lbr_confirm(), with the state of the event that it acts on. */
function intel_pmu_lbr_confirm(
  cancelIfOwner: boolean,
): (kvm: PolicyHost, vcpu: lazy.LazyVcpu) => void {
  return (kvm, vcpu) => {
    if (!lazy.hasEvent(vcpu) || vcpu.words.lbr_used === 0) return;
    if (owns(kvm, vcpu) !== cancelIfOwner) return;
    vcpu.words.lbr_used = 0;
    kvm.setPassthrough(vcpu, false);
  };
}

export const v8: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'v8',
  summary: 'pinned, exclusive host event; #GP without it; passed through while it is on the CPU',
  cites: 'Wei Wang, v8 9 to 13/14, 2019-08-06; the check before entry as its message has it',
  assumes: 'no LBR event of the host takes the LBR from the guest, which has no word for that',
  words: lazy.LAZY_EVENT_WORDS,
  changesPerf: true,
  needlessSwitches: 4,
  knownFailures: {
    'no-loss/callstack': { why: LOST },
    'no-loss/any': { why: LOST },
    'no-leak/vm': { why: SHORTCUT, where: WITH_SHORTCUT },
    'no-leak/task': { why: SHORTCUT, where: WITH_SHORTCUT },
    'callstack-true': { why: FAULTS },
    'sample-true': { why: FAULTS, where: WITH_CALLSTACK },
    'host-intact': {
      why: "without the event the guest's DEBUGCTL.LBR is loaded all the same, and it records",
    },
    'recorder-owned': { why: "hardware records for the guest into the host event's stack" },
    'no-needless-switch': {
      why: 'any access to DEBUGCTL counts as use, though it leaves LBR off',
      where: WITH_CALLSTACK,
    },
    'no-premature-stop': { why: LOST },
    'no-fault': {
      why: 'an access without the event raises #GP, DEBUGCTL included; so does a trapped INFO',
    },
    balanced: {
      why: 'a host event that does not fit has told lbr.c of itself, and of another br_sel',
      where: WITH_CALLSTACK,
    },
  },
  notApplicable: {},
  withoutCallstack: {
    'no-loss/any': REFUSES,
    'no-leak/vm': REFUSES,
    'host-intact': REFUSES,
    'owner-only': REFUSES,
    'recorder-owned': REFUSES,
    'no-premature-stop': REFUSES,
  },
  inUse: lazy.hasEvent,
  sched_in: lazy.intel_pmu_sched_in,
  vcpu_enter: intel_pmu_lbr_confirm(false),
  get_msr: (kvm, vcpu: lazy.LazyVcpu, msr) => {
    if (!is_lbr_msr(vcpu, msr) || !intel_pmu_access_lbr_msr(kvm, vcpu)) return REFUSED;
    return PASS_THROUGH.get_msr(kvm, vcpu, msr);
  },
  /** The access is wrmsrl(): a value that faults is the host's fault. */
  set_msr: (kvm, vcpu: lazy.LazyVcpu, msr, eax, edx) => {
    if (!is_lbr_msr(vcpu, msr) || !intel_pmu_access_lbr_msr(kvm, vcpu)) return GP_VECTOR;
    kvm.wrmsr(vcpu, msr, eax, edx);
    return 0;
  },
  debugctlAccess: (kvm, vcpu: lazy.LazyVcpu) =>
    intel_pmu_access_lbr_msr(kvm, vcpu) ? 0 : GP_VECTOR,
  reset: lazy.destroyEvent,
};

export const v8Posted: LbrPolicy = {
  ...v8,
  name: 'v8-posted',
  summary: 'v8 with the check before entry as posted: passed through while the event is off',
  cites: 'Wei Wang, v8 9 to 13/14, 2019-08-06, word for word',
  needlessSwitches: 2,
  knownFailures: {
    ...v8.knownFailures,
    'no-leak/vm': {
      why: "what the host has taken stays open, and perf's shortcut shows what another VM had",
      where: WITH_SHORTCUT,
    },
    'no-needless-switch': {
      why: 'its event is destroyed by a preempt notifier: a thread in userspace keeps it',
      where: WITH_CALLSTACK,
    },
    'sample-true': {
      why: 'a trapped read, as INFO always is, raises #GP: the sample lacks what it was to yield',
      where: WITH_CALLSTACK,
    },
    'host-intact': {
      why: 'what the host has taken stays open to the guest, which writes and records there',
    },
    'no-fault': { why: 'INFO is always trapped, and a trapped access to it raises #GP' },
  },
  vcpu_enter: intel_pmu_lbr_confirm(true),
};

/**
 * Models the LBR part of arch/x86/kvm/vmx/pmu_intel.c, Linux 6.1 to 7.3, with the lazy release as
 * it was merged (commit 9aa4f622460f after v14): a guest LBR event on the vCPU's thread makes the
 * host's perf save and restore, and it is released when DEBUGCTL.LBR is clear at the first PMU
 * request after the thread came back. Accesses trapped before it went away do not matter.
 */
import { LBR_FORMAT_INFO } from '../../hw/cpu_models.js';
import { KIND_INFO, lbrMap } from '../../hw/lbr_map.js';
import type { Vcpu } from '../vcpu.js';
import type { KvmFeatures } from '../kvm_versions.js';
import type { KnownFailure, LbrPolicy, PolicyHost } from './policy.js';
import { GP_VECTOR } from '../../hw/msr_port.js';
import { hearsCounters, msrValue, PASS_THROUGH, REFUSED } from './policy.js';
import { WITH_CALLSTACK, WITH_SHORTCUT } from './policy.js';

/** `need_cleanup`: kvm_pmu.need_cleanup. */
export const MERGED_WORDS = ['need_cleanup'] as const;
type NeedingVcpu = Vcpu<(typeof MERGED_WORDS)[number]>;

/**
 * Of the general counters of a guest, as masks: `pmc_in_use`, kvm_pmu.pmc_in_use; `pmc_events`,
 * those that have a kvm_pmc.perf_event.
 */
const WORDS = [...MERGED_WORDS, 'pmc_in_use', 'pmc_events'] as const;
type MergedVcpu = Vcpu<(typeof WORDS)[number]>;

/** Kernel: pmu_intel.c:intel_pmu_create_guest_lbr_event(), if there is no event. */
export function intel_pmu_create_guest_lbr_event(kvm: PolicyHost, vcpu: Vcpu): void {
  if (kvm.perf.guestLbrEvent(vcpu) === 'none') {
    kvm.perf.createGuestLbrEvent(vcpu, 'fake-counter');
  }
}

/** Kernel: pmu_intel.c:intel_pmu_cleanup(). */
export function intel_pmu_cleanup(kvm: PolicyHost, vcpu: Vcpu): void {
  if (!vcpu.lbrEnabled) kvm.perf.releaseGuestLbrEvent(vcpu);
}

/** Kernel: pmu.c:pmc_reprogram_counter(), pmc_release_perf_event(). */
function setPmcEvents(kvm: PolicyHost, vcpu: MergedVcpu, events: number): void {
  vcpu.words.pmc_events = events;
  kvm.perf.setCounterEvent(vcpu, events !== 0);
}

/** Kernel: pmu.c:kvm_pmu_cleanup(). A counter that is on, or that was accessed, keeps its event. */
function kvm_pmu_cleanup(kvm: PolicyHost, vcpu: MergedVcpu): void {
  const { words, eventsel_en } = vcpu;
  if (words.pmc_events !== 0) {
    setPmcEvents(kvm, vcpu, words.pmc_events & (eventsel_en | words.pmc_in_use));
  }
  words.pmc_in_use = 0;
  intel_pmu_cleanup(kvm, vcpu);
}

/**
 * Kernel: pmu_intel.c:intel_pmu_handle_lbr_msrs_access(), up to the access itself. Returns
 * whether the registers are the guest's now; if not, reads are 0 and writes are dropped.
 */
function acquireLbr(kvm: PolicyHost, vcpu: Vcpu): boolean {
  intel_pmu_create_guest_lbr_event(kvm, vcpu);
  return kvm.perf.guestLbrEvent(vcpu) === 'active';
}

/** The features that hooks go by: those of the host, or of one version for a policy of its time. */
type FeaturesOf = (kvm: PolicyHost) => KvmFeatures;

/** The accesses to LBR MSRs. Kernel: pmu_intel.c:intel_pmu_is_valid_lbr_msr(). */
function lbrMsrHooks(
  featuresOf: FeaturesOf,
): Pick<LbrPolicy, 'vcpu_enter' | 'get_msr' | 'set_msr'> {
  const knowsInfo = (kvm: PolicyHost, { records: { model } }: Vcpu): boolean =>
    !featuresOf(kvm).infoOfFormat5Only || model.lbr_format === LBR_FORMAT_INFO;
  const isValid = (kvm: PolicyHost, vcpu: Vcpu, msr: number): boolean =>
    knowsInfo(kvm, vcpu) || lbrMap(vcpu.records.model).kind(msr) !== KIND_INFO;
  return {
    /** Kernel: pmu_intel.c:vmx_passthrough_lbr_msrs(). */
    vcpu_enter: (kvm, vcpu) => {
      kvm.setPassthrough(vcpu, kvm.perf.guestLbrEvent(vcpu) === 'active', knowsInfo(kvm, vcpu));
    },
    get_msr: (kvm, vcpu, msr) => {
      if (!isValid(kvm, vcpu, msr)) return REFUSED;
      return acquireLbr(kvm, vcpu) ? PASS_THROUGH.get_msr(kvm, vcpu, msr) : msrValue(0, 0);
    },
    /** By wrmsrl() a value that faults is the host's fault; by wrmsrq_safe() the guest's. */
    set_msr: (kvm, vcpu, msr, eax, edx) => {
      if (!isValid(kvm, vcpu, msr)) return GP_VECTOR;
      if (!acquireLbr(kvm, vcpu)) return 0;
      if (featuresOf(kvm).checkedWrites) return kvm.wrmsr_safe(vcpu, msr, eax, edx);
      kvm.wrmsr(vcpu, msr, eax, edx);
      return 0;
    },
  };
}

/** What it breaks as first released; a later version breaks less. */
export const BREAKS: Readonly<Record<string, KnownFailure>> = {
  'no-loss/callstack': {
    why:
      'the event is released when a switch falls where perf has DEBUGCTL.LBR clear; and a host ' +
      'event that comes wipes the stack',
  },
  'no-loss/any': {
    why:
      'the event is released when a switch falls where DEBUGCTL.LBR is clear; or perf ' +
      'refuses it, since counters fill the PMU, or the host uses PT',
  },
  'no-leak/vm': {
    why:
      "host perf's restore shortcut trusts registers that a vCPU restored whose event was then " +
      "released; and a guest event that comes second finds the host's records",
    where: WITH_CALLSTACK,
  },
  'no-leak/task': {
    why: 'the same shortcut, between vCPUs of one VM',
    where: WITH_SHORTCUT,
  },
  'callstack-true': {
    why: "a host event that comes wipes the guest's frames, and the shortcut brings others",
  },
  'sample-true': {
    why: "a sample repeats the host's records, or lacks what a host event that comes has wiped",
  },
  'host-intact': {
    why: 'a guest event that is released leaves its records to the host event it displaced',
  },
  'recorder-owned': {
    why:
      'after the shortcut, or with its event in ERROR, a guest records on top of what another ' +
      'vCPU has recorded',
  },
  'no-premature-stop': {
    why: 'it takes DEBUGCTL.LBR clear after a switch for a stop, and drops the stack',
  },
  'no-needless-switch': {
    why:
      'the release is asked for by the preempt notifier and done before the next entry: a ' +
      'thread switched in userspace, or before it has entered, keeps its event',
    where: WITH_CALLSTACK,
  },
  balanced: {
    why:
      'host lbr_del goes by the br_sel of the LBR event added last: with a host event beside ' +
      "the guest's, lbr_callstack_users grows at every switch",
    where: WITH_CALLSTACK,
  },
  'no-fault': {
    why:
      'an intercepted write reaches WRMSR unchecked: a guest can make the host fault; and INFO ' +
      'of LBR_FMT 7 raises #GP in the guest (6.1 to 6.2)',
    where: WITH_CALLSTACK,
  },
};

const GROUND: Omit<LbrPolicy, 'handleRequests'> = {
  ...PASS_THROUGH,
  name: 'merged',
  summary: 'guest LBR event on host perf; released when DEBUGCTL.LBR is clear after a switch',
  cites: 'Linux 5.12 to 7.3, arch/x86/kvm/vmx/pmu_intel.c',
  assumes: 'a guest whose DEBUGCTL.LBR is clear after a switch has stopped using LBR',
  words: MERGED_WORDS,
  dropsWithoutEvent: true,
  needlessSwitches: 2,
  knownFailures: BREAKS,
  withoutCallstack: { 'owner-only': 'it never touches the registers' },
  notApplicable: {},
  inUse: (vcpu) => vcpu.msr_passthrough,
  /**
   * Kernel: x86.c:kvm_arch_sched_in() of 6.1; later kvm_arch_vcpu_load(), if `scheduled_out`, which
   * is the same time: the preempt notifier alone sets that, and clears it after the load.
   */
  sched_in: (kvm, vcpu: NeedingVcpu) => {
    if (kvm.perf.guestLbrEvent(vcpu) !== 'none') vcpu.words.need_cleanup = 1;
  },
  /** Kernel: vmx.c:vmx_set_msr(), MSR_IA32_DEBUGCTLMSR. */
  setDebugctl: (kvm, vcpu) => {
    if (vcpu.lbrEnabled) intel_pmu_create_guest_lbr_event(kvm, vcpu);
  },
  /** Kernel: pmu_intel.c:intel_pmu_reset(). */
  reset: (kvm, vcpu) => kvm.perf.releaseGuestLbrEvent(vcpu),
};

/** The policy by the features that are given for a host, but for what it does before an entry. */
export function mergedAs(featuresOf: FeaturesOf): Omit<LbrPolicy, 'handleRequests'> {
  return {
    ...GROUND,
    ...lbrMsrHooks(featuresOf),
    listsDebugctl: (kvm) => featuresOf(kvm).listsDebugctl,
    selectOnAnyCpu: true,
  };
}

/** As the host's version has it. */
export const merged: LbrPolicy = {
  ...mergedAs(({ features }) => features),
  words: WORDS,
  /** Events of counters count in kvm_pmu.event_count, too. */
  sched_in: (kvm, vcpu: MergedVcpu) => {
    GROUND.sched_in(kvm, vcpu);
    if (vcpu.words.pmc_events !== 0) vcpu.words.need_cleanup = 1;
  },
  /** Kernel: pmu.c:kvm_pmu_handle_event(). */
  handleRequests: (kvm, vcpu: MergedVcpu) => {
    if (vcpu.words.need_cleanup === 0) return;
    vcpu.words.need_cleanup = 0;
    kvm_pmu_cleanup(kvm, vcpu);
  },
  /**
   * Kernel: pmu.c:kvm_pmu_set_msr(), and kvm_pmu_handle_event() before the next entry. A counter
   * that is off has its event paused, and keeps it.
   */
  reprogram_counters: (kvm, vcpu: MergedVcpu, accessed) => {
    vcpu.words.pmc_in_use |= accessed;
    const allowed = vcpu.eventsel_en & vcpu.global_ctrl;
    setPmcEvents(kvm, vcpu, vcpu.words.pmc_events | allowed);
  },
  /** Kernel: pmu.c:kvm_pmu_reset(). */
  reset: (kvm, vcpu) => {
    if (hearsCounters(merged, kvm.features)) kvm.perf.setCounterEvent(vcpu, false);
    GROUND.reset(kvm, vcpu);
  },
  knownFailures: {
    ...BREAKS,
    'no-fault': {
      why: BREAKS['no-fault'].why,
      where: ({ callstack }, { checkedWrites }) => callstack && !checkedWrites,
    },
  },
  noGuestLbr: {
    why: 'KVM gives a guest no LBR on a CPU without call-stack mode (6.12.117, 7.3.4)',
    where: ({ callstack }, { callstackOnly }) => callstackOnly && !callstack,
  },
};

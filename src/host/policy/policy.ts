/**
 * What a host's LBR policy is. A policy sees what a real host sees: DEBUGCTL writes, LBR MSR
 * accesses while they are intercepted, DEBUGCTL at an exit, its threads coming and going, the
 * paravirtual MSR, and the state of its own perf event. Everything it remembers is in the words
 * it declares.
 */
import type { CpuModel } from '../../hw/cpu_models.js';
import { GP_VECTOR, type Vector } from '../../hw/msr_port.js';
import type { PvSite } from '../../guest/pv/kvm_para.js';
import type { KvmFeatures } from '../kvm_versions.js';
import type { Vcpu } from '../vcpu.js';

/**
 * How the guest LBR event takes part in the scheduling of the host's perf:
 * - `flexible`: not pinned, without a counter, and so beside any other event (v3 to v7);
 * - `exclusive`: pinned to the task, and beside no other LBR event (v8);
 * - `fake-counter`: pinned to the task, with a constraint of its own (v9 and later).
 */
export type GuestLbrEvent = 'flexible' | 'exclusive' | 'fake-counter';

/** The host's perf subsystem, as KVM may use it. */
export interface HostPerf {
  /** perf_event_create_kernel_counter() of the guest LBR event, for the vCPU's own thread. */
  createGuestLbrEvent(vcpu: Vcpu, kind: GuestLbrEvent): void;
  /** perf_event_release_kernel() of it. */
  releaseGuestLbrEvent(vcpu: Vcpu): void;
  /**
   * Makes sure that the vCPU's thread has an event that is off, or that it has none. The event
   * stands for all those that KVM has for the guest's counters. Only where `hearsCounters` says so.
   */
  setCounterEvent(vcpu: Vcpu, there: boolean): void;
  /** Whether it exists, and whether it is PERF_EVENT_STATE_ACTIVE. */
  guestLbrEvent(vcpu: Vcpu): 'none' | 'inactive' | 'active';
  /** Whether an LBR event of the host's own counts on this pCPU now. */
  hostLbrActive(pcpu: number): boolean;
  /** perf_load_guest_context(), 7.0 and later: events of the host's own go off a pCPU. */
  loadGuestContext(pcpu: number): void;
  /** perf_put_guest_context(): they go on again. */
  putGuestContext(pcpu: number): void;
}

/** What KVM lets a policy do. MSR accesses are those of the pCPU that the vCPU is loaded on. */
export interface PolicyHost {
  readonly perf: HostPerf;
  /** Of the version that the host runs. */
  readonly features: KvmFeatures;
  readonly edx: number;
  /** RDMSR on behalf of the vCPU; a fault reads as 0 and is reported. */
  rdmsr(vcpu: Vcpu, msr: number): number;
  /** WRMSR on behalf of the vCPU; a fault is reported, and the guest does not notice it. */
  wrmsr(vcpu: Vcpu, msr: number, eax: number, edx: number): void;
  /** WRMSR on behalf of the vCPU by code that is ready for a fault. */
  wrmsr_safe(vcpu: Vcpu, msr: number, eax: number, edx: number): Vector;
  /** Reads every LBR register into `vcpu.records`; LBR_SELECT only if asked. */
  saveStack(vcpu: Vcpu, select: boolean): void;
  /** Writes every LBR register from `vcpu.records`; LBR_SELECT only if asked. */
  restoreStack(vcpu: Vcpu, select: boolean): void;
  /** Zeroes the records, TOS and LBR_SELECT of the vCPU's pCPU. */
  scrubStack(vcpu: Vcpu): void;
  /** Zeroes them on a pCPU that no LBR event of the host counts on yet. */
  scrubPcpu(pcpu: number): void;
  /** Opens or closes the MSR bitmap for every LBR MSR, but INFO stays closed unless `info`. */
  setPassthrough(vcpu: Vcpu, on: boolean, info?: boolean): void;
  /** Closes it again for LBR_SELECT, where there is one. */
  interceptSelect(vcpu: Vcpu): void;
  /**
   * The VM-entry MSR-load area holds `vcpu.records` as they are: hardware writes them as WRMSR
   * would, and the entry fails if one is refused.
   */
  loadAtEntry(vcpu: Vcpu): void;
  /**
   * Saves what the host's own LBR event has on this pCPU, so that KVM may use the registers
   * until `giveBackLbr`. To be used with interrupts off around the time in the guest only.
   */
  borrowLbr(vcpu: Vcpu): void;
  giveBackLbr(vcpu: Vcpu): void;
}

/** Why a policy breaks a property, and where. */
export interface KnownFailure {
  readonly why: string;
  /** The CPUs and kernels on which it is met; all of them if it does not say. */
  readonly where?: Where;
  /** Whether random schedules seldom meet it, so that a campaign without it is as expected. */
  readonly seldom?: true;
}

/** What policies ask of perf's features: KERNEL_FEATURES of a version. */
export interface PolicyKernel {
  readonly restoreShortcut: boolean;
  readonly mediatedPmu: boolean;
}

/** The features of the kernels that matter: KERNEL_FEATURES and KVM_FEATURES of a version. */
export type HostFeatures = KvmFeatures & PolicyKernel;

/** @param kernel - the host's. */
export type Where = (model: CpuModel, kernel: HostFeatures) => boolean;

/** What a policy can't be had without. */
export interface Needs {
  /** A feature that not every kernel of --kernel has. */
  readonly feature: keyof PolicyKernel;
  /** What that is, as `the mediated PMU`. */
  readonly what: string;
  /** The least PMU version of the CPU. */
  readonly pmuVersion: number;
}

/** A failure that is not met on a CPU without call-stack mode. */
export const WITH_CALLSTACK: Where = (model) => model.callstack;

/** A failure that is met where a freeze clears DEBUGCTL.LBR; PMU version 4 has a bit of its own. */
export const LEGACY_FREEZE: Where = ({ pmu_version }) => pmu_version < 4;

/** A failure that is not met with a driver that lacks the restore shortcut. */
export const WITH_SHORTCUT: Where = ({ callstack }, { restoreShortcut }) =>
  callstack && restoreShortcut;

/** Why KVM gives a guest no LBR, and where. */
export interface NoGuestLbrHere {
  readonly why: string;
  readonly where: (model: CpuModel, kvm: KvmFeatures) => boolean;
}

/** As a method, so that it may ask for a Vcpu with the policy's words. */
type Belief = { of(vcpu: Vcpu): boolean }['of'];

/**
 * What a policy says of itself to those who judge and explore it. The host never reads any of it.
 * Properties go by their names (`PROPERTY_NAMES` of the judge, who checks them).
 */
export interface PolicyClaims {
  /** Properties that it is known to break, and why; one that does not fail is an error. */
  readonly knownFailures: Readonly<Record<string, KnownFailure>>;
  /** Properties that say nothing about it, and why. */
  readonly notApplicable: Readonly<Record<string, string>>;
  /** Those that say nothing about it on a CPU without call-stack mode, and why. */
  readonly withoutCallstack?: Readonly<Record<string, string>>;
  /** What it takes beyond every kernel and CPU. */
  readonly needs?: Needs;
  /** How often a vCPU may still be saved or restored at a switch after its guest stopped. */
  readonly needlessSwitches: number;
  /** Whether it drops what a guest writes as long as the guest LBR event does not count. */
  readonly dropsWithoutEvent?: true;
  /** Whether it believes that the guest uses LBR; null for a policy that has no such belief. */
  readonly inUse: Belief | null;
}

/** One policy. Hooks carry KVM's names; a hook that is not needed is `nothing`. */
export interface LbrPolicy extends PolicyClaims {
  readonly name: string;
  readonly summary: string;
  readonly cites: string;
  /** What must hold outside the model for it to be sound. */
  readonly assumes: string;
  /** What the guest is told: where its driver reports call-stack use, if at all. */
  readonly pv: PvSite;
  /** Whether it is the KVM of the tree that runs, and no model: it has no hooks. */
  readonly ofTree?: boolean;
  /** Whether guests have no LBR: LBR_FMT is 0, and their accesses of LBR MSRs raise #GP. */
  readonly withoutGuestLbr?: true;
  /** Where a guest has no LBR under it; properties say nothing there. By default nowhere. */
  readonly noGuestLbr?: NoGuestLbrHere;
  /** Whether it takes LBR_SELECT for an LBR MSR on a CPU that has none, too. */
  readonly selectOnAnyCpu?: true;
  /** Whether its host half changes perf itself, so that no tree's perf is its own. */
  readonly changesPerf?: true;
  /** Names of its words per vCPU: `vcpu.words.NAME` in a hook that asks for a Vcpu<'NAME'>. */
  readonly words: readonly string[];
  /**
   * Whether the policy will write all of `vcpu.records` before it reads any of it. Only exploration
   * asks, and takes states that differ in them for one; without the hook the answer is always no.
   */
  recordsStale?(vcpu: Vcpu): boolean;
  /**
   * The vCPU's thread comes to a pCPU inside of KVM_RUN: kvm_arch_sched_in(), which the preempt
   * notifier alone calls, before it loads the vCPU.
   */
  sched_in(kvm: PolicyHost, vcpu: Vcpu): void;
  /** KVM_RUN begins, or its thread comes to a pCPU inside of it: kvm_arch_vcpu_load(). */
  vcpu_load(kvm: PolicyHost, vcpu: Vcpu): void;
  /** KVM_RUN ends, or its thread leaves a pCPU inside of it: kvm_arch_vcpu_put(). */
  vcpu_put(kvm: PolicyHost, vcpu: Vcpu): void;
  /** Before a VM entry, interrupts still on: what was asked of KVM meanwhile (KVM_REQ_PMU). */
  handleRequests(kvm: PolicyHost, vcpu: Vcpu): void;
  /** Before a VM entry, interrupts off. */
  vcpu_enter(kvm: PolicyHost, vcpu: Vcpu): void;
  /** After a VM exit; the guest's DEBUGCTL is in the VMCS. */
  vcpu_exit(kvm: PolicyHost, vcpu: Vcpu): void;
  /** After a VM exit, once the host's DEBUGCTL is back; interrupts are still off. */
  mediated_put(kvm: PolicyHost, vcpu: Vcpu): void;
  /** An intercepted RDMSR of an LBR MSR that exists. */
  get_msr(kvm: PolicyHost, vcpu: Vcpu, msr: number): Readonly<MsrValue>;
  /** An intercepted WRMSR of an LBR MSR that exists. */
  set_msr(kvm: PolicyHost, vcpu: Vcpu, msr: number, eax: number, edx: number): Vector;
  /** The guest is about to read or write DEBUGCTL, which always exits; a vector refuses it. */
  debugctlAccess(kvm: PolicyHost, vcpu: Vcpu): Vector;
  /** The guest wrote DEBUGCTL; the VMCS holds the new value. */
  setDebugctl(kvm: PolicyHost, vcpu: Vcpu): void;
  setPvLbrCtrl(kvm: PolicyHost, vcpu: Vcpu): void;
  /**
   * The guest has turned counters on or off: vcpu.eventsel_en or vcpu.global_ctrl is another.
   *
   * @param accessed - the general counters whose own MSRs were accessed, as a mask.
   */
  reprogram_counters?(kvm: PolicyHost, vcpu: Vcpu, accessed: number): void;
  /** A virtual PMI is about to be injected. */
  deliver_pmi(kvm: PolicyHost, vcpu: Vcpu): void;
  /** The host's own LBR use of a pCPU is about to begin, or has ended. */
  host_perf_event(kvm: PolicyHost, pcpu: number, loaded: Vcpu | null, on: boolean): void;
  /** The vCPU is created, or its PMU is reset. */
  reset(kvm: PolicyHost, vcpu: Vcpu): void;
  /** Live migration: makes `vcpu.records` the state to send, if the policy sends LBR state. */
  get_state(kvm: PolicyHost, vcpu: Vcpu): boolean;
  /** Live migration, if the policy sends no LBR state: whether DEBUGCTL goes, as any listed MSR. */
  listsDebugctl(kvm: PolicyHost): boolean;
  /** Live migration: takes `vcpu.records` as received. */
  set_state(kvm: PolicyHost, vcpu: Vcpu): void;
}

/** Whether it matters to a policy which counters a guest has on. */
export function hearsCounters(
  { reprogram_counters }: LbrPolicy,
  { countersKeepSpace }: KvmFeatures,
): boolean {
  return countersKeepSpace && reprogram_counters !== undefined;
}

/** The result of an emulated RDMSR. One object serves all, so that an access allocates nothing. */
export interface MsrValue {
  eax: number;
  edx: number;
  vector: Vector;
}

const VALUE: MsrValue = { eax: 0, edx: 0, vector: 0 };

/** Fills the one MsrValue; it is read before the next access. */
export function msrValue(eax: number, edx: number): MsrValue {
  VALUE.eax = eax;
  VALUE.edx = edx;
  VALUE.vector = 0;
  return VALUE;
}

/** The emulated RDMSR that raises #GP. */
export const REFUSED: Readonly<MsrValue> = { eax: 0, edx: 0, vector: GP_VECTOR };

export function nothing(): void {}

/** The part of a policy that it may take from another: its hooks and words. */
export type PolicyGround = Omit<
  LbrPolicy,
  'name' | 'summary' | 'cites' | 'assumes' | keyof PolicyClaims
>;

/** A policy that passes everything through and keeps nothing: the ground that others build on. */
export const PASS_THROUGH: PolicyGround = {
  words: [],
  pv: 'none',
  sched_in: nothing,
  vcpu_load: nothing,
  vcpu_put: nothing,
  handleRequests: nothing,
  vcpu_enter: nothing,
  vcpu_exit: nothing,
  mediated_put: nothing,
  get_msr: (kvm, vcpu, msr) => {
    const eax = kvm.rdmsr(vcpu, msr);
    return msrValue(eax, kvm.edx);
  },
  set_msr: (kvm, vcpu, msr, eax, edx) => kvm.wrmsr_safe(vcpu, msr, eax, edx),
  debugctlAccess: () => 0,
  setDebugctl: nothing,
  setPvLbrCtrl: nothing,
  deliver_pmi: nothing,
  host_perf_event: nothing,
  reset: (kvm, vcpu) => kvm.setPassthrough(vcpu, true),
  get_state: () => false,
  listsDebugctl: () => false,
  set_state: nothing,
};

/** What versions of KVM differ in, as far as it reaches the LBR; checked against three trees. */

export interface KvmFeatures {
  /**
   * lbr.c:x86_perf_get_lbr() names INFO for LBR_FMT 5 only, and so KVM takes INFO of format 7 for
   * an MSR that does not exist. Mended in 6.3, commit 03c4c7f88709.
   */
  readonly infoOfFormat5Only: boolean;
  /**
   * A guest has LBR only where the CPU has call-stack mode: elsewhere its LBR_FMT is 0, each LBR
   * MSR raises #GP, and DEBUGCTL.LBR is dropped (bb9dc859086d, vmx_get_perf_capabilities()).
   */
  readonly callstackOnly: boolean;
  /** The list of MSRs that userspace saves and restores has DEBUGCTL (3700f0788da6). */
  readonly listsDebugctl: boolean;
  /**
   * KVM's events of a guest's counters keep the space for call stacks of the vCPU's thread, as they
   * keep the thread's perf_event_pmu_context (bd2756811766, 6.2), until 6.15 ties it to the task.
   */
  readonly countersKeepSpace: boolean;
  /** A trapped write that faults is the guest's #GP, and no fault of the host (ca674df13b19). */
  readonly checkedWrites: boolean;
}

/** Linux 6.1.192. */
export const KVM_6_1: KvmFeatures = {
  infoOfFormat5Only: true,
  callstackOnly: false,
  listsDebugctl: false,
  countersKeepSpace: false,
  checkedWrites: false,
};

/** Linux 6.12.117. */
const KVM_6_12: KvmFeatures = {
  infoOfFormat5Only: false,
  callstackOnly: true,
  listsDebugctl: true,
  countersKeepSpace: true,
  checkedWrites: false,
};

/** The KVM beside a version of perf: of 6.1.192, 6.12.117 and 7.3.4; 4.18 has that of 6.1. */
export const KVM_FEATURES: Readonly<Record<'6.1' | '6.12' | '7.3' | '4.18', KvmFeatures>> = {
  '6.1': KVM_6_1,
  '6.12': KVM_6_12,
  '7.3': { ...KVM_6_12, countersKeepSpace: false, checkedWrites: true },
  '4.18': KVM_6_1,
};

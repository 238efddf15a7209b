/**
 * The paravirtual ABI of the 2018 series ("perf/x86/intel/lbr: guest requesting KVM for lbr stack
 * save/restore", v2 6/8). Neither the MSR number nor the bits of the posted patch are to be found
 * any more: these are ours, from KVM's range for custom MSRs (FIDELITY, "Paravirtual ABI").
 */
export const MSR_KVM_PV_LBR_CTRL = 0x4b564dfe;

/** The guest has a user call-stack event scheduled on this vCPU. */
export const KVM_PV_LBR_CTRL_ACTIVE: number = 1 << 0;

/** CPUID leaf KVM_CPUID_FEATURES (0x40000001), EAX: the MSR exists. */
export const KVM_FEATURE_PV_LBR_CTRL = 30;

/**
 * Where the guest's driver sets and clears ACTIVE.
 *
 * - `none`: a guest without the feature.
 * - `add-del`: on the first and last call-stack user scheduled on the vCPU, as the patch's commit
 *   message has it. A kexec'd kernel inherits the bit.
 * - `add-del-boot`: the same, and a starting CPU clears the bit first.
 */
export const PV_SITES = ['none', 'add-del', 'add-del-boot'] as const;
export type PvSite = (typeof PV_SITES)[number];

/**
 * MSR indices and bits, sorted by index, named as in arch/x86/include/asm/msr-index.h, Linux 6.1.
 * SDM: Vol. 4, "Model-Specific Registers (MSRs)"; Vol. 3B, "Last Branch, Interrupt, and Exception
 * Recording Overview". Bits above 31 are named with _HI and are bits of edx.
 */
export const MSR_LBR_CORE_FROM = 0x40;
export const MSR_LBR_CORE_TO = 0x60;

export const MSR_LBR_SELECT = 0x1c8;
export const LBR_KERNEL: number = 1 << 0;
export const LBR_USER: number = 1 << 1;
export const LBR_JCC: number = 1 << 2;
export const LBR_REL_CALL: number = 1 << 3;
export const LBR_IND_CALL: number = 1 << 4;
export const LBR_RETURN: number = 1 << 5;
export const LBR_IND_JMP: number = 1 << 6;
export const LBR_REL_JMP: number = 1 << 7;
export const LBR_FAR: number = 1 << 8;
export const LBR_CALL_STACK: number = 1 << 9;

export const MSR_LBR_TOS = 0x1c9;

export const MSR_IA32_DEBUGCTLMSR = 0x1d9;
export const DEBUGCTLMSR_LBR: number = 1 << 0;
export const DEBUGCTLMSR_BTF: number = 1 << 1;
export const DEBUGCTLMSR_BUS_LOCK_DETECT: number = 1 << 2;
export const DEBUGCTLMSR_TR: number = 1 << 6;
export const DEBUGCTLMSR_BTS: number = 1 << 7;
export const DEBUGCTLMSR_BTINT: number = 1 << 8;
export const DEBUGCTLMSR_BTS_OFF_OS: number = 1 << 9;
export const DEBUGCTLMSR_BTS_OFF_USR: number = 1 << 10;
export const DEBUGCTLMSR_FREEZE_LBRS_ON_PMI: number = 1 << 11;
export const DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI: number = 1 << 12;
export const DEBUGCTLMSR_UNCORE_PMI: number = 1 << 13;
export const DEBUGCTLMSR_FREEZE_IN_SMM: number = 1 << 14;
export const DEBUGCTLMSR_RTM_DEBUG: number = 1 << 15;

export const MSR_IA32_PERF_CAPABILITIES = 0x345;
export const PERF_CAP_LBR_FMT = 0x3f;
export const PERF_CAP_FREEZE_IN_SMM: number = 1 << 12;

export const MSR_CORE_PERF_GLOBAL_STATUS = 0x38e;
export const GLOBAL_STATUS_LBRS_FROZEN_HI: number = 1 << (58 - 32);
export const GLOBAL_STATUS_COUNTERS_FROZEN_HI: number = 1 << (59 - 32);
export const GLOBAL_STATUS_COND_CHG_HI: number = 1 << (63 - 32);

export const MSR_CORE_PERF_GLOBAL_CTRL = 0x38f;
export const MSR_CORE_PERF_GLOBAL_OVF_CTRL = 0x390;
export const MSR_CORE_PERF_GLOBAL_STATUS_SET = 0x391;

export const MSR_LBR_NHM_FROM = 0x680;
export const MSR_LBR_NHM_TO = 0x6c0;

/** Flags of a FROM register, formats EIP_FLAGS, EIP_FLAGS2 and TIME (bits 63, 62, 61). */
export const LBR_FROM_FLAG_MISPRED_HI: number = 1 << (63 - 32);
/** Linux: LBR_FROM_SIGNEXT_2MSB, bits 60 and 59, which hold the sign where 62:61 are flags. */
export const LBR_FROM_SIGNEXT_2MSB_HI: number = (1 << (60 - 32)) | (1 << (59 - 32));
export const LBR_FROM_FLAG_IN_TX_HI: number = 1 << (62 - 32);
export const LBR_FROM_FLAG_ABORT_HI: number = 1 << (61 - 32);

export const MSR_LBR_INFO_0 = 0xdc0;
export const LBR_INFO_MISPRED_HI: number = 1 << (63 - 32);
export const LBR_INFO_IN_TX_HI: number = 1 << (62 - 32);
export const LBR_INFO_ABORT_HI: number = 1 << (61 - 32);
export const LBR_INFO_CYCLES = 0xffff;

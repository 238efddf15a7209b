/* Stands for arch/x86/include/asm/cpuid/api.h (6.15 and later): CPUID is the CPU model's. */
#ifndef VLBR_ASM_CPUID_API_H
#define VLBR_ASM_CPUID_API_H
#include <asm/cpuid/types.h>
#include <vlbr_cpuid.h>
#define cpuid_read_subleaf(leaf, subleaf, regs) vlbr_cpuid_read(leaf, subleaf, (u32 *)(regs))
#define cpuid_read(leaf, regs) vlbr_cpuid_read(leaf, 0, (u32 *)(regs))
#define cpuid_leaf cpuid_read
#define cpuid_subleaf cpuid_read_subleaf
#endif

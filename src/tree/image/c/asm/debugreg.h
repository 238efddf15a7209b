/* Stands for arch/x86/include/asm/debugreg.h: the two helpers of DEBUGCTL (6.16 and later). */
#ifndef VLBR_ASM_DEBUGREG_H
#define VLBR_ASM_DEBUGREG_H
#include <asm/msr.h>

static inline unsigned long get_debugctlmsr(void)
{
	return vlbr_rdmsr(MSR_IA32_DEBUGCTLMSR);
}

static inline void update_debugctlmsr(unsigned long debugctlmsr)
{
	vlbr_wrmsr(MSR_IA32_DEBUGCTLMSR, debugctlmsr);
}
#endif

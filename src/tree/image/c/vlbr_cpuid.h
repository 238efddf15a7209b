/* CPUID, as every tree spells it; the CPU model answers. */
#ifndef VLBR_CPUID_H
#define VLBR_CPUID_H
#include <linux/types.h>
#if __has_include(<asm/cpuid/types.h>)
#include <asm/cpuid/types.h>
#else
enum cpuid_regs_idx { CPUID_EAX = 0, CPUID_EBX, CPUID_ECX, CPUID_EDX };
#endif
void vlbr_cpuid(u32 leaf, u32 subleaf, u32 *regs);

static inline void vlbr_cpuid_read(u32 leaf, u32 subleaf, u32 *regs)
{
	vlbr_cpuid(leaf, subleaf, regs);
}

static inline void cpuid_count(unsigned int leaf, int subleaf, unsigned int *eax,
			       unsigned int *ebx, unsigned int *ecx, unsigned int *edx)
{
	u32 regs[4];

	vlbr_cpuid(leaf, subleaf, regs);
	*eax = regs[CPUID_EAX];
	*ebx = regs[CPUID_EBX];
	*ecx = regs[CPUID_ECX];
	*edx = regs[CPUID_EDX];
}

static inline void cpuid(unsigned int leaf, unsigned int *eax, unsigned int *ebx,
			 unsigned int *ecx, unsigned int *edx)
{
	cpuid_count(leaf, 0, eax, ebx, ecx, edx);
}

#define VLBR_CPUID_REGISTER(name, index) \
	static inline unsigned int name(unsigned int leaf) \
	{ \
		u32 regs[4]; \
		vlbr_cpuid(leaf, 0, regs); \
		return regs[index]; \
	}
VLBR_CPUID_REGISTER(cpuid_eax, CPUID_EAX)
VLBR_CPUID_REGISTER(cpuid_ebx, CPUID_EBX)
VLBR_CPUID_REGISTER(cpuid_ecx, CPUID_ECX)
VLBR_CPUID_REGISTER(cpuid_edx, CPUID_EDX)
#endif

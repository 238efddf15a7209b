/* Adds to the header of this name what KVM reads: the leaves of a hypervisor. */
#include_next <asm/cpuid/api.h>
#ifndef VLBR_KVM_ASM_CPUID_API_H
#define VLBR_KVM_ASM_CPUID_API_H
u32 cpuid_base_hypervisor(const char *sig, u32 leaves);
bool cpuid_function_is_indexed(u32 function);
#define for_each_possible_cpuid_base_hypervisor(function) \
	for (function = 0x40000000; function < 0x40010000; function += 0x100)
#endif

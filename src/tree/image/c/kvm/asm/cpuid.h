/* Stands for arch/x86/include/asm/cpuid.h, which 6.12 has: the leaves of a hypervisor. */
#ifndef VLBR_KVM_ASM_CPUID_H
#define VLBR_KVM_ASM_CPUID_H
#include <vlbr_cpuid.h>
bool cpuid_function_is_indexed(u32 function);
#endif

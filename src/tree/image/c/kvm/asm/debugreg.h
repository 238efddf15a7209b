/* Adds to the header of this name what KVM reads: the debug registers. */
#include <uapi/asm/debugreg.h>
#include_next <asm/debugreg.h>
#ifndef VLBR_KVM_ASM_DEBUGREG_H
#define VLBR_KVM_ASM_DEBUGREG_H
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
DECLARE_PER_CPU(unsigned long, cpu_dr7);
#define DR7_FIXED_1 0x00000400
#endif

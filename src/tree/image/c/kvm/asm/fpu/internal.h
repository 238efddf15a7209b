/* Stands for arch/x86/include/asm/fpu/internal.h, up to 5.15: no state is kept, and none is moved. */
#ifndef VLBR_KVM_ASM_FPU_INTERNAL_H
#define VLBR_KVM_ASM_FPU_INTERNAL_H
#include <asm/fpu/xcr.h>
#include <asm/fpu/xstate.h>
#define XSTATE_CPUID 0xd
#define fpu_kernel_xstate_size 0
#define mxcsr_feature_mask 0xffff
#define get_xsave_addr(xsave, feature) ((void *)0)
#define fpstate_init(state) do { } while (0)
#define copy_fpregs_to_fpstate(fpu) do { } while (0)
#define copy_kernel_to_fpregs(state) do { } while (0)
#define __copy_kernel_to_fpregs(state, mask) do { } while (0)
#define fpregs_mark_activate() do { } while (0)
#endif

/* Stands for arch/x86/include/asm/fpu/xcr.h: no extended state is saved. */
#ifndef VLBR_KVM_ASM_FPU_XCR_H
#define VLBR_KVM_ASM_FPU_XCR_H
#define XCR_XFEATURE_ENABLED_MASK 0
#define XCR_XFEATURE_IN_USE_MASK 1
#endif

/* Adds to the header of this name what KVM reads: sizes and masks of the state that is not saved. */
#include_next <asm/fpu/xstate.h>
#ifndef VLBR_KVM_ASM_FPU_XSTATE_H
#define VLBR_KVM_ASM_FPU_XSTATE_H
#define XSAVE_HDR_SIZE 64
#define XSAVE_HDR_OFFSET 512
#define XFEATURE_MASK_EXTEND (~(XFEATURE_MASK_FPSSE | (1ULL << 63)))
#define XFEATURE_MASK_USER_DYNAMIC (1 << XFEATURE_XTILE_DATA)
#endif

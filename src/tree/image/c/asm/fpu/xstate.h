/* Stands for arch/x86/include/asm/fpu/xstate.h: XSAVES of the architectural LBR, not modelled. */
#ifndef VLBR_ASM_FPU_XSTATE_H
#define VLBR_ASM_FPU_XSTATE_H
#include <asm/fpu/types.h>
#define XSAVE_ALIGNMENT 64
#define XFEATURE_MASK_LBR (1 << XFEATURE_LBR)
void xsaves(struct xregs_state *xsave, u64 mask);
void xrstors(struct xregs_state *xsave, u64 mask);
/* The names of these two in 5.9 to 5.12. */
void copy_dynamic_supervisor_to_kernel(struct xregs_state *xsave, u64 mask);
void copy_kernel_to_dynamic_supervisor(struct xregs_state *xsave, u64 mask);
unsigned int xfeature_size(int xfeature_nr);
#endif

/* Stands for arch/x86/include/asm/mmu_context.h: there is no memory of a process. */
#ifndef VLBR_KVM_ASM_MMU_CONTEXT_H
#define VLBR_KVM_ASM_MMU_CONTEXT_H
#include <asm/cpu_entry_area.h>
#endif

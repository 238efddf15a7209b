/* Stands for arch/x86/include/asm/entry-common.h: the way back to user mode is not modelled. */
#ifndef VLBR_KVM_ASM_ENTRY-COMMON_H
#define VLBR_KVM_ASM_ENTRY-COMMON_H
#include <asm/nospec-branch.h>
#endif

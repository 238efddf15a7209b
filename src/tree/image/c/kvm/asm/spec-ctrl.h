/* Stands for arch/x86/include/asm/spec-ctrl.h: speculation is not modelled. */
#ifndef VLBR_KVM_ASM_SPEC-CTRL_H
#define VLBR_KVM_ASM_SPEC-CTRL_H
#include <asm/nospec-branch.h>
#endif

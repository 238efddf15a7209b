/* Stands for arch/x86/include/asm/spec-ctrl.h: speculation is not modelled. */
#ifndef VLBR_KVM_ASM_SPEC_CTRL_H
#define VLBR_KVM_ASM_SPEC_CTRL_H
#include <asm/nospec-branch.h>
/* Up to 5.18. */
#define x86_spec_ctrl_set_guest(guest, ssbd) do { } while (0)
#define x86_spec_ctrl_restore_host(guest, ssbd) do { } while (0)
#endif

/* Stands for arch/x86/include/asm/idtentry.h: there are no entry points. */
#ifndef VLBR_KVM_ASM_IDTENTRY_H
#define VLBR_KVM_ASM_IDTENTRY_H
void asm_exc_nmi_noist(void);
#endif

/* Stands for arch/x86/include/asm/virtext.h: every CPU has VMX. */
#ifndef VLBR_KVM_ASM_VIRTEXT_H
#define VLBR_KVM_ASM_VIRTEXT_H
int cpu_has_vmx(void);
int cpu_vmxoff(void);
void __cpu_emergency_vmxoff(void);
#endif

/* An interrupt of the host's can come where KVM itself turns interrupts on or off. */
#ifndef VLBR_KVM_ASM_IRQFLAGS_H
#define VLBR_KVM_ASM_IRQFLAGS_H
void vlbr_kvm_irq_restore(unsigned long flags);
#define arch_local_irq_restore vlbr_kvm_irq_restore
#endif
#include_next <asm/irqflags.h>

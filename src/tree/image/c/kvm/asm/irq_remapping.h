/* Stands for arch/x86/include/asm/irq_remapping.h: there is no IOMMU. */
#ifndef VLBR_KVM_ASM_IRQ_REMAPPING_H
#define VLBR_KVM_ASM_IRQ_REMAPPING_H
enum irq_remap_cap { IRQ_POSTING_CAP = 0 };
bool irq_remapping_cap(enum irq_remap_cap cap);
struct irq_domain;
struct vcpu_data {
	u64 pi_desc_addr;
	u32 vector;
};
#endif

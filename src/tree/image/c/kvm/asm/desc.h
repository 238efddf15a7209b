/* Stands for arch/x86/include/asm/desc.h: descriptors are kept and not used. */
#ifndef VLBR_KVM_ASM_DESC_H
#define VLBR_KVM_ASM_DESC_H
#include <asm/desc_defs.h>
#include <linux/percpu-defs.h>
struct gdt_page {
	struct desc_struct gdt[16];
};
DECLARE_PER_CPU(struct gdt_page, gdt_page);
unsigned long get_desc_base(const struct desc_struct *desc);
void set_desc_base(struct desc_struct *desc, unsigned long base);
unsigned long get_desc_limit(const struct desc_struct *desc);
void set_desc_limit(struct desc_struct *desc, unsigned long limit);
struct desc_struct *get_current_gdt_ro(void);
void invalidate_tss_limit(void);
void load_fixmap_gdt(int processor);
void store_idt(struct desc_ptr *dtr);
#endif

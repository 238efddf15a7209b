/* Stands for arch/x86/include/asm/desc.h: perf looks a segment's base up for 32-bit user code. */
#ifndef VLBR_ASM_DESC_H
#define VLBR_ASM_DESC_H
struct desc_struct {
	u32 a, b;
};
struct gdt_page {
	struct desc_struct gdt[16];
};
DECLARE_PER_CPU(struct gdt_page, gdt_page);
unsigned long get_desc_base(const struct desc_struct *desc);
#endif

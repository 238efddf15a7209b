/* Stands for arch/x86/include/asm/io.h: there is no device. */
#ifndef VLBR_KVM_ASM_IO_H
#define VLBR_KVM_ASM_IO_H
#include <asm/page.h>
unsigned int readl(const void *address);
void writel(unsigned int value, void *address);
unsigned long virt_to_phys(void *address);
void *phys_to_virt(unsigned long address);
#endif

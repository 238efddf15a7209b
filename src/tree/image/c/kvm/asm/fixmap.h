/* Stands for arch/x86/include/asm/fixmap.h: nothing is mapped. */
#ifndef VLBR_KVM_ASM_FIXMAP_H
#define VLBR_KVM_ASM_FIXMAP_H
#define FIX_APIC_BASE 0
#define fix_to_virt(index) 0UL
#define APIC_BASE 0UL
#endif

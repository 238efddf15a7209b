/* Stands for arch/x86/include/asm/apic.h: perf writes LVTPC, which the model does not have. */
#ifndef VLBR_ASM_APIC_H
#define VLBR_ASM_APIC_H
#include <asm/apicdef.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>
void apic_write(u32 reg, u32 value);
#endif

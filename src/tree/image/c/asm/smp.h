/* Stands for arch/x86/include/asm/smp.h. */
#ifndef VLBR_ASM_SMP_H
#define VLBR_ASM_SMP_H
extern unsigned int vlbr_cpu;
#define raw_smp_processor_id() (vlbr_cpu)
struct cpumask;
void arch_send_call_function_single_ipi(int cpu);
void arch_send_call_function_ipi_mask(const struct cpumask *mask);
#endif

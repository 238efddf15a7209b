/*
 * Stands for arch/x86/include/asm/cpu_entry_area.h: the debug store's buffers, which no CPU of the
 * model has a use for.
 */
#ifndef VLBR_ASM_CPU_ENTRY_AREA_H
#define VLBR_ASM_CPU_ENTRY_AREA_H
#include <asm/intel_ds.h>
struct vlbr_tss { struct { unsigned long sp0; } x86_tss; };
struct entry_stack { unsigned long words[64]; };
struct cpu_entry_area {
	struct vlbr_tss tss;
	struct debug_store cpu_debug_store;
	struct debug_store_buffers cpu_debug_buffers;
};
struct cpu_entry_area *get_cpu_entry_area(int cpu);
struct entry_stack *cpu_entry_stack(int cpu);
#define cea_set_pte(vaddr, pa, flags) do { } while (0)
#endif

/* Stands for arch/x86/include/asm/mmu.h: what perf's rdpmc permission needs. */
#ifndef VLBR_ASM_MMU_H
#define VLBR_ASM_MMU_H
#include <linux/atomic.h>
typedef struct {
	atomic_t perf_rdpmc_allowed;
	unsigned long end_brk;
	void *ldt;
} mm_context_t;
#endif

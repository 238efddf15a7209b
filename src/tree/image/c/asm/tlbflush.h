/* Stands for arch/x86/include/asm/tlbflush.h. */
#include <asm/processor.h>
void cr4_update_pce(void *ignored);
/* Up to 5.9 in its place; asm/mmu_context.h. */
#define load_mm_cr4(mm) do { } while (0)
#define load_mm_cr4_irqsoff(mm) do { } while (0)

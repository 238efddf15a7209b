/* Stands for arch/x86/include/asm/pgtable.h: there are no page tables to walk. */
#ifndef VLBR_ASM_PGTABLE_H
#define VLBR_ASM_PGTABLE_H
#include <asm-generic/pgtable-nopud.h>
/* In 5.9 to 5.12 perf relies on this header for it. */
#include <asm/fpu/xstate.h>
#define PAGE_KERNEL __pgprot(0)
#define VMALLOC_START 0
#define VMALLOC_END 0
#define swapper_pg_dir ((pgd_t *)0)
#define pgd_none(x) 0
#define ZERO_PAGE(x) ((struct page *)0)
enum pg_level { PG_LEVEL_NONE, PG_LEVEL_4K, PG_LEVEL_2M, PG_LEVEL_1G, PG_LEVEL_512G, PG_LEVEL_NUM };
#endif

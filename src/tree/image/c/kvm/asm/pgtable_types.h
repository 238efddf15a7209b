/* Stands for arch/x86/include/asm/pgtable_types.h, which 5.12 reads: there are no page tables. */
#include <asm/page.h>

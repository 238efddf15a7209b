/* Stands for arch/x86/include/asm/tlbflush.h. */
#include <asm/processor.h>
void cr4_update_pce(void *ignored);

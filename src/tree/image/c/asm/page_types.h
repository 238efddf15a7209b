/* Stands for arch/x86/include/asm/page_types.h. */
#include <asm/page.h>

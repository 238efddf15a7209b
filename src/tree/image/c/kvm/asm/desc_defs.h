#include <../arch/x86/include/asm/desc_defs.h>

#include <../arch/x86/include/asm/msi.h>

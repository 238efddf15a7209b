#include <../arch/x86/include/asm/irq_vectors.h>

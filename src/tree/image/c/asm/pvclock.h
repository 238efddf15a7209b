/* Stands for arch/x86/include/asm/pvclock.h: the clock is the machine's. */
#include <linux/types.h>
#include <asm/pvclock-abi.h>
struct timespec64;

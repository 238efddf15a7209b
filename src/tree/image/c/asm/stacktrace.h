/* Stands for arch/x86/include/asm/stacktrace.h: user stacks are not walked. */
#ifndef VLBR_ASM_STACKTRACE_H
#define VLBR_ASM_STACKTRACE_H
#include <linux/types.h>
struct stack_frame {
	struct stack_frame *next_frame;
	unsigned long return_address;
};
struct stack_frame_ia32 {
	u32 next_frame;
	u32 return_address;
};
#endif

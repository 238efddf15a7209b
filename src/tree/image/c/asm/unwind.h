/* Stands for arch/x86/include/asm/unwind.h: kernel stacks are not walked. */
#ifndef VLBR_ASM_UNWIND_H
#define VLBR_ASM_UNWIND_H
struct unwind_state {
	int none;
};
struct task_struct;
struct pt_regs;
void unwind_start(struct unwind_state *state, struct task_struct *task, struct pt_regs *regs,
		  unsigned long *first_frame);
#define unwind_done(state) 1
#define unwind_next_frame(state) 0
#define unwind_get_return_address(state) 0
#endif

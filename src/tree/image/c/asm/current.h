/* Stands for arch/x86/include/asm/current.h: the task that runs on the CPU that runs. */
#ifndef VLBR_ASM_CURRENT_H
#define VLBR_ASM_CURRENT_H
struct task_struct;
extern struct task_struct *vlbr_current[];
extern unsigned int vlbr_cpu;
#define get_current() (vlbr_current[vlbr_cpu])
#define current get_current()
#endif

/* Stands for arch/x86/include/asm/thread_info.h. */
#ifndef VLBR_ASM_THREAD_INFO_H
#define VLBR_ASM_THREAD_INFO_H
struct task_struct;
#ifdef VLBR_ADDR_LIMIT
typedef struct {
	unsigned long seg;
} mm_segment_t;
#endif
struct thread_info {
	unsigned long flags;
	int preempt_count;
	unsigned int cpu;
	struct task_struct *task;
#ifdef VLBR_ADDR_LIMIT
	/* In 5.9: where the addresses of users end. */
	mm_segment_t addr_limit;
#endif
};
#define THREAD_SIZE 8192
#define THREAD_SIZE_ORDER 1
#define TIF_NEED_RESCHED 1
#define TIF_SIGPENDING 2
#define TIF_NOTIFY_RESUME 3
#define TIF_NOTIFY_SIGNAL 4
#define TIF_SYSCALL_TRACE 5
#define TIF_MEMDIE 6
#define TIF_POLLING_NRFLAG 7
#define TIF_RESTORE_SIGMASK 8
#define TIF_NEED_FPU_LOAD 14
#define TIF_USER_RETURN_NOTIFY 11
#define TIF_IO_BITMAP 12
#define TIF_SSBD 13
#define TIF_SPEC_IB 15
#define _TIF_USER_RETURN_NOTIFY (1UL << TIF_USER_RETURN_NOTIFY)
/* In 5.9 and 5.10 it tells a 32-bit task. No task is one. */
#define TIF_IA32 17
#define _TIF_NEED_RESCHED (1UL << TIF_NEED_RESCHED)
#define _TIF_SIGPENDING (1UL << TIF_SIGPENDING)
#define _TIF_NOTIFY_RESUME (1UL << TIF_NOTIFY_RESUME)
#define _TIF_NOTIFY_SIGNAL (1UL << TIF_NOTIFY_SIGNAL)
#define _TIF_SYSCALL_TRACE (1UL << TIF_SYSCALL_TRACE)
#define _TIF_MEMDIE (1UL << TIF_MEMDIE)
#define _TIF_POLLING_NRFLAG (1UL << TIF_POLLING_NRFLAG)
#define _TIF_RESTORE_SIGMASK (1UL << TIF_RESTORE_SIGMASK)
#define _TIF_NEED_FPU_LOAD (1UL << TIF_NEED_FPU_LOAD)
#endif

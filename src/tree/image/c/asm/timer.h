/* Stands for arch/x86/include/asm/timer.h: arch_perf_update_userpage() reads the clock's scale. */
#ifndef VLBR_ASM_TIMER_H
#define VLBR_ASM_TIMER_H
#include <linux/types.h>
struct cyc2ns_data {
	u32 cyc2ns_mul, cyc2ns_shift;
	u64 cyc2ns_offset;
};
void cyc2ns_read_begin(struct cyc2ns_data *data);
void cyc2ns_read_end(void);
extern u64 __sched_clock_offset;
#define using_native_sched_clock() 1
#endif

/* Adds to the header of this name what KVM reads: its clock. */
#include <asm/clocksource.h>
#include_next <asm/pvclock.h>
#ifndef VLBR_KVM_ASM_PVCLOCK_H
#define VLBR_KVM_ASM_PVCLOCK_H
u64 pvclock_scale_delta(u64 delta, u32 mul_frac, int shift);
u64 __pvclock_read_cycles(const struct pvclock_vcpu_time_info *src, u64 tsc);
#endif

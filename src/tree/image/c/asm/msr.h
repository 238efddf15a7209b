/*
 * Stands for arch/x86/include/asm/msr.h: every access is the machine's to answer. The names of two
 * generations: rdmsrl() and friends up to 6.15, rdmsrq() after.
 */
#ifndef VLBR_ASM_MSR_H
#define VLBR_ASM_MSR_H
#ifndef INTEL_PMC_FIXED_RDPMC_BASE
/* As in asm/perf_event.h. */
#define INTEL_PMC_FIXED_RDPMC_BASE (1 << 30)
#endif
#include <linux/types.h>
#include <asm/msr-index.h>
/* asm/shared/msr.h */
#ifndef BIT_64
/* asm/bitops.h */
#define BIT_64(n) (1ULL << (n))
#endif
struct msr {
	union {
		struct {
			u32 l, h;
		};
		u64 q;
	};
};

/* A fault reads as 0, after a warning, as in ex_handler_msr(). */
u64 vlbr_rdmsr(u32 msr);
void vlbr_wrmsr(u32 msr, u64 value);
/* Return 0, or -EIO if the access faults. */
int vlbr_rdmsr_safe(u32 msr, u64 *value);
int vlbr_wrmsr_safe(u32 msr, u64 value);
u64 rdtsc(void);

#define rdmsrl(msr, value) ((void)((value) = vlbr_rdmsr(msr)))
#define wrmsrl(msr, value) vlbr_wrmsr(msr, value)
#define rdmsrl_safe(msr, p) vlbr_rdmsr_safe(msr, p)
#define wrmsrl_safe(msr, value) vlbr_wrmsr_safe(msr, value)
#define rdmsrq rdmsrl
#define wrmsrq wrmsrl
#define rdmsrq_safe rdmsrl_safe
#define wrmsrq_safe wrmsrl_safe
#define native_read_msr vlbr_rdmsr
#define native_rdmsrq vlbr_rdmsr
#define native_wrmsrq vlbr_wrmsr
#define wrmsrns vlbr_wrmsr
#define native_write_msr(msr, low, high) vlbr_wrmsr(msr, (u64)(high) << 32 | (low))

static inline int wrmsr_safe(u32 msr, u32 low, u32 high)
{
	return vlbr_wrmsr_safe(msr, (u64)high << 32 | low);
}

/* RDPMC reads what RDMSR of the counter does; bit 30 tells the fixed ones. SDM: Vol. 2, "RDPMC". */
static inline u64 rdpmc(int counter)
{
	if (counter & INTEL_PMC_FIXED_RDPMC_BASE)
		return vlbr_rdmsr(MSR_CORE_PERF_FIXED_CTR0 + (counter & ~INTEL_PMC_FIXED_RDPMC_BASE));
	return vlbr_rdmsr(MSR_IA32_PERFCTR0 + counter);
}
#define rdpmcl(counter, value) ((value) = rdpmc(counter))
#endif

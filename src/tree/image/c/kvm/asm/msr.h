/* Each access of KVM's own is told apart from those that perf makes for it. */
#include_next <asm/msr.h>
#ifndef VLBR_KVM_ASM_MSR_H
#define VLBR_KVM_ASM_MSR_H
u64 vlbr_kvm_rdmsr(u32 msr);
void vlbr_kvm_wrmsr(u32 msr, u64 value);
int vlbr_kvm_rdmsr_safe(u32 msr, u64 *value);
int vlbr_kvm_wrmsr_safe(u32 msr, u64 value);
#define vlbr_rdmsr vlbr_kvm_rdmsr
#define vlbr_wrmsr vlbr_kvm_wrmsr
#define vlbr_rdmsr_safe vlbr_kvm_rdmsr_safe
#define vlbr_wrmsr_safe vlbr_kvm_wrmsr_safe
#define __rdmsr vlbr_rdmsr
#define native_wrmsrl vlbr_wrmsr
#define rdmsr(msr, low, high) do { \
	u64 value__ = vlbr_rdmsr(msr); \
	(low) = (u32)value__; \
	(high) = (u32)(value__ >> 32); \
} while (0)

static inline int rdmsr_safe(u32 msr, u32 *low, u32 *high)
{
	u64 value;
	int ret = vlbr_rdmsr_safe(msr, &value);

	*low = value;
	*high = value >> 32;
	return ret;
}
#endif

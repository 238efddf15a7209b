/*
 * Stands for arch/x86/include/asm/processor.h. struct cpuinfo_x86 has what perf reads of it in any
 * tree: family, model and stepping lie together as x86_vfm, as they do from 6.10 on.
 */
#ifndef VLBR_ASM_PROCESSOR_H
#define VLBR_ASM_PROCESSOR_H
#include <vlbr_cpuid.h>
#include <linux/types.h>
#include <linux/cache.h>
#include <linux/math64.h>
#include <asm/cpufeatures.h>
#include <asm/processor-flags.h>
#include <asm/msr.h>
#define X86_VM_MASK X86_EFLAGS_VM
struct thread_struct {
	unsigned long sp;
	unsigned short fsindex, gsindex;
	unsigned long fsbase, gsbase;
	/* Up to 5.15 KVM copies nothing of it: no state is kept. */
	struct {
		struct { } state;
	} fpu;
};
#ifdef CONFIG_64BIT
#define TASK_SIZE_MAX ((1UL << 47) - PAGE_SIZE)
#else
#define TASK_SIZE_MAX PAGE_OFFSET
#endif
#define TASK_SIZE TASK_SIZE_MAX
#define STACK_TOP TASK_SIZE
#define STACK_TOP_MAX TASK_SIZE
#define task_pt_regs(task) ((struct pt_regs *)0)
#define KSTK_EIP(task) 0
#define KSTK_ESP(task) 0
struct task_struct;

struct cpuinfo_x86 {
	union {
		struct {
			u8 x86_model, x86, x86_vendor, x86_reserved;
		};
		u32 x86_vfm;
	};
	u8 x86_stepping, x86_virt_bits, x86_phys_bits;
	u32 x86_capability[24];
	int cpu_index;
	struct {
		u32 apicid, pkg_id, die_id, core_id, logical_pkg_id, cpu_type;
		union {
			u32 intel_type_raw;
			struct {
				u32 intel_native_model_id : 24, intel_type : 8;
			};
		};
	} topo;
	u32 microcode;
	u32 extended_cpuid_level, x86_power;
};
extern struct cpuinfo_x86 boot_cpu_data;
extern struct cpuinfo_x86 vlbr_cpu_data[];
#define cpu_data(cpu) vlbr_cpu_data[cpu]

#define X86_VENDOR_INTEL 0
#define X86_VENDOR_CYRIX 1
#define X86_VENDOR_AMD 2
#define X86_VENDOR_CENTAUR 5
#define X86_VENDOR_HYGON 9
#define X86_VENDOR_ZHAOXIN 10
#define INTEL_CPU_DESC(model, stepping, revision) \
	{ .x86_family = 6, .x86_vendor = X86_VENDOR_INTEL, .x86_model = (model), \
	  .x86_stepping = (stepping), .x86_microcode_rev = (revision) }
#include <asm/debugreg.h>
#include <asm/cpufeature.h>
#endif

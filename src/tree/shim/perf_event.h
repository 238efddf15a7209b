/*
 * Replaces every header that lbr.c includes. Has the types, constants and inline functions that
 * lbr.c uses, with the names and values of Linux 6.1 (include/linux/perf_event.h, msr-index.h,
 * arch/x86/events/perf_event.h) unless a comment says otherwise, and additional ones of other
 * versions.
 *
 * The structures lie over those of the model, word for word (src/guest/perf/perf_structs.ts), so
 * that the driver works on the machine's own block of memory. A member that lbr.c does not use has
 * the model's name. A u64 is aligned like a word.
 *
 * The build defines VLBR_* macros after a look at lbr.c (src/tree/drift.ts). VLBR_OWN_* says that
 * lbr.c itself defines something that driver.c needs.
 */
#ifndef VLBR_PERF_EVENT_H
#define VLBR_PERF_EVENT_H

#ifdef VLBR_DRIVER
#undef VLBR_OWN_BRANCH_KINDS
#undef VLBR_OWN_FORMATS
#undef VLBR_OWN_LBR_DISABLE
#endif

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64 __attribute__((aligned(4)));
typedef long long s64 __attribute__((aligned(4)));
typedef u8 __u8;
typedef u16 __u16;
typedef u32 __u32;
typedef u64 __u64;
typedef unsigned int size_t;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define fallthrough __attribute__((fallthrough))
#define __init
#define __user
#define __ro_after_init
#define __percpu
#define likely(x) (x)
#define unlikely(x) (x)
#define READ_ONCE(x) (x)
#define WRITE_ONCE(x, v) ((x) = (v))
#define barrier() do {} while (0)
#define swap(a, b) do { __typeof__(a) __t = (a); (a) = (b); (b) = __t; } while (0)
#define min(a, b) ({ __typeof__(a) __a = (a); __typeof__(b) __b = (b); __a < __b ? __a : __b; })
#define max(a, b) ({ __typeof__(a) __a = (a); __typeof__(b) __b = (b); __a > __b ? __a : __b; })
#define min_t(t, a, b) min((t)(a), (t)(b))
#define max_t(t, a, b) max((t)(a), (t)(b))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1ULL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK_ULL(h, l) ((~0ULL >> (63 - (h))) & (~0ULL << (l)))
#define static_assert(...) _Static_assert(__VA_ARGS__, "")
#define BUILD_BUG_ON(x) _Static_assert(!(x), "")
#define EXPORT_SYMBOL_GPL(x)
#define EXPORT_SYMBOL(x)
#define EXPORT_SYMBOL_FOR_KVM(x)
#define pr_cont(...) do {} while (0)
#define pr_info(...) do {} while (0)
#define pr_warn(...) do {} while (0)
/* The model's properties show whatever a warning would report. */
#define WARN_ON(x) (!!(x))
#define WARN_ON_ONCE(x) (!!(x))
#define WARN_ONCE(x, ...) (!!(x))
#define EINVAL 22
#define EOPNOTSUPP 95
#define E2BIG 7

void *memset(void *s, int c, size_t n);
void *memcpy(void *dest, const void *src, size_t n);
static inline bool vlbr_test_bit(u32 nr, const void *words)
{
	return ((const u32 *)words)[nr / 32] >> (nr % 32) & 1;
}
#define test_bit(nr, addr) vlbr_test_bit(nr, addr)
static inline int fls(u32 x) { return x ? 32 - __builtin_clz(x) : 0; }
static inline int __ffs(u32 x) { return __builtin_ctz(x); }
static inline int ffs(u32 x) { return x ? __builtin_ctz(x) + 1 : 0; }

/* MSRs. A value enters the model as a low and a high word. A faulting read gives 0. */
#define VLBR_IMPORT(name) __attribute__((import_module("vlbr"), import_name(#name))) extern
VLBR_IMPORT(rdmsr) u32 vlbr_rdmsr(u32 msr);
VLBR_IMPORT(rdmsr_edx) u32 vlbr_rdmsr_edx(void);
VLBR_IMPORT(wrmsr) void vlbr_wrmsr(u32 msr, u32 eax, u32 edx);
static inline u64 vlbr_rdmsrq(u32 msr)
{
	u64 eax = vlbr_rdmsr(msr);

	return eax | (u64)vlbr_rdmsr_edx() << 32;
}
static inline void vlbr_wrmsrq(u32 msr, u64 val) { vlbr_wrmsr(msr, val, val >> 32); }
#define rdmsrl(msr, val) ((void)((val) = vlbr_rdmsrq(msr)))
#define wrmsrl(msr, val) vlbr_wrmsrq(msr, val)
#define rdmsrq(msr, val) rdmsrl(msr, val)
#define wrmsrq(msr, val) wrmsrl(msr, val)
#define native_rdmsrq(msr) vlbr_rdmsrq(msr)
#define native_wrmsrq(msr, val) wrmsrl(msr, val)
#define wrmsrl_safe(msr, val) (wrmsrl(msr, val), 0)
#define wrmsrq_safe(msr, val) (wrmsrl(msr, val), 0)

#define MSR_LBR_SELECT 0x000001c8
#define MSR_LBR_TOS 0x000001c9
#define MSR_IA32_DEBUGCTLMSR 0x000001d9
#define DEBUGCTLMSR_LBR (1ULL << 0)
#define DEBUGCTLMSR_FREEZE_LBRS_ON_PMI (1ULL << 11)
#define MSR_LBR_CORE_FROM 0x00000040
#define MSR_LBR_CORE_TO 0x00000060
#define MSR_LBR_NHM_FROM 0x00000680
#define MSR_LBR_NHM_TO 0x000006c0
#define MSR_LBR_INFO_0 0x00000dc0
#define LBR_INFO_MISPRED BIT_ULL(63)
#define LBR_INFO_IN_TX BIT_ULL(62)
#define LBR_INFO_ABORT BIT_ULL(61)
#define LBR_INFO_CYC_CNT_VALID BIT_ULL(60)
#define LBR_INFO_CYCLES 0xffff
#define LBR_INFO_BR_TYPE_OFFSET 56
#define LBR_INFO_BR_TYPE (0xfull << LBR_INFO_BR_TYPE_OFFSET)
#define LBR_INFO_BR_CNTR_OFFSET 32
#define LBR_INFO_BR_CNTR_NUM 4
#define LBR_INFO_BR_CNTR_BITS 2
#define LBR_INFO_BR_CNTR_MASK GENMASK_ULL(LBR_INFO_BR_CNTR_BITS - 1, 0)
#define LBR_INFO_BR_CNTR_FULL_MASK \
	GENMASK_ULL(LBR_INFO_BR_CNTR_NUM * LBR_INFO_BR_CNTR_BITS - 1, 0)

/* CPU features. Architectural LBR is other hardware, so the compiler removes its code. */
#define X86_FEATURE_ARCH_LBR 1
#define X86_FEATURE_XSAVES 2
#define X86_FEATURE_HLE 3
#define X86_FEATURE_RTM 4
extern bool vlbr_tsx;
#define static_cpu_has(feature) ((feature) == X86_FEATURE_RTM && vlbr_tsx)
#define boot_cpu_has(feature) static_cpu_has(feature)
#define cpu_feature_enabled(feature) static_cpu_has(feature)
#define setup_clear_cpu_cap(feature) do {} while (0)
#define clear_cpu_cap(cpuinfo, feature) do {} while (0)
struct cpuinfo_x86 { u32 x86_model, x86_stepping, x86_mask, x86_vfm; };
extern struct cpuinfo_x86 boot_cpu_data;
#define INTEL_ATOM_BONNELL 28
struct static_key_false { bool enabled; };
#define DEFINE_STATIC_KEY_FALSE(name) struct static_key_false name
#define static_branch_likely(key) ((key)->enabled)
#define static_branch_unlikely(key) ((key)->enabled)
#define static_branch_enable(key) ((key)->enabled = true)

/* Per-CPU variables are arrays; cpu_hw_events is the model's. A kernel has up to 8 CPUs. */
#define VLBR_CPUS 8
#define DEFINE_PER_CPU(type, name) __typeof__(type) name[VLBR_CPUS]
extern u32 vlbr_cpu;
struct cpu_hw_events;
extern struct cpu_hw_events *vlbr_cpuc, *vlbr_cpucs[VLBR_CPUS];
extern u32 vlbr_nr_cpus;
#define vlbr_per_cpu(ptr, cpu, cpuc) ({ \
	__typeof__(&(*(ptr))[0]) __p = &(*(ptr))[cpu]; \
	(void *)(ptr) == (void *)cpu_hw_events ? (__typeof__(__p))(void *)(cpuc) : __p; })
#define per_cpu_ptr(ptr, cpu) vlbr_per_cpu(ptr, cpu, vlbr_cpucs[cpu])
#define this_cpu_ptr(ptr) vlbr_per_cpu(ptr, vlbr_cpu, vlbr_cpuc)
#define raw_cpu_ptr(ptr) this_cpu_ptr(ptr)
#define __get_cpu_var(var) (*this_cpu_ptr(&(var)))
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < vlbr_nr_cpus; (cpu)++)
#define smp_processor_id() vlbr_cpu
#define cpu_to_node(cpu) 0

/* Memory: the model allocates task contexts. */
struct kmem_cache;
#define GFP_KERNEL 0
#define __GFP_ZERO 0
#define kmem_cache_create(...) ((struct kmem_cache *)NULL)
#define kmem_cache_alloc_node(...) NULL
/* Up to 5.13 lbr.c allocates with the first event what it allocates beforehand in 6.1. */
#define kmem_cache_alloc(cache, flags) NULL
#define kmem_cache_free(cache, p) do {} while (0)
#define rcu_read_lock() do {} while (0)
#define rcu_read_unlock() do {} while (0)
#define rcu_dereference(p) (p)

/* include/uapi/linux/perf_event.h */
enum {
	PERF_SAMPLE_BRANCH_USER_SHIFT, PERF_SAMPLE_BRANCH_KERNEL_SHIFT, PERF_SAMPLE_BRANCH_HV_SHIFT,
	PERF_SAMPLE_BRANCH_ANY_SHIFT, PERF_SAMPLE_BRANCH_ANY_CALL_SHIFT,
	PERF_SAMPLE_BRANCH_ANY_RETURN_SHIFT, PERF_SAMPLE_BRANCH_IND_CALL_SHIFT,
	PERF_SAMPLE_BRANCH_ABORT_TX_SHIFT, PERF_SAMPLE_BRANCH_IN_TX_SHIFT,
	PERF_SAMPLE_BRANCH_NO_TX_SHIFT, PERF_SAMPLE_BRANCH_COND_SHIFT,
	PERF_SAMPLE_BRANCH_CALL_STACK_SHIFT, PERF_SAMPLE_BRANCH_IND_JUMP_SHIFT,
	PERF_SAMPLE_BRANCH_CALL_SHIFT, PERF_SAMPLE_BRANCH_NO_FLAGS_SHIFT,
	PERF_SAMPLE_BRANCH_NO_CYCLES_SHIFT, PERF_SAMPLE_BRANCH_TYPE_SAVE_SHIFT,
	PERF_SAMPLE_BRANCH_HW_INDEX_SHIFT, PERF_SAMPLE_BRANCH_PRIV_SAVE_SHIFT,
	PERF_SAMPLE_BRANCH_COUNTERS_SHIFT, PERF_SAMPLE_BRANCH_MAX_SHIFT
};
#define VLBR_BRANCH(name) PERF_SAMPLE_BRANCH_##name = 1U << PERF_SAMPLE_BRANCH_##name##_SHIFT
enum {
	VLBR_BRANCH(USER), VLBR_BRANCH(KERNEL), VLBR_BRANCH(HV), VLBR_BRANCH(ANY),
	VLBR_BRANCH(ANY_CALL), VLBR_BRANCH(ANY_RETURN), VLBR_BRANCH(IND_CALL),
	VLBR_BRANCH(ABORT_TX), VLBR_BRANCH(IN_TX), VLBR_BRANCH(NO_TX), VLBR_BRANCH(COND),
	VLBR_BRANCH(CALL_STACK), VLBR_BRANCH(IND_JUMP), VLBR_BRANCH(CALL), VLBR_BRANCH(NO_FLAGS),
	VLBR_BRANCH(NO_CYCLES), VLBR_BRANCH(TYPE_SAVE), VLBR_BRANCH(HW_INDEX),
	VLBR_BRANCH(PRIV_SAVE), VLBR_BRANCH(COUNTERS)
};
enum {
	PERF_BR_UNKNOWN, PERF_BR_COND, PERF_BR_UNCOND, PERF_BR_IND, PERF_BR_CALL, PERF_BR_IND_CALL,
	PERF_BR_RET, PERF_BR_SYSCALL, PERF_BR_SYSRET, PERF_BR_COND_CALL, PERF_BR_COND_RET,
	PERF_BR_ERET, PERF_BR_IRQ, PERF_BR_SERROR, PERF_BR_NO_TX
};
#define PERF_BRANCH_ENTRY_INFO_BITS_MAX 33

/* `info` also covers the kernel's bits above priv, which hold nothing. */
struct perf_branch_entry {
	u64 from;
	u64 to;
	u32 mispred:1, predicted:1, in_tx:1, abort:1, cycles:16, type:4, spec:2, new_type:4, reserved:2;
};
struct perf_branch_stack { u32 nr; u32 hw_idx; };
static inline void perf_clear_branch_entry_bitfields(struct perf_branch_entry *br)
{
	*((u32 *)br + 4) = 0;
}

struct pmu { struct kmem_cache *task_ctx_cache; };
/* EXTRA_REG_NONE is 0 here, the value of a cleared word. */
enum extra_reg_type { EXTRA_REG_NONE = 0, EXTRA_REG_LBR = 1 };
struct hw_perf_event_extra { u32 reg; u64 config; int idx; int alloc; };
/* The only flag of hw.flags that the model has. */
#define PERF_X86_EVENT_LBR_SELECT 0x1
/* From 6.15 on, the task points to its data. Here the pointer leads to the data itself. */
struct perf_ctx_data { u8 data[0]; };
/*
 * There is one context for each task. The context that holds the events also holds the task's data,
 * and lbr.c sees nothing else of the task.
 */
struct perf_event_context {
	int task, parent_ctx, parent_gen, generation, nr_events, nr_active, is_active;
	union { void *task_ctx_data; struct perf_ctx_data *perf_ctx_data; };
	int rotate_necessary, used;
	union { struct pmu *pmu; const void *mm; };
};
#define perf_event_pmu_context perf_event_context
#define task_struct perf_event_context
/* Stands for a task without a context, and for the interrupted task. */
extern const struct task_struct vlbr_no_task;
/* A task's event has CPU -1. */
#define PERF_ATTACH_TASK (1U << 31)
struct perf_event {
	int state;
	union {
		struct {
			struct task_struct *target;
			u32 vlbr_words[4];
			struct hw_perf_event_extra branch_reg;
			int idx;
			u32 flags;
		} hw;
		struct {
			union { struct perf_event_context *ctx, *pmu_ctx; };
			union { int cpu; u32 attach_state; };
			int oncpu;
			struct { u32 vlbr_attr:4, precise_ip:2; u32 branch_sample_type; } attr;
		};
	};
	u32 total_time_running;
	int pending_disable, parent, used;
	struct pmu *pmu;
	struct perf_event *group_leader;
};
struct perf_sample_data;
VLBR_IMPORT(perf_sched_cb_inc) void vlbr_perf_sched_cb_inc(void);
VLBR_IMPORT(perf_sched_cb_dec) void vlbr_perf_sched_cb_dec(void);
#define perf_sched_cb_inc(pmu) ((void)(pmu), vlbr_perf_sched_cb_inc())
#define perf_sched_cb_dec(pmu) ((void)(pmu), vlbr_perf_sched_cb_dec())
#define is_branch_counters_group(event) false
#define branch_sample_counters(event) false
#define for_each_sibling_event(sibling, leader) while (0)
#define perf_sample_save_brstack(data, event, brs, cntr) do {} while (0)

/* arch/x86/events/perf_event.h */
#define MAX_LBR_ENTRIES 32
#define X86_PMC_IDX_MAX 64
#ifndef VLBR_OWN_FORMATS
enum {
	LBR_FORMAT_32, LBR_FORMAT_LIP, LBR_FORMAT_EIP, LBR_FORMAT_EIP_FLAGS, LBR_FORMAT_EIP_FLAGS2,
	LBR_FORMAT_INFO, LBR_FORMAT_TIME, LBR_FORMAT_INFO2, LBR_FORMAT_MAX_KNOWN = LBR_FORMAT_INFO2
};
#endif
struct lbr_entry { u64 from, to, info; };
struct pebs_lbr { struct lbr_entry lbr[0]; };
struct er_account { u32 ref; u64 config; };
struct x86_perf_task_context_opt { int lbr_callstack_users, lbr_stack_state, log_id; };
/* Up to 5.8 there is one array each for FROM, TO and INFO, in place of the records. */
struct x86_perf_task_context {
	u64 lbr_sel;
	int tos;
	int valid_lbrs;
	union {
		struct x86_perf_task_context_opt opt;
		struct { int lbr_callstack_users, lbr_stack_state, log_id; };
	};
	union {
		struct lbr_entry lbr[MAX_LBR_ENTRIES];
		struct {
			u64 lbr_from[MAX_LBR_ENTRIES];
			u64 lbr_to[MAX_LBR_ENTRIES];
			u64 lbr_info[MAX_LBR_ENTRIES];
		};
	};
};
struct x86_perf_task_context_arch_lbr {
	struct x86_perf_task_context_opt opt;
	struct lbr_entry entries[];
};
struct arch_lbr_state { u64 header[5]; struct lbr_entry entries[]; };
struct x86_perf_task_context_arch_lbr_xsave {
	struct x86_perf_task_context_opt opt;
	u64 xsave;
	struct arch_lbr_state lbr;
};
static inline struct x86_perf_task_context_opt *task_context_opt(void *ctx)
{
	return &((struct x86_perf_task_context *)ctx)->opt;
}
#define XSAVE_ALIGNMENT 64
#define XFEATURE_LBR 15
#define XFEATURE_MASK_LBR (1 << XFEATURE_LBR)
#define xrstors(state, mask) ((void)(state))
#define xsaves(state, mask) ((void)(state))
/* The names of these two up to 5.13. */
#define copy_kernel_to_dynamic_supervisor(state, mask) xrstors(state, mask)
#define copy_dynamic_supervisor_to_kernel(state, mask) xsaves(state, mask)
#define xfeature_size(xfeature) 0
union cpuid28_eax { struct { u32 lbr_depth_mask:8, reserved:22, lbr_deep_c_reset:1, lbr_lip:1; } split; u32 full; };
union cpuid28_ebx { struct { u32 lbr_cpl:1, lbr_filter:1, lbr_call_stack:1; } split; u32 full; };
union cpuid28_ecx { struct { u32 lbr_mispred:1, lbr_timed_lbr:1, lbr_br_type:1, reserved:13, lbr_counters:4; } split; u32 full; };
#define cpuid(op, eax, ebx, ecx, edx) do { *(eax) = *(ebx) = *(ecx) = *(edx) = 0; } while (0)
#define MSR_ARCH_LBR_CTL 0x000014ce
#define ARCH_LBR_CTL_LBREN BIT_ULL(0)
#define MSR_ARCH_LBR_DEPTH 0x000014cf
#define MSR_ARCH_LBR_FROM_0 0x00001500
#define MSR_ARCH_LBR_TO_0 0x00001600
#define MSR_ARCH_LBR_INFO_0 0x00001200
#define PMU_FL_BR_CNTR 0x800
#define PMU_FL_DYN_CONSTRAINT 0x1000

/* The mask has one bit in the model, bit 0, which is the guest LBR event's. */
#define INTEL_PMC_IDX_FIXED_VLBR 0
#define INTEL_FIXED_VLBR_EVENT 0x1b00
#define FIXED_EVENT_FLAGS 0
#define INTEL_PMC_IDX_FIXED 32
struct event_constraint { u64 idxmsk64; u32 code, cmask; int weight, overlap, flags; };
#define __EVENT_CONSTRAINT(c, n, m, w, o, f) \
	{ .idxmsk64 = (n), .code = (c), .cmask = (m), .weight = (w), .overlap = (o), .flags = (f) }
#define FIXED_EVENT_CONSTRAINT(c, n) __EVENT_CONSTRAINT(c, 1, FIXED_EVENT_FLAGS, 1, 0, 0)

struct cpu_hw_events {
	int enabled, n_events, n_added, n_txn, txn_flags;
	int lbr_users;
	u32 br_sel;
	int lbr_select;
	void *last_task_ctx;
	int last_log_id;
	struct er_account vlbr_lbr_reg;
	u32 intel_ctrl_guest_mask;
	struct perf_branch_stack lbr_stack;
	int active_mask, pv_lbr_users;
	/* Only lbr.c uses the words from here on. */
	union { struct er_account *lbr_sel, *lbr_ctl; };
	struct perf_branch_entry *lbr_entries;
	void *lbr_xsave;
	int lbr_pebs_users, n_pebs, n_large_pebs;
	u64 *lbr_counters;
};
extern struct cpu_hw_events cpu_hw_events[1];
union perf_capabilities {
	struct { u64 lbr_format:6, pebs_trap:1, pebs_arch_reg:1, pebs_format:4, smm_freeze:1,
		 full_width_write:1, pebs_baseline:1; };
	u64 capabilities;
};
struct x86_pmu {
	int version;
	union perf_capabilities intel_cap;
	u32 lbr_tos, lbr_from, lbr_to, lbr_info, lbr_nr;
	union { u64 lbr_sel_mask, lbr_ctl_mask; };
	union { const int *lbr_sel_map; int *lbr_ctl_map; };
	bool lbr_double_abort, lbr_pt_coexist;
	u32 lbr_has_info:1, lbr_has_tsx:1, lbr_from_flags:1, lbr_to_cycles:1;
	u32 lbr_depth_mask:8, lbr_deep_c_reset:1, lbr_lip:1, lbr_cpl:1, lbr_filter:1, lbr_call_stack:1,
	    lbr_mispred:1, lbr_timed_lbr:1, lbr_br_type:1, lbr_counters:4;
	u32 flags;
	/* System-wide users of the call stack, from 6.15 on. */
	int lbr_callstack_users;
	void (*lbr_reset)(void);
	void (*lbr_read)(struct cpu_hw_events *cpuc);
	void (*lbr_save)(void *ctx);
	void (*lbr_restore)(void *ctx);
};
extern struct x86_pmu x86_pmu;
extern struct pmu vlbr_pmu;
#define x86_get_pmu(...) (&vlbr_pmu)
struct x86_pmu_lbr { u32 nr, from, to, info; bool has_callstack; };
static inline bool x86_pmu_has_lbr_callstack(void)
{
	return x86_pmu.lbr_sel_map && x86_pmu.lbr_sel_map[PERF_SAMPLE_BRANCH_CALL_STACK_SHIFT] > 0;
}
static inline bool kernel_ip(u64 ip) { return (s64)ip < 0; }
static inline void __intel_pmu_arch_lbr_disable(void) {}
#ifndef VLBR_OWN_LBR_DISABLE
/* Reads, clears both bits, writes: perf_event.h of 6.1. */
static inline void __intel_pmu_lbr_disable(void)
{
	const u64 off = DEBUGCTLMSR_LBR | DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;

	wrmsrl(MSR_IA32_DEBUGCTLMSR, vlbr_rdmsrq(MSR_IA32_DEBUGCTLMSR) & ~off);
}
#endif

#ifndef VLBR_OWN_BRANCH_KINDS
/* Branch types. An address names its branch's kind (src/hw/branch.ts); nothing is decoded. */
enum {
	X86_BR_NONE = 0, X86_BR_USER = 1 << 0, X86_BR_KERNEL = 1 << 1, X86_BR_CALL = 1 << 2,
	X86_BR_RET = 1 << 3, X86_BR_SYSCALL = 1 << 4, X86_BR_SYSRET = 1 << 5, X86_BR_INT = 1 << 6,
	X86_BR_IRET = 1 << 7, X86_BR_JCC = 1 << 8, X86_BR_JMP = 1 << 9, X86_BR_IRQ = 1 << 10,
	X86_BR_IND_CALL = 1 << 11, X86_BR_ABORT = 1 << 12, X86_BR_IN_TX = 1 << 13,
	X86_BR_NO_TX = 1 << 14, X86_BR_ZERO_CALL = 1 << 15, X86_BR_CALL_STACK = 1 << 16,
	X86_BR_IND_JMP = 1 << 17, X86_BR_TYPE_SAVE = 1 << 18
};
#define X86_BR_PLM (X86_BR_USER | X86_BR_KERNEL)
#define X86_BR_ANYTX (X86_BR_NO_TX | X86_BR_IN_TX)
#define X86_BR_ANY \
	(X86_BR_CALL | X86_BR_RET | X86_BR_SYSCALL | X86_BR_SYSRET | X86_BR_INT | X86_BR_IRET | \
	 X86_BR_JCC | X86_BR_JMP | X86_BR_IRQ | X86_BR_ABORT | X86_BR_IND_CALL | X86_BR_IND_JMP | \
	 X86_BR_ZERO_CALL)
#define X86_BR_ALL (X86_BR_PLM | X86_BR_ANY)
#define X86_BR_ANY_CALL \
	(X86_BR_CALL | X86_BR_IND_CALL | X86_BR_ZERO_CALL | X86_BR_SYSCALL | X86_BR_IRQ | X86_BR_INT)
#endif
#ifdef VLBR_OWN_BRANCH_TYPE
#include "insn.h"
#else
int branch_type(u64 from, u64 to, int abort);
int common_branch_type(int type);
#endif

/* The functions that perf calls. An lbr.c that defines one of them otherwise does not compile. */
void intel_pmu_lbr_init_core(void);
void intel_pmu_lbr_init_atom(void);
void intel_pmu_lbr_init_slm(void);
void intel_pmu_lbr_init_nhm(void);
void intel_pmu_lbr_init_snb(void);
void intel_pmu_lbr_init_hsw(void);
void intel_pmu_lbr_init_skl(void);
void intel_pmu_lbr_init_knl(void);
#ifdef VLBR_LBR_INIT
void intel_pmu_lbr_init(void);
#endif
#ifdef VLBR_LBR_HOOKS
void intel_pmu_lbr_reset_32(void);
void intel_pmu_lbr_reset_64(void);
void intel_pmu_lbr_read_32(struct cpu_hw_events *cpuc);
void intel_pmu_lbr_read_64(struct cpu_hw_events *cpuc);
void intel_pmu_lbr_save(void *ctx);
void intel_pmu_lbr_restore(void *ctx);
#endif
void intel_pmu_lbr_add(struct perf_event *event);
void intel_pmu_lbr_del(struct perf_event *event);
void intel_pmu_lbr_enable_all(bool pmi);
void intel_pmu_lbr_disable_all(void);
void intel_pmu_lbr_read(void);
void intel_pmu_lbr_reset(void);
int intel_pmu_setup_lbr_filter(struct perf_event *event);
#ifdef VLBR_SCHED_TASK_OF_TASK
void intel_pmu_lbr_sched_task(struct perf_event_context *ctx, struct task_struct *task, bool in);
#else
void intel_pmu_lbr_sched_task(struct perf_event_context *ctx, bool sched_in);
#endif
#ifdef VLBR_SWAP_TASK_CTX
void intel_pmu_lbr_swap_task_ctx(struct perf_event_context *prev, struct perf_event_context *next);
#endif

/* A long of x86-64 has 64 bits. In a file that itself says long long, a long keeps 32 bits. */
#if !defined(VLBR_DRIVER) && !defined(VLBR_LONG_LONG) && !defined(long)
#define long long long
#endif

#endif

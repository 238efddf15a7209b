/*
 * Connects lbr.c with the model: defines what core.c and utils.c of the kernel define for lbr.c,
 * and exports each function of lbr.c that perf calls. An object is passed as its address in the
 * block. Every call names its CPU, since all CPUs of a machine share this memory.
 */
#define VLBR_DRIVER
#include "perf_event.h"

bool vlbr_tsx;
u32 vlbr_cpu;
u32 vlbr_nr_cpus;
struct cpu_hw_events *vlbr_cpuc;
struct cpu_hw_events *vlbr_cpucs[VLBR_CPUS];
struct x86_pmu x86_pmu;
struct pmu vlbr_pmu;
const struct task_struct vlbr_no_task = { .mm = &vlbr_pmu };
/* Stepping 10 is the first Bonnell whose LBR works. */
struct cpuinfo_x86 boot_cpu_data = { .x86_model = 28, .x86_stepping = 10, .x86_vfm = 28 };
/* Only its address is used, to tell it from other per-CPU variables. */
struct cpu_hw_events cpu_hw_events[1];

void *memset(void *s, int c, size_t n)
{
	u8 *p = s;

	while (n--)
		*p++ = c;
	return s;
}

void *memcpy(void *dest, const void *src, size_t n)
{
	u8 *d = dest;
	const u8 *s = src;

	while (n--)
		*d++ = *s++;
	return dest;
}

#ifndef VLBR_OWN_BRANCH_TYPE
/* The kind in the address of a branch (src/hw/branch.ts), as decode_branch_type() would find it. */
static int vlbr_decode(u64 from)
{
	static const int types[16] = {
		X86_BR_JCC, X86_BR_CALL, X86_BR_IND_CALL, X86_BR_RET, X86_BR_IND_JMP, X86_BR_JMP,
		X86_BR_ZERO_CALL, X86_BR_SYSCALL, X86_BR_SYSRET, X86_BR_NONE, X86_BR_IRET,
	};

	return types[from >> 43 & 15];
}

/* utils.c:branch_type(). */
int branch_type(u64 from, u64 to, int abort)
{
	int to_plm = kernel_ip(to) ? X86_BR_KERNEL : X86_BR_USER;
	int type;

	if (from == 0 || to == 0)
		return X86_BR_NONE;
	if (abort)
		return X86_BR_ABORT | to_plm;
	type = vlbr_decode(from);
	if (!kernel_ip(from) && to_plm == X86_BR_KERNEL && type != X86_BR_SYSCALL &&
	    type != X86_BR_INT)
		type = X86_BR_IRQ;
	return type == X86_BR_NONE ? type : type | to_plm;
}

/* utils.c:common_branch_type(). */
int common_branch_type(int type)
{
	/* In the order of X86_BR_CALL and up. */
	static const u8 types[] = {
		PERF_BR_CALL, PERF_BR_RET, PERF_BR_SYSCALL, PERF_BR_SYSRET, PERF_BR_UNKNOWN,
		PERF_BR_ERET, PERF_BR_COND, PERF_BR_UNCOND, PERF_BR_IRQ, PERF_BR_IND_CALL,
		PERF_BR_UNKNOWN, PERF_BR_UNKNOWN, PERF_BR_NO_TX, PERF_BR_CALL, PERF_BR_UNKNOWN,
		PERF_BR_IND,
	};
	u32 bits = type >> 2;

	if (!bits || __ffs(bits) >= ARRAY_SIZE(types))
		return PERF_BR_UNKNOWN;
	return types[__ffs(bits)];
}
#endif

#define EXPORT(name) __attribute__((export_name(#name)))

/* Calls on a CPU may nest, since an NMI may come between two MSR accesses. */
#define ON_CPU(cpu, cpuc, call) do { \
	u32 outer = vlbr_cpu; \
	struct cpu_hw_events *outer_cpuc = vlbr_cpuc; \
	vlbr_cpu = cpu; \
	vlbr_cpuc = cpuc; \
	call; \
	vlbr_cpu = outer; \
	vlbr_cpuc = outer_cpuc; \
} while (0)

/* Brings a CPU online. All CPUs are online before boot(), from 0 up. */
EXPORT(online)
void vlbr_online(u32 cpu, struct cpu_hw_events *cpuc)
{
	vlbr_cpucs[cpu] = cpuc;
	vlbr_nr_cpus = cpu + 1;
}

/*
 * core.c:intel_pmu_init(), for LBR, on CPU 0. `model` selects the init function, in the order of
 * LBR_INITS in src/hw/cpu_models.ts. If `lbr_nr` is negative, that function sets the depth.
 */
EXPORT(boot)
void vlbr_boot(int model, int lbr_format, int version, bool tsx, bool double_abort, int lbr_nr)
{
	static void (*const init[])(void) = {
		intel_pmu_lbr_init_core, intel_pmu_lbr_init_atom, intel_pmu_lbr_init_slm,
		intel_pmu_lbr_init_nhm, intel_pmu_lbr_init_snb, intel_pmu_lbr_init_hsw,
		intel_pmu_lbr_init_skl, intel_pmu_lbr_init_knl,
	};
	vlbr_tsx = tsx;
	x86_pmu.version = version;
	x86_pmu.intel_cap.lbr_format = lbr_format;
	x86_pmu.lbr_double_abort = double_abort;
	/* A Bonnell without LBR has an earlier stepping. */
	if (!lbr_nr)
		boot_cpu_data.x86_stepping = 9;
#ifdef VLBR_LBR_HOOKS
	x86_pmu.lbr_reset = intel_pmu_lbr_reset_64;
	x86_pmu.lbr_read = intel_pmu_lbr_read_64;
	x86_pmu.lbr_save = intel_pmu_lbr_save;
	x86_pmu.lbr_restore = intel_pmu_lbr_restore;
	if (lbr_format == LBR_FORMAT_32) {
		x86_pmu.lbr_reset = intel_pmu_lbr_reset_32;
		x86_pmu.lbr_read = intel_pmu_lbr_read_32;
	}
#endif
	ON_CPU(0, vlbr_cpucs[0], init[model]());
	if (lbr_nr >= 0)
		x86_pmu.lbr_nr = lbr_nr;
#ifdef VLBR_LBR_INIT
	ON_CPU(0, vlbr_cpucs[0], intel_pmu_lbr_init());
#endif
}

/* core.c:intel_pmu_cpu_starting() and intel_cpuc_prepare(), for LBR. */
EXPORT(prepare)
void vlbr_prepare(struct cpu_hw_events *cpuc, struct perf_branch_entry *entries)
{
	cpuc->lbr_sel = x86_pmu.lbr_sel_map ? &cpuc->vlbr_lbr_reg : NULL;
	cpuc->lbr_entries = entries;
}

EXPORT(intel_pmu_lbr_add)
void vlbr_add(u32 cpu, struct cpu_hw_events *cpuc, struct perf_event *event)
{
	ON_CPU(cpu, cpuc, intel_pmu_lbr_add(event));
}

EXPORT(intel_pmu_lbr_del)
void vlbr_del(u32 cpu, struct cpu_hw_events *cpuc, struct perf_event *event)
{
	ON_CPU(cpu, cpuc, intel_pmu_lbr_del(event));
}

EXPORT(intel_pmu_lbr_enable_all)
void vlbr_enable_all(u32 cpu, struct cpu_hw_events *cpuc, bool pmi)
{
	ON_CPU(cpu, cpuc, intel_pmu_lbr_enable_all(pmi));
}

EXPORT(intel_pmu_lbr_disable_all)
void vlbr_disable_all(u32 cpu, struct cpu_hw_events *cpuc)
{
	ON_CPU(cpu, cpuc, intel_pmu_lbr_disable_all());
}

EXPORT(intel_pmu_lbr_read)
void vlbr_read(u32 cpu, struct cpu_hw_events *cpuc)
{
	ON_CPU(cpu, cpuc, intel_pmu_lbr_read());
}

EXPORT(intel_pmu_lbr_reset)
void vlbr_reset(u32 cpu, struct cpu_hw_events *cpuc)
{
	ON_CPU(cpu, cpuc, intel_pmu_lbr_reset());
}

EXPORT(intel_pmu_lbr_sched_task)
void vlbr_sched_task(u32 cpu, struct cpu_hw_events *cpuc, struct perf_event_context *ctx,
		     bool sched_in)
{
#ifdef VLBR_SCHED_TASK_OF_TASK
	/* lbr.c expects a task always. A task whose context is not scheduled has no data. */
	struct task_struct *task = ctx ? ctx : (struct task_struct *)&vlbr_no_task;

	ON_CPU(cpu, cpuc, intel_pmu_lbr_sched_task(ctx, task, sched_in));
#else
	ON_CPU(cpu, cpuc, intel_pmu_lbr_sched_task(ctx, sched_in));
#endif
}

EXPORT(intel_pmu_lbr_swap_task_ctx)
void vlbr_swap_task_ctx(u32 cpu, struct cpu_hw_events *cpuc, struct perf_event_context *prev,
			struct perf_event_context *next)
{
#ifdef VLBR_SWAP_TASK_CTX
	ON_CPU(cpu, cpuc, intel_pmu_lbr_swap_task_ctx(prev, next));
#else
	/*
	 * Before 5.5, core.c:perf_event_context_sched_out() exchanges the data. From 6.15 on, data
	 * stays with its task. The model finds a task by its context, so it exchanges the data when
	 * contexts are exchanged.
	 */
	swap(prev->task_ctx_data, next->task_ctx_data);
#ifdef VLBR_TARGET_HAS_USERS
	/*
	 * The kernel exchanges nothing here, since it counts users for the task for which an event
	 * was opened. The model does not know this task and takes the task that has the event's
	 * context now. Users that stayed would be out of balance (F87).
	 */
	if (prev->task_ctx_data && next->task_ctx_data)
		swap(task_context_opt(prev->task_ctx_data)->lbr_callstack_users,
		     task_context_opt(next->task_ctx_data)->lbr_callstack_users);
#endif
#endif
}

EXPORT(intel_pmu_setup_lbr_filter)
int vlbr_setup_lbr_filter(u32 cpu, struct cpu_hw_events *cpuc, struct perf_event *event)
{
	int ret;

	ON_CPU(cpu, cpuc, ret = intel_pmu_setup_lbr_filter(event));
	return ret;
}

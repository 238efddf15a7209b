/*
 * kernel/events/core.c, whole, and below it what the machine looks at from outside: it is here,
 * since some of it is static there.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include <kernel/events/core.c>
#include "events/perf_event.h"
#include "kernel.h"

/*
 * Whether a call of another CPU does nothing there: it is about a task, and the task does not run
 * there. Then it does not matter when the call is made.
 */
bool vlbr_call_is_idle(void (*func)(void *), void *info, int cpu)
{
	struct remote_function_call *data = info;

	return func == remote_function && data->p && data->p != vlbr_current[cpu];
}

/* All addresses fit in 32 bits; 0 is none. */
#define ADDRESS(pointer) ((u32)(unsigned long)(pointer))

#define VIEW_EVENTS 64
#define VIEW_COUNTERS 4
#define VIEW_LIST 16

/* One event; WORDS of view.ts has the same order. */
struct event_view {
	u32 address, id;
	s32 state;
	u32 ctx, task;
	s32 cpu, oncpu, idx;
	u32 branch_sample_type, parent, pinned, inherit;
};

struct task_view {
	u32 address, ctx, data;
	s32 callstack_users, on_cpu, cpu;
};

struct cpu_view {
	u32 current_task, task_ctx, last_task_ctx;
	s32 sched_cb_usage, perf_sched_cb_usages, pmu_disable_count;
	s32 enabled, n_events, lbr_users;
	u32 counters[VIEW_COUNTERS];
	u32 lbr_sel_config, guest_mask_vlbr;
	u32 list[VIEW_LIST];
};

static struct {
	u32 events, tasks, cpus;
	struct event_view event[VIEW_EVENTS];
	struct task_view task[VLBR_TASKS];
	struct cpu_view cpu[NR_CPUS];
} view;

static struct pmu *pmuOf(int cpu)
{
#ifdef VLBR_ONE_PMU
	return x86_get_pmu();
#else
	return x86_get_pmu(cpu);
#endif
}

static struct perf_cpu_context *cpuContext(int cpu)
{
#ifdef VLBR_PMU_CPU_CONTEXT
	return per_cpu_ptr(pmuOf(cpu)->pmu_cpu_context, cpu);
#else
	return per_cpu_ptr(&perf_cpu_context, cpu);
#endif
}

static int schedCbUsage(int cpu)
{
#if defined(VLBR_PMU_CPU_CONTEXT)
	return cpuContext(cpu)->sched_cb_usage;
#elif defined(VLBR_CPU_PMU_CONTEXT_POINTER)
	return (*per_cpu_ptr(pmuOf(cpu)->cpu_pmu_context, cpu))->sched_cb_usage;
#else
	return per_cpu_ptr(pmuOf(cpu)->cpu_pmu_context, cpu)->sched_cb_usage;
#endif
}

static int pmuDisableCount(int cpu)
{
#ifdef VLBR_CPU_PMU_CONTEXT_POINTER
	return (*per_cpu_ptr(pmuOf(cpu)->cpu_pmu_context, cpu))->pmu_disable_count;
#else
	return *per_cpu_ptr(pmuOf(cpu)->pmu_disable_count, cpu);
#endif
}

static struct perf_event_context *contextOf(struct task_struct *task)
{
#ifdef VLBR_PMU_CPU_CONTEXT
	return task->perf_event_ctxp[perf_hw_context];
#else
	return task->perf_event_ctxp;
#endif
}

/* Up to 5.8 there is one kind of LBR. */
#ifdef VLBR_NO_TASK_CONTEXT_OPT
#define CALLSTACK_USERS lbr_callstack_users
#else
#define CALLSTACK_USERS opt.lbr_callstack_users
#endif

/* Whether a guest has the LBR by its event: in v8, in v10, and since. */
#if defined(VLBR_VCPU_LBR)
#define BY_EVENT(cpuc) ((cpuc)->vcpu_lbr)
#elif defined(VLBR_GUEST_LBR_ENABLED)
#define BY_EVENT(cpuc) ((cpuc)->guest_lbr_enabled)
#elif defined(INTEL_PMC_IDX_FIXED_VLBR)
#define BY_EVENT(cpuc) ((cpuc)->intel_ctrl_guest_mask >> INTEL_PMC_IDX_FIXED_VLBR & 1)
#else
#define BY_EVENT(cpuc) 0
#endif

/* Or by perf, which has put its records into the registers: in docs/patches. */
#ifdef VLBR_GUEST_LBR_LOADED
#define GUEST_HAS_LBR(cpuc) ((cpuc)->guest_lbr || BY_EVENT(cpuc))
#else
#define GUEST_HAS_LBR BY_EVENT
#endif

/* Where the records of a task are saved, or NULL. */
static struct x86_perf_task_context *dataOf(struct task_struct *task)
{
#if defined(VLBR_TASK_DATA_perf_ctx_data)
	return task->perf_ctx_data ? task->perf_ctx_data->data : NULL;
#elif defined(VLBR_TASK_DATA_perf_event_pmu_context)
	struct perf_event_context *ctx = contextOf(task);
	struct perf_event_pmu_context *epc;

	if (ctx)
		list_for_each_entry(epc, &ctx->pmu_ctx_list, pmu_ctx_entry)
			if (epc->task_ctx_data)
				return epc->task_ctx_data;
	return NULL;
#else
	struct perf_event_context *ctx = contextOf(task);

	return ctx ? ctx->task_ctx_data : NULL;
#endif
}

static void viewEvent(struct perf_event *event)
{
	struct event_view *v = &view.event[view.events++];

	if (view.events > VIEW_EVENTS)
		__builtin_trap();
	v->address = ADDRESS(event);
	v->id = event->id;
	v->state = event->state;
	v->ctx = ADDRESS(event->ctx);
	v->task = event->ctx ? ADDRESS(event->ctx->task) : 0;
	v->cpu = event->cpu;
	v->oncpu = event->oncpu;
	v->idx = event->hw.idx;
	v->branch_sample_type = event->attr.branch_sample_type;
	v->parent = ADDRESS(event->parent);
	v->pinned = event->attr.pinned;
	v->inherit = event->attr.inherit;
}

static void viewCpu(int cpu)
{
	struct cpu_hw_events *cpuc = per_cpu_ptr(&cpu_hw_events, cpu);
	struct cpu_view *v = &view.cpu[cpu];
	int i;

	v->current_task = ADDRESS(vlbr_current[cpu]);
	v->task_ctx = ADDRESS(cpuContext(cpu)->task_ctx);
	v->last_task_ctx = ADDRESS(cpuc->last_task_ctx);
	v->sched_cb_usage = schedCbUsage(cpu);
#ifdef VLBR_NO_SCHED_CB_USAGES
	v->perf_sched_cb_usages = schedCbUsage(cpu);
#else
	v->perf_sched_cb_usages = per_cpu(perf_sched_cb_usages, cpu);
#endif
	v->pmu_disable_count = pmuDisableCount(cpu);
	v->enabled = cpuc->enabled;
	v->n_events = cpuc->n_events;
	v->lbr_users = cpuc->lbr_users;
	for (i = 0; i < VIEW_COUNTERS; i++)
		v->counters[i] = test_bit(i, cpuc->active_mask) ? ADDRESS(cpuc->events[i]) : 0;
	v->lbr_sel_config = cpuc->shared_regs ? cpuc->shared_regs->regs[EXTRA_REG_LBR].config : 0;
	v->guest_mask_vlbr = GUEST_HAS_LBR(cpuc);
	for (i = 0; i < VIEW_LIST; i++)
		v->list[i] = i < cpuc->n_events ? ADDRESS(cpuc->event_list[i]) : 0;
}

/*
 * As long as no KVM has said otherwise, no guest runs. These calls return 0 then, by a function of
 * another type, and WebAssembly checks the type of an indirect call.
 */
#ifdef VLBR_PERF_GUEST_STATE
static unsigned int noGuest(void)
{
	return 0;
}
#endif

EXPORT(vlbr_no_guest) void vlbr_no_guest(void)
{
#ifdef VLBR_PERF_GUEST_STATE
	static_call_update(__perf_guest_state, noGuest);
	static_call_update(__perf_guest_handle_intel_pt_intr, noGuest);
#endif
}

/* Looks at all that is to be seen. Returns where it lies. */
EXPORT(vlbr_view) const void *vlbr_view(void)
{
	struct perf_event *event, *child;
	int i;

	view.events = 0;
	for (i = 0; i < VLBR_FILES; i++) {
		struct file *file = vlbr_file(i);

		if (!file || file->f_op != &perf_fops)
			continue;
		event = file->private_data;
		viewEvent(event);
		list_for_each_entry(child, &event->child_list, child_list)
			viewEvent(child);
	}
	for (i = 0; i < VLBR_KERNEL_EVENTS; i++)
		if (vlbr_kernel_events[i])
			viewEvent(vlbr_kernel_events[i]);
	view.tasks = VLBR_TASKS;
	for (i = 0; i < VLBR_TASKS; i++) {
		struct task_struct *task = vlbr_tasks[i];
		struct task_view *v = &view.task[i];
		struct x86_perf_task_context *data;

		memset(v, 0, sizeof(*v));
		v->address = ADDRESS(task);
		if (!task || task == VLBR_EXITED)
			continue;
		data = dataOf(task);
		v->ctx = ADDRESS(contextOf(task));
		v->data = ADDRESS(data);
		v->callstack_users = data ? data->CALLSTACK_USERS : 0;
		v->on_cpu = task->on_cpu;
		v->cpu = task_cpu(task);
	}
	view.cpus = nr_cpu_ids;
	for (i = 0; i < nr_cpu_ids; i++)
		viewCpu(i);
	return &view;
}

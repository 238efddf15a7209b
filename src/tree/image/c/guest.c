/*
 * What the machine asks of the kernel: one exported function for each thing that a kernel or its
 * users do. Each is what the kernel itself calls at that point; where it is a call of an inline
 * function, this file is the one that has it inlined.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <asm/nmi.h>
#include <asm/perf_event.h>
#include <asm/ptrace.h>
#include "events/perf_event.h"
#include "kernel.h"

/* kernel/sched/core.c:context_switch(), as far as perf is told. */
EXPORT(vlbr_context_switch) void vlbr_context_switch(struct task_struct *next)
{
	struct task_struct *prev = current;
	unsigned long flags;

	local_irq_save(flags);
	perf_event_task_sched_out(prev, next);
	vlbr_current[vlbr_cpu] = next;
	next->thread_info.cpu = vlbr_cpu;
	next->on_cpu = 1;
	prev->on_cpu = 0;
	perf_event_task_sched_in(prev, next);
	local_irq_restore(flags);
}

/* kernel/sched/core.c:set_task_cpu(). */
EXPORT(vlbr_migrate) void vlbr_migrate(struct task_struct *task, unsigned int cpu)
{
	perf_event_task_migrate(task);
	task->thread_info.cpu = cpu;
}

/* kernel/fork.c:copy_process(). Returns 0 or -errno. */
EXPORT(vlbr_fork) int vlbr_fork(struct task_struct *child)
{
	return perf_event_init_task(child, 0);
}

/*
 * The attributes of an event in memory of the user's. A sample has, in this order, the address and
 * the branch stack, if one is asked for.
 */
EXPORT(vlbr_attr) struct perf_event_attr *vlbr_attr(u32 type, u64 config, u64 branch_sample_type,
						    u64 period, u32 flags)
{
	struct perf_event_attr *attr = vlbr_alloc(sizeof(*attr));

	attr->size = sizeof(*attr);
	attr->type = type;
	attr->config = config;
	attr->sample_period = period;
	attr->sample_type = PERF_SAMPLE_IP | (branch_sample_type ? PERF_SAMPLE_BRANCH_STACK : 0);
	attr->branch_sample_type = branch_sample_type;
	attr->disabled = flags & 1;
	attr->inherit = flags >> 1 & 1;
	attr->pinned = flags >> 2 & 1;
	attr->exclusive = flags >> 3 & 1;
	attr->exclude_user = flags >> 4 & 1;
	attr->exclude_kernel = flags >> 5 & 1;
	attr->exclude_host = flags >> 6 & 1;
	attr->enable_on_exec = flags >> 7 & 1;
	attr->freq = flags >> 8 & 1;
	return attr;
}

/* The symbol of SYSCALL_DEFINE5() is an alias of a function of longs, and its type is checked. */
long perf_event_open(long attr, long pid, long cpu, long group_fd, long flags)
	__asm__("sys_perf_event_open");

/* The system call, by the task that runs. Returns the event, or -errno. */
EXPORT(vlbr_open) long vlbr_open(struct perf_event_attr *attr, int pid, int cpu)
{
	long fd = perf_event_open((long)attr, pid, cpu, -1, 0);

	return fd < 0 ? fd : (long)vlbr_file(fd)->private_data;
}

/* What a user does with the file of an event: an ioctl, for example PERF_EVENT_IOC_ENABLE. */
static long ioctl(struct perf_event *event, unsigned int command)
{
	struct file *file = vlbr_file(vlbr_fd(event));

	return file->f_op->unlocked_ioctl(file, command, 0);
}

EXPORT(vlbr_enable) long vlbr_enable(struct perf_event *event)
{
	return ioctl(event, PERF_EVENT_IOC_ENABLE);
}

EXPORT(vlbr_disable) long vlbr_disable(struct perf_event *event)
{
	return ioctl(event, PERF_EVENT_IOC_DISABLE);
}

EXPORT(vlbr_close) long vlbr_close(struct perf_event *event)
{
	int fd = vlbr_fd(event);
	struct file *file = vlbr_file(fd);
	long ret = file->f_op->release(NULL, file);

	vlbr_release_file(fd);
	return ret;
}

static nmi_handler_t perf_handler;

int register_nmi_handler(int type, nmi_handler_t handler, int flags, const char *name)
{
	perf_handler = handler;
	return 0;
}

void unregister_nmi_handler(unsigned int type, const char *name)
{
	perf_handler = NULL;
}

/* An NMI on the CPU that runs; ip and user are those of what it interrupts. */
EXPORT(vlbr_nmi) int vlbr_nmi(unsigned long ip, int user)
{
	static struct pt_regs regs[NR_CPUS];
	struct pt_regs *r = &regs[vlbr_cpu];

	r->ip = ip;
	r->cs = user ? __USER_CS : __KERNEL_CS;
	r->flags = X86_EFLAGS_IF;
	return perf_handler(NMI_LOCAL, r);
}

/* Where fields lie, and constants, as this tree's headers have them; the last has no name. */
struct offset {
	const char *name;
	unsigned int at, size;
};
#define FIELD(type, field) \
	{ #type "." #field, offsetof(struct type, field), sizeof(((struct type *)0)->field) },
#define NUMBER(name) { #name, name, 0 },
static const struct offset offsets[] = {
#include "offsets.h"
	{ NULL, 0, 0 },
};

EXPORT(vlbr_offsets) const void *vlbr_offsets(void)
{
	return offsets;
}

EXPORT(vlbr_cpu_hw_events) void *vlbr_cpu_hw_events(unsigned int cpu)
{
	return per_cpu_ptr(&cpu_hw_events, cpu);
}

EXPORT(vlbr_x86_pmu) void *vlbr_x86_pmu(void)
{
	return &x86_pmu;
}

EXPORT(vlbr_cpu_at) unsigned int *vlbr_cpu_at(void)
{
	return &vlbr_cpu;
}

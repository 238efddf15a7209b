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
#include <asm/insn.h>
#include <asm/nmi.h>
#include <asm/perf_event.h>
#include <asm/ptrace.h>
#include "events/perf_event.h"
#include "kernel.h"

/* kernel/sched/core.c:prepare_task_switch(), as far as perf is told; set_task_cpu() before it. */
EXPORT(vlbr_sched_out) void vlbr_sched_out(struct task_struct *next)
{
	unsigned long flags;

	if (task_cpu(next) != vlbr_cpu)
		perf_event_task_migrate(next);
	local_irq_save(flags);
	perf_event_task_sched_out(current, next);
	local_irq_restore(flags);
}

/* kernel/sched/core.c:finish_task_switch(), likewise, with what switch_to() does before it. */
EXPORT(vlbr_sched_in) void vlbr_sched_in(struct task_struct *next)
{
	struct task_struct *prev = current;
	unsigned long flags;

	local_irq_save(flags);
	vlbr_current[vlbr_cpu] = next;
	CPU_OF(next) = vlbr_cpu;
	next->on_cpu = 1;
	prev->on_cpu = 0;
	perf_event_task_sched_in(prev, next);
	local_irq_restore(flags);
}

/* kernel/sched/core.c:context_switch(): interrupts are off from its begin to its end. */
EXPORT(vlbr_context_switch) void vlbr_context_switch(struct task_struct *next)
{
	unsigned long flags;

	local_irq_save(flags);
	vlbr_sched_out(next);
	vlbr_sched_in(next);
	local_irq_restore(flags);
}

/* kernel/fork.c:copy_process(). Returns 0 or -errno. */
EXPORT(vlbr_fork) int vlbr_fork(struct task_struct *child)
{
	int error;

	CPU_OF(child) = vlbr_cpu;
#ifdef VLBR_INIT_TASK_WITHOUT_FLAGS
	error = perf_event_init_task(child);
#else
	error = perf_event_init_task(child, 0);
#endif
	if (error)
		return error;
	vlbr_join_parent(child);
	perf_event_fork(child);
	return 0;
}

/* kernel/exit.c:do_exit() of the task that runs, up to the switch to another one. */
EXPORT(vlbr_exit) void vlbr_exit(struct task_struct *next)
{
	struct task_struct *task = current;

	task->flags |= PF_EXITING;
	perf_event_exit_task(task);
	vlbr_context_switch(next);
	perf_event_delayed_put(task);
	vlbr_forget_task(task);
	put_task_struct(task);
}

/* The symbol of SYSCALL_DEFINE5() is an alias of a function of longs, and its type is checked. */
long perf_event_open(long attr, long pid, long cpu, long group_fd, long flags)
	__asm__("sys_perf_event_open");

/* Event 2EH, umask 41H: architectural, and any general counter can count it. */
#define LLC_MISSES 0x412e
#define PERIOD 100000
#define FREQUENCY 4000

static void lbrAttr(struct perf_event_attr *attr, u64 config, u64 sample_type,
		    u64 branch_sample_type)
{
	memset(attr, 0, sizeof(*attr));
	attr->size = sizeof(*attr);
	attr->type = PERF_TYPE_RAW;
	attr->config = config;
	attr->sample_type = sample_type;
	attr->branch_sample_type = branch_sample_type;
}

/*
 * The system call, by the task that runs. A sample has, in this order, the address and the branch
 * stack. Returns the event, or -errno.
 */
EXPORT(vlbr_open) long vlbr_open(int pid, int cpu, u32 branch_sample_type, u32 flags)
{
	struct perf_event_attr attr;
	int cgroup = flags >> 8 & 3;
	long fd;

	lbrAttr(&attr, LLC_MISSES, PERF_SAMPLE_IP | PERF_SAMPLE_BRANCH_STACK, branch_sample_type);
	attr.sample_period = PERIOD;
	attr.pinned = flags & 1;
	attr.inherit = flags >> 1 & 1;
	attr.disabled = flags >> 2 & 1;
	attr.enable_on_exec = flags >> 5 & 1;
	attr.inherit_stat = flags >> 10 & 1;
	if (flags >> 6 & 1) {
		attr.freq = 1;
		attr.sample_freq = FREQUENCY;
	}
	if (cgroup)
		fd = perf_event_open((long)&attr, VLBR_CGROUP_FD(cgroup), cpu, -1, PERF_FLAG_PID_CGROUP);
	else
		fd = perf_event_open((long)&attr, pid, cpu, -1, 0);
	return fd < 0 ? fd : (long)vlbr_file(fd)->private_data;
}

/* A counter of a CPU, as of `perf stat -e EVENT:D -a`: a pinned event without LBR. Its config. */
EXPORT(vlbr_open_counter) long vlbr_open_counter(int cpu, u32 config)
{
	struct perf_event_attr attr;
	long fd;

	lbrAttr(&attr, config, PERF_SAMPLE_IP, 0);
	attr.sample_period = PERIOD;
	attr.pinned = 1;
	fd = perf_event_open((long)&attr, -1, cpu, -1, 0);
	return fd < 0 ? fd : (long)vlbr_file(fd)->private_data;
}

/*
 * arch/x86/events/intel/core.c:flip_smm_bit(), which a write to freeze_on_smi has each CPU do. It is
 * a new value that is written.
 */
EXPORT(vlbr_flip_smm_bit) void vlbr_flip_smm_bit(void)
{
	if (msr_set_bit(MSR_IA32_DEBUGCTLMSR, DEBUGCTLMSR_FREEZE_IN_SMM_BIT) == 0)
		msr_clear_bit(MSR_IA32_DEBUGCTLMSR, DEBUGCTLMSR_FREEZE_IN_SMM_BIT);
}

/* arch/x86/events/intel/pt.c: of PT, what it takes from LBR. */

static bool tracing;

EXPORT(vlbr_toggle_pt) void vlbr_toggle_pt(void)
{
	if (tracing)
		x86_del_exclusive(x86_lbr_exclusive_pt);
	tracing = !tracing && !x86_add_exclusive(x86_lbr_exclusive_pt);
}

struct perf_event *vlbr_kernel_events[VLBR_KERNEL_EVENTS];

static long keep(struct perf_event *event)
{
	int i;

	if (IS_ERR(event))
		return PTR_ERR(event);
	for (i = 0; vlbr_kernel_events[i]; i++)
		if (i == VLBR_KERNEL_EVENTS - 1)
			__builtin_trap();
	vlbr_kernel_events[i] = event;
	return (long)event;
}

/*
 * The guest LBR event of KVM, for the thread of a vCPU: arch/x86/kvm/vmx/pmu_intel.c:
 * intel_pmu_create_guest_lbr_event(). Returns it, or -errno.
 */
EXPORT(vlbr_guest_lbr) long vlbr_guest_lbr(struct task_struct *task, int pinned)
{
#ifdef INTEL_FIXED_VLBR_EVENT
	struct perf_event_attr attr;

	lbrAttr(&attr, INTEL_FIXED_VLBR_EVENT, PERF_SAMPLE_BRANCH_STACK,
		PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER);
	attr.pinned = pinned;
	attr.exclude_host = 1;
	return keep(perf_event_create_kernel_counter(&attr, -1, task, NULL, NULL));
#else
	/* Up to 5.8 perf knows no such event. */
	return -EOPNOTSUPP;
#endif
}

/*
 * An event of KVM for a counter of a guest, for the thread of a vCPU: arch/x86/kvm/pmu.c:
 * pmc_reprogram_counter(). It is off. Returns it, or -errno.
 */
EXPORT(vlbr_guest_counter) long vlbr_guest_counter(struct task_struct *task)
{
	struct perf_event_attr attr;

	lbrAttr(&attr, LLC_MISSES, 0, 0);
	attr.sample_period = PERIOD;
	attr.pinned = 1;
	attr.exclude_host = 1;
	attr.disabled = 1;
	return keep(perf_event_create_kernel_counter(&attr, -1, task, NULL, NULL));
}

EXPORT(vlbr_kernel_event_free) int vlbr_kernel_event_free(struct perf_event *event)
{
	int i;

	for (i = 0; i < VLBR_KERNEL_EVENTS; i++)
		if (vlbr_kernel_events[i] == event)
			vlbr_kernel_events[i] = NULL;
	return perf_event_release_kernel(event);
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
	return vlbr_release_file(vlbr_fd(event));
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

/*
 * An NMI on the CPU that runs; ip and user are those of what it interrupts. Events that ask for a
 * frequency overflow as often as they ask, so their period stays what it is.
 */
EXPORT(vlbr_nmi) int vlbr_nmi(unsigned long ip, int user)
{
	static struct pt_regs regs[NR_CPUS];
	struct pt_regs *r = &regs[vlbr_cpu];

	vlbr_pass_time(NSEC_PER_SEC / FREQUENCY);
	r->ip = ip;
	r->cs = user ? __USER_CS : __KERNEL_CS;
	r->flags = X86_EFLAGS_IF;
	return perf_handler(NMI_LOCAL, r);
}

/* One access that is not perf's; a fault is the user's. */
EXPORT(vlbr_raw_read) void vlbr_raw_read(u32 msr)
{
	u64 value;

	vlbr_rdmsr_safe(msr, &value);
}

EXPORT(vlbr_raw_write) void vlbr_raw_write(u32 msr, u32 low, u32 high)
{
	vlbr_wrmsr_safe(msr, (u64)high << 32 | low);
}

#ifdef VLBR_GUEST_CONTEXT
/* What KVM asks for around the time in a guest that has the PMU to itself, interrupts off. */
EXPORT(vlbr_load_guest) void vlbr_load_guest(void)
{
	perf_load_guest_context();
}

EXPORT(vlbr_put_guest) void vlbr_put_guest(void)
{
	perf_put_guest_context();
}
#endif

/* What bpf_get_branch_snapshot() of a program does (kernel/trace/bpf_trace.c). */
EXPORT(vlbr_snapshot) int vlbr_snapshot(void)
{
	static struct perf_branch_entry entries[NR_CPUS][MAX_LBR_ENTRIES];

#ifdef VLBR_NO_BRANCH_SNAPSHOT
	/* In 5.9 to 5.12 no program can ask for it. */
	return 0;
#else
	return static_call(perf_snapshot_branch_stack)(entries[vlbr_cpu], MAX_LBR_ENTRIES);
#endif
}

/*
 * Code. The address of a branch names its kind (src/hw/branch.ts): bits 43 to 46. There lies an
 * instruction of this kind, and NOPs follow.
 */
#define KIND(address) ((address) >> 43 & 15)

static void codeAt(u64 address, u8 *to, unsigned long bytes)
{
	static const u8 kinds[16][6] = {
		{ 2, 0x70, 0x10 },			/* conditional jump */
		{ 5, 0xe8, 0x10, 0, 0, 0 },		/* call */
		{ 2, 0xff, 0xd0 },			/* indirect call */
		{ 1, 0xc3 },				/* return */
		{ 2, 0xff, 0xe0 },			/* indirect jump */
		{ 5, 0xe9, 0x10, 0, 0, 0 },		/* jump */
		{ 5, 0xe8, 0, 0, 0, 0 },		/* call of what comes next */
		{ 2, 0x0f, 0x05 },			/* SYSCALL */
		{ 2, 0x0f, 0x07 },			/* SYSRET */
		{ 0 },					/* interrupted at a NOP */
		{ 1, 0xcf },				/* IRET */
	};
	const u8 *kind = kinds[KIND(address)];
	unsigned long i;

	for (i = 0; i < bytes; i++)
		to[i] = i < kind[0] ? kind[1 + i] : 0x90;
}

unsigned long copy_from_user_nmi(void *to, const void *from, unsigned long n)
{
	codeAt((unsigned long)from, to, n);
	return 0;
}

/* The decoder reads the kernel's code where it lies: there is none, so it reads a copy. */
void __real_insn_init(struct insn *insn, const void *kaddr, int buf_len, int x86_64);
void __wrap_insn_init(struct insn *insn, const void *kaddr, int buf_len, int x86_64)
{
	static u8 code[NR_CPUS][MAX_INSN_SIZE];

	if ((unsigned long)kaddr >= PAGE_OFFSET) {
		codeAt((unsigned long)kaddr, code[vlbr_cpu], MAX_INSN_SIZE);
		kaddr = code[vlbr_cpu];
	}
	__real_insn_init(insn, kaddr, buf_len, x86_64);
}

/*
 * The paravirtual ACTIVE bit (src/guest/pv), which no tree has: a guest whose driver sets it before
 * the first user of call-stack mode on a CPU, and clears it after the last.
 */
#define MSR_KVM_PV_LBR_CTRL 0x4b564dfe

static bool pv, pv_boot;
static int pv_users[NR_CPUS];

EXPORT(vlbr_set_pv) void vlbr_set_pv(int on, int boot)
{
	pv = on;
	pv_boot = boot;
}

static bool callstackUser(const struct perf_event *event)
{
	const u64 user = PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER;

	return (event->attr.branch_sample_type & user) == user;
}

void __real_intel_pmu_lbr_add(struct perf_event *event);
void __wrap_intel_pmu_lbr_add(struct perf_event *event)
{
	if (pv && callstackUser(event) && !pv_users[vlbr_cpu]++)
		vlbr_wrmsr(MSR_KVM_PV_LBR_CTRL, 1);
	__real_intel_pmu_lbr_add(event);
}

void __real_intel_pmu_lbr_del(struct perf_event *event);
void __wrap_intel_pmu_lbr_del(struct perf_event *event)
{
	__real_intel_pmu_lbr_del(event);
	if (pv && callstackUser(event) && !--pv_users[vlbr_cpu])
		vlbr_wrmsr(MSR_KVM_PV_LBR_CTRL, 0);
}

/* A CPU comes up, in a kernel that knows it already: kernel/cpu.c:notify_cpu_starting(). */
EXPORT(vlbr_cpu_starting) void vlbr_cpu_starting(void)
{
	pv_users[vlbr_cpu] = 0;
	if (pv_boot)
		vlbr_wrmsr(MSR_KVM_PV_LBR_CTRL, 0);
	vlbr_starting(vlbr_cpu);
}

/* Whether a task has its call stack back that an event of the CPU has recorded: since 6.15. */
#ifdef VLBR_TASK_DATA_perf_ctx_data
#define SAVES_FOR_CPU_EVENTS 1
#else
#define SAVES_FOR_CPU_EVENTS 0
#endif

/* Whether guests have cgroups. Those of 5.9 to 5.12 have none here: their perf was not tried. */
#ifdef VLBR_CGROUP_ANCESTOR_IDS
#define HAS_CGROUPS 0
#else
#define HAS_CGROUPS 1
#endif

/* Where fields lie, and constants, as this tree's headers have them; the last has no name. */
struct offset {
	const char *name;
	unsigned int at;
};
#define FIELD(type, field) { #type "." #field, offsetof(struct type, field) },
#define NUMBER(name) { #name, name },
static const struct offset offsets[] = {
#include "offsets.h"
	{ NULL, 0 },
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

/*
 * The rest of a kernel, as far as perf calls it and is called back by it: memory, per-CPU areas,
 * CPUs, tasks, calls across CPUs, RCU, identifiers. Whatever may call back into C must be here: a
 * function of JavaScript between two of C could not be suspended.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/idr.h>
#include <linux/irqflags.h>
#include <linux/jump_label.h>
#include <linux/kernel.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/perf_event.h>
#include <linux/pid_namespace.h>
#include <linux/proc_ns.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <asm/desc.h>
#include <asm/processor.h>
#include "kernel.h"

/* CPUs. */

unsigned int vlbr_cpu;
struct task_struct *vlbr_current[NR_CPUS];
struct cpuinfo_x86 boot_cpu_data, vlbr_cpu_data[NR_CPUS];
unsigned int nr_cpu_ids = 1;
struct cpumask __cpu_possible_mask, __cpu_online_mask, __cpu_present_mask, __cpu_active_mask;
atomic_t __num_online_cpus = ATOMIC_INIT(1);
const unsigned long cpu_bit_bitmap[BITS_PER_LONG + 1][BITS_TO_LONGS(NR_CPUS)] = {
	[1] = { 1 << 0 }, [2] = { 1 << 1 }, [3] = { 1 << 2 }, [4] = { 1 << 3 },
	[5] = { 1 << 4 }, [6] = { 1 << 5 }, [7] = { 1 << 6 }, [8] = { 1 << 7 },
};

/* Objects of other files. */

struct pid_namespace init_pid_ns;
/* Named in records of namespaces, for which nobody asks. */
const struct proc_ns_operations mntns_operations, cgroupns_operations;
struct task_struct init_task;
__typeof__(kmalloc_caches) kmalloc_caches;
struct page *mem_map;
struct workqueue_struct *system_wq, *system_unbound_wq, *system_percpu_wq;
bool static_key_initialized = true;
u64 __sched_clock_offset;
DEFINE_PER_CPU(struct pt_regs *, __irq_regs);
DEFINE_PER_CPU(struct gdt_page, gdt_page);
/* Whose type the scheduler keeps to itself; since 7.2 its address is taken. */
char run_queues[256] __asm__("runqueues") __attribute__((used, section("percpu_data")));

/*
 * Memory. A block is preceded by its size. Blocks of a size that were freed are handed out again,
 * the last one first, as a slab does on one CPU.
 */

#define ALIGNMENT 64UL
#define CLASSES 128
extern unsigned char __heap_base;
static unsigned long heap_end;
static void *freed[CLASSES];

static unsigned long take(unsigned long bytes)
{
	unsigned long at;

	if (!heap_end)
		heap_end = ALIGN((unsigned long)&__heap_base, ALIGNMENT);
	at = heap_end;
	heap_end += bytes;
	while (heap_end > __builtin_wasm_memory_size(0) * 65536UL)
		if (__builtin_wasm_memory_grow(0, 4) == -1UL)
			__builtin_trap();
	return at;
}

static unsigned long classOf(unsigned long size)
{
	return ALIGN(size, ALIGNMENT) / ALIGNMENT;
}

EXPORT(vlbr_alloc) void *vlbr_alloc(unsigned long size)
{
	unsigned long class = classOf(size);
	unsigned long *block;

	if (class < CLASSES && freed[class]) {
		block = freed[class];
		freed[class] = *(void **)block;
	} else {
		block = (unsigned long *)(take((class + 1) * ALIGNMENT) + ALIGNMENT);
		block[-1] = class;
	}
	memset(block, 0, class * ALIGNMENT);
	return block;
}

#ifdef VLBR_KMALLOC_BY_CACHE
/*
 * include/linux/slab.h of 5.9 to 5.12: kmalloc() of a constant size takes one of these caches, and
 * its size is not told. As for every cache, the first word is the size of a block.
 */
static void cachesInit(void)
{
	static unsigned int size[KMALLOC_SHIFT_HIGH + 1];
	int i, type;

	for (i = 1; i <= KMALLOC_SHIFT_HIGH; i++) {
		size[i] = i == 1 ? 96 : i == 2 ? 192 : 1U << i;
		for (type = 0; type < NR_KMALLOC_TYPES; type++)
			kmalloc_caches[type][i] = (struct kmem_cache *)&size[i];
	}
}
#else
#define cachesInit() do { } while (0)
#endif

EXPORT(vlbr_free) void vlbr_free(void *block)
{
	unsigned long class;

	/* Not of this allocator: null, or static. */
	if (ZERO_OR_NULL_PTR(block) || (unsigned long)block < (unsigned long)&__heap_base)
		return;
	class = ((unsigned long *)block)[-1];
	if (class >= CLASSES)
		return;
	*(void **)block = freed[class];
	freed[class] = block;
}

/* 2^order pages that nobody has had. */
void *vlbr_take_pages(unsigned int order)
{
	unsigned long at = take((PAGE_SIZE << order) + PAGE_SIZE);

	return (void *)ALIGN(at, PAGE_SIZE);
}

EXPORT(vlbr_heap_end) unsigned long vlbr_heap_end(void)
{
	return heap_end;
}

void *memset(void *to, int c, size_t n)
{
	unsigned char *p = to;

	while (n--)
		*p++ = c;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	unsigned char *p = to;
	const unsigned char *q = from;

	while (n--)
		*p++ = *q++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *p = to;
	const unsigned char *q = from;

	if (p < q)
		return memcpy(to, from, n);
	while (n--)
		p[n] = q[n];
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n--; p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

/* Per-CPU areas: each CPU has a copy of the section, and room for what is allocated later. */

#define PERCPU_BYTES 65536UL
extern unsigned char __start_percpu_data[], __stop_percpu_data[];
unsigned long __per_cpu_offset[NR_CPUS];
static unsigned long percpu_end;

static void percpuInit(unsigned int cpus)
{
	unsigned long size = __stop_percpu_data - __start_percpu_data;
	unsigned int cpu;

	percpu_end = ALIGN(size, ALIGNMENT);
	for (cpu = 0; cpu < cpus; cpu++) {
		unsigned long area = take(PERCPU_BYTES);

		memcpy((void *)area, __start_percpu_data, size);
		__per_cpu_offset[cpu] = area - (unsigned long)__start_percpu_data;
	}
}

EXPORT(vlbr_alloc_percpu) void *vlbr_alloc_percpu(unsigned long size)
{
	unsigned long at = percpu_end;

	percpu_end += ALIGN(size, ALIGNMENT);
	if (percpu_end > PERCPU_BYTES)
		__builtin_trap();
	return __start_percpu_data + at;
}

/* Interrupts of a CPU: on, or off. */

static unsigned long interrupts_on[NR_CPUS];

unsigned long arch_local_save_flags(void)
{
	return interrupts_on[vlbr_cpu] ? ARCH_IRQ_ENABLED : ARCH_IRQ_DISABLED;
}

void arch_local_irq_restore(unsigned long flags)
{
	interrupts_on[vlbr_cpu] = flags == ARCH_IRQ_ENABLED;
}

/*
 * MSRs. The machine answers in halves, since a number of JavaScript holds 53 bits: the high half of
 * the last read, and whether the last access faulted, are asked for after it. A function can be
 * suspended before the access, and there alone.
 */

u32 vlbr_read_msr(u32 msr, int safe);
u32 vlbr_msr_high(void);
void vlbr_write_msr(u32 msr, u32 low, u32 high, int safe);
int vlbr_msr_fault(void);
void vlbr_unchecked_msr(u32 msr, int write);

/*
 * Whether an NMI comes before this access, and that its handler has returned. The handler is called
 * from here, so that it can be suspended as well.
 */
int vlbr_nmi_due(u32 msr);
void vlbr_nmi_return(void);
int vlbr_nmi(unsigned long ip, int user);

static void nmi(void)
{
	vlbr_nmi(PAGE_OFFSET, 0);
	vlbr_nmi_return();
}

static int read(u32 msr, u64 *value, int safe)
{
	u32 low;

	if (vlbr_nmi_due(msr))
		nmi();
	low = vlbr_read_msr(msr, safe);
	*value = (u64)vlbr_msr_high() << 32 | low;
	return vlbr_msr_fault() ? -EIO : 0;
}

static int write(u32 msr, u64 value, int safe)
{
	if (vlbr_nmi_due(msr))
		nmi();
	vlbr_write_msr(msr, value, value >> 32, safe);
	return vlbr_msr_fault() ? -EIO : 0;
}

int vlbr_rdmsr_safe(u32 msr, u64 *value)
{
	return read(msr, value, 1);
}

int vlbr_wrmsr_safe(u32 msr, u64 value)
{
	return write(msr, value, 1);
}

u64 vlbr_rdmsr(u32 msr)
{
	u64 value;

	if (!read(msr, &value, 0))
		return value;
	vlbr_unchecked_msr(msr, 0);
	return 0;
}

void vlbr_wrmsr(u32 msr, u64 value)
{
	if (write(msr, value, 0))
		vlbr_unchecked_msr(msr, 1);
}

/*
 * Calls of other CPUs: as soon as those run and have their interrupts on, this one calls in their
 * place. Whether a CPU runs is the machine's to say: a hypervisor may have taken it away. A CPU that
 * is in a guest leaves the guest first.
 */
int vlbr_cpu_runs(unsigned int cpu);

static void callOn(int cpu, smp_call_func_t func, void *info)
{
	unsigned int caller = vlbr_cpu;
	unsigned long flags;

	while (cpu != caller && !vlbr_call_is_idle(func, info, cpu) &&
	       !(vlbr_cpu_runs(cpu) && interrupts_on[cpu]))
		vlbr_relax();
	vlbr_cpu = cpu;
	local_irq_save(flags);
	func(info);
	local_irq_restore(flags);
	vlbr_cpu = caller;
}

int smp_call_function_single(int cpu, smp_call_func_t func, void *info, VLBR_IPI_WAIT wait)
{
	callOn(cpu, func, info);
	return 0;
}

#ifdef VLBR_COND_MASK_GFP
void on_each_cpu_cond_mask(bool (*cond_func)(int cpu, void *info), smp_call_func_t func, void *info,
			   bool wait, gfp_t gfp_flags, const struct cpumask *mask)
#else
void on_each_cpu_cond_mask(smp_cond_func_t cond_func, smp_call_func_t func, void *info, bool wait,
			   const struct cpumask *mask)
#endif
{
	int cpu;

	for_each_cpu(cpu, mask)
		if (!cond_func || cond_func(cpu, info))
			callOn(cpu, func, info);
}

#ifdef VLBR_ON_EACH_CPU
void on_each_cpu(smp_call_func_t func, void *info, int wait)
{
	int cpu;

	for_each_online_cpu(cpu)
		callOn(cpu, func, info);
}
#endif

static int (*perf_starting)(unsigned int cpu);

/* What a CPU that comes up calls, for CPUs that are up. */
int __cpuhp_setup_state(enum cpuhp_state state, const char *name, bool invoke,
			int (*startup)(unsigned int cpu), int (*teardown)(unsigned int cpu),
			bool multi_instance)
{
	unsigned int caller = vlbr_cpu;
	int cpu;

	if (state == CPUHP_AP_PERF_X86_STARTING)
		perf_starting = startup;
	if (!invoke || !startup)
		return 0;
	for_each_online_cpu(cpu) {
		vlbr_cpu = cpu;
		startup(cpu);
	}
	vlbr_cpu = caller;
	return 0;
}

/* Perf's part of the start of a CPU. */
void vlbr_starting(unsigned int cpu)
{
	perf_starting(cpu);
}

#ifdef VLBR_QUEUED_SPINLOCK
/* kernel/locking/qspinlock.c: who has to wait for a spinlock lets the machine run others. */
void queued_spin_lock_slowpath(struct qspinlock *lock, u32 val)
{
	while (atomic_read(&lock->val))
		vlbr_relax();
	atomic_set(&lock->val, _Q_LOCKED_VAL);
}
#endif

/* Mutexes: who has to wait lets the machine run others. */

static void mutexInit(struct mutex *lock)
{
	memset(lock, 0, sizeof(*lock));
}

#ifdef VLBR_MUTEX_INIT_GENERIC
void mutex_init_generic(struct mutex *lock)
{
	mutexInit(lock);
}
#else
void __mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)
{
	mutexInit(lock);
}
#endif

void mutex_lock(struct mutex *lock)
{
	while (atomic_long_read(&lock->owner))
		vlbr_relax();
	atomic_long_set(&lock->owner, (long)current | 1);
}

/* In 5.9; no signal comes. */
int mutex_lock_interruptible(struct mutex *lock)
{
	mutex_lock(lock);
	return 0;
}

int mutex_lock_killable(struct mutex *lock)
{
	mutex_lock(lock);
	return 0;
}

void mutex_unlock(struct mutex *lock)
{
	atomic_long_set(&lock->owner, 0);
}

int atomic_dec_and_mutex_lock(atomic_t *count, struct mutex *lock)
{
	if (atomic_add_unless(count, -1, 1))
		return 0;
	mutex_lock(lock);
	if (atomic_dec_and_test(count))
		return 1;
	mutex_unlock(lock);
	return 0;
}

/* lib/dec_and_lock.c, for the kind that perf uses. */
int _atomic_dec_and_raw_lock_irqsave(atomic_t *count, raw_spinlock_t *lock, unsigned long *flags)
{
	if (atomic_add_unless(count, -1, 1))
		return 0;
	raw_spin_lock_irqsave(lock, *flags);
	if (atomic_dec_and_test(count))
		return 1;
	raw_spin_unlock_irqrestore(lock, *flags);
	return 0;
}

/* The clock: each reading is later than the one before. */

#define TICK_NS 1000
static u64 clock_ns;

u64 sched_clock(void)
{
	return clock_ns += TICK_NS;
}

void vlbr_pass_time(u64 ns)
{
	clock_ns += ns;
}

/* Timers: one that is armed fires when the machine says so. */

#define TIMERS 64
static struct {
	struct hrtimer *timer;
	unsigned int cpu;
} armed[TIMERS];

static ktime_t now(void)
{
	return sched_clock();
}

#ifdef VLBR_HRTIMER_CB_GET_TIME
ktime_t hrtimer_cb_get_time(const struct hrtimer *timer)
{
	return now();
}
#define SET_BASE(timer) do { } while (0)
#else
static struct hrtimer_clock_base clock_base = { .get_time = now };
#define SET_BASE(t) ((t)->base = &clock_base)
#endif

#ifdef VLBR_HRTIMER_SETUP
void hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *),
		   clockid_t clock_id, enum hrtimer_mode mode)
{
	memset(timer, 0, sizeof(*timer));
	ACCESS_PRIVATE(timer, function) = function;
	SET_BASE(timer);
}
#else
void hrtimer_init(struct hrtimer *timer, clockid_t which_clock, enum hrtimer_mode mode)
{
	memset(timer, 0, sizeof(*timer));
	SET_BASE(timer);
}
#endif

int hrtimer_try_to_cancel(struct hrtimer *timer)
{
	int i;

	for (i = 0; i < TIMERS; i++)
		if (armed[i].timer == timer) {
			armed[i].timer = NULL;
			return 1;
		}
	return 0;
}

int hrtimer_cancel(struct hrtimer *timer)
{
	return hrtimer_try_to_cancel(timer);
}

void hrtimer_start_range_ns(struct hrtimer *timer, ktime_t tim, u64 range_ns,
			    const enum hrtimer_mode mode)
{
	int i;

	hrtimer_try_to_cancel(timer);
	for (i = 0; armed[i].timer; i++)
		if (i == TIMERS - 1)
			__builtin_trap();
	armed[i].timer = timer;
	armed[i].cpu = vlbr_cpu;
}

u64 hrtimer_forward(struct hrtimer *timer, ktime_t time, ktime_t interval)
{
	return 1;
}

/* The interrupt of the timers that are armed on the CPU that runs. Returns how many fired. */
EXPORT(vlbr_timers) int vlbr_timers(void)
{
	struct hrtimer *due[TIMERS];
	int i, n = 0;

	for (i = 0; i < TIMERS; i++)
		if (armed[i].timer && armed[i].cpu == vlbr_cpu) {
			due[n++] = armed[i].timer;
			armed[i].timer = NULL;
		}
	for (i = 0; i < n; i++)
		if (ACCESS_PRIVATE(due[i], function)(due[i]) == HRTIMER_RESTART)
			hrtimer_start_range_ns(due[i], 0, 0, HRTIMER_MODE_ABS);
	return n;
}

/* Files of events, by number: a file is there from when it is made, before anyone else can use it. */

static struct file *files[VLBR_FILES];
#define RESERVED ((struct file *)ERR_PTR(-EBUSY))
static int reserved[NR_CPUS];

int get_unused_fd_flags(unsigned int flags)
{
	int fd;

	for (fd = 0; fd < VLBR_FILES; fd++)
		if (!files[fd]) {
			files[fd] = RESERVED;
			reserved[vlbr_cpu] = fd;
			return fd;
		}
	return -EMFILE;
}

/* How many numbers are taken whose files are not there yet. */
EXPORT(vlbr_files_reserved) int vlbr_files_reserved(void)
{
	int fd, n = 0;

	for (fd = 0; fd < VLBR_FILES; fd++)
		n += files[fd] == RESERVED;
	return n;
}

void put_unused_fd(unsigned int fd)
{
	files[fd] = NULL;
}

struct file *anon_inode_getfile(const char *name, const struct file_operations *fops, void *priv,
				int flags)
{
	struct file *file = vlbr_alloc(sizeof(*file));

	file->private_data = priv;
	file->f_op = fops;
	files[reserved[vlbr_cpu]] = file;
	return file;
}

void fd_install(unsigned int fd, struct file *file)
{
	if (files[fd] != file)
		__builtin_trap();
}

/* The file of a number, or NULL. */
struct file *vlbr_file(int fd)
{
	return IS_ERR(files[fd]) ? NULL : files[fd];
}

/* Number of the file of an event, or -1. */
int vlbr_fd(const void *event)
{
	int fd;

	for (fd = 0; fd < VLBR_FILES; fd++)
		if (vlbr_file(fd) && vlbr_file(fd)->private_data == event)
			return fd;
	return -1;
}

/* Takes a file away. */
long vlbr_release_file(int fd)
{
	struct file *file = vlbr_file(fd);
	long ret = file->f_op->release(NULL, file);

	files[fd] = NULL;
	vlbr_free(file);
	return ret;
}

void fput(struct file *file)
{
	vlbr_release_file(vlbr_fd(file->private_data));
}

/* RCU: a grace period ends when no function is under way; the machine says when. */

static struct rcu_head *rcu_first;

void call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	struct rcu_head **last = &rcu_first;

	head->func = func;
	head->next = NULL;
	while (*last)
		last = (struct rcu_head **)&(*last)->next;
	*last = head;
}

EXPORT(vlbr_grace_period) void vlbr_grace_period(void)
{
	while (rcu_first) {
		struct rcu_head *head = rcu_first;

		rcu_first = (struct rcu_head *)head->next;
		head->func(head);
	}
}

/* Identifiers, of which perf has one kind: types of PMUs. */

#define IDS 64
static struct {
	bool used;
	void *ptr;
} ids[IDS];

int idr_alloc(struct idr *idr, void *ptr, int start, int end, gfp_t gfp)
{
	int id;

	for (id = start; id < IDS; id++) {
		if (ids[id].used)
			continue;
		ids[id].used = true;
		ids[id].ptr = ptr;
		return id;
	}
	return -ENOSPC;
}

void *idr_find(const struct idr *idr, unsigned long id)
{
	return id < IDS ? ids[id].ptr : NULL;
}

void *idr_replace(struct idr *idr, void *ptr, unsigned long id)
{
	void *old = idr_find(idr, id);

	if (id >= IDS || !ids[id].used)
		return ERR_PTR(-ENOENT);
	ids[id].ptr = ptr;
	return old;
}

void *idr_remove(struct idr *idr, unsigned long id)
{
	void *old = idr_find(idr, id);

	if (id < IDS)
		ids[id].used = false, ids[id].ptr = NULL;
	return old;
}

/* Tasks. */

struct task_struct *vlbr_tasks[VLBR_TASKS];

int task_curr(const struct task_struct *task)
{
	return vlbr_current[task_cpu(task)] == task;
}

struct task_struct *find_task_by_vpid(pid_t nr)
{
	int i;

	for (i = 0; i < VLBR_TASKS; i++)
		if (vlbr_tasks[i] && vlbr_tasks[i] != VLBR_EXITED && vlbr_tasks[i]->pid == nr)
			return vlbr_tasks[i];
	return NULL;
}

struct task_struct *find_get_task_by_vpid(pid_t nr)
{
	struct task_struct *task = find_task_by_vpid(nr);

	if (task)
		get_task_struct(task);
	return task;
}

struct pid_namespace *task_active_pid_ns(struct task_struct *task)
{
	return &init_pid_ns;
}

/* A new task, with the lowest number that no task has had; its pid is that plus one. */
EXPORT(vlbr_task) struct task_struct *vlbr_task(void)
{
	struct task_struct *task = vlbr_alloc(sizeof(*task));
	int i;

	for (i = 0; i < VLBR_TASKS && vlbr_tasks[i]; i++)
		;
	if (i == VLBR_TASKS)
		__builtin_trap();
	vlbr_tasks[i] = task;
	task->pid = task->tgid = i + 1;
	task->group_leader = task;
	task->signal = vlbr_alloc(sizeof(*task->signal));
	task->mm = vlbr_alloc(sizeof(*task->mm));
	refcount_set(&task->usage, 1);
	INIT_LIST_HEAD(&task->perf_event_list);
	mutex_init(&task->perf_event_mutex);
	INIT_LIST_HEAD(&task->signal->thread_head);
	vlbr_join(task, 0);
	list_add_tail(&task->tasks, &init_task.tasks);
	list_add_tail(&task->thread_node, &task->signal->thread_head);
	return task;
}

/* kernel/exit.c:release_task(). */
void vlbr_forget_task(struct task_struct *task)
{
	vlbr_tasks[task->pid - 1] = VLBR_EXITED;
	list_del(&task->tasks);
	list_del(&task->thread_node);
}

/* kernel/fork.c: nobody refers to the task any more. */
void __put_task_struct(struct task_struct *task)
{
	vlbr_free(task->mm);
	vlbr_free(task->signal);
	vlbr_free(task);
}

/* Makes a task the one that runs on a CPU; perf is not told. */
EXPORT(vlbr_set_current) void vlbr_set_current(struct task_struct *task, unsigned int cpu)
{
	vlbr_current[cpu] = task;
	CPU_OF(task) = cpu;
	task->on_cpu = 1;
}

/* The first thing that is called; CPUs are numbered from 0. */
EXPORT(vlbr_start) void vlbr_start(unsigned int cpus, unsigned int family, unsigned int model,
				   unsigned int stepping)
{
	unsigned int cpu;
	unsigned long mask = (1UL << cpus) - 1;

	nr_cpu_ids = cpus;
	atomic_set(&__num_online_cpus, cpus);
	__cpu_possible_mask.bits[0] = __cpu_online_mask.bits[0] = mask;
	__cpu_present_mask.bits[0] = __cpu_active_mask.bits[0] = mask;
	percpuInit(cpus);
	cachesInit();
	INIT_LIST_HEAD(&init_task.tasks);
	for (cpu = 0; cpu < cpus; cpu++) {
		struct cpuinfo_x86 *c = &vlbr_cpu_data[cpu];

		c->x86_vendor = X86_VENDOR_INTEL;
		c->x86 = family;
		c->x86_model = model;
		c->x86_stepping = stepping;
		c->cpu_index = cpu;
		interrupts_on[cpu] = 1;
	}
	boot_cpu_data = vlbr_cpu_data[0];
}

/*
 * The rest of a kernel, as far as KVM calls it and is called back by it, beside what c/kernel.c has
 * for perf: the processor's VMX, preempt notifiers, pages, and the parts of KVM that have nothing
 * to do with the PMU.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/mm.h>
#include <linux/perf_event.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/static_key.h>
#include <linux/user-return-notifier.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <asm/apic.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/mshyperv.h>
#include <asm/nospec-branch.h>
#include <vlbr_kvm_features.h>
#include "events/perf_event.h"
#include "mmu.h"
#include "pmu.h"
#include "vmx/vmx.h"
#include "x86.h"
#include "../kernel.h"

/* Objects of other files. */

enum system_states system_state = SYSTEM_RUNNING;
struct workqueue_struct *system_long_wq;
struct ms_hyperv_info ms_hyperv;
bool virt_rebooting, tdp_enabled = true, tdp_mmu_enabled;
__weak bool eager_page_split;
unsigned int tsc_khz = 1000000, cpu_khz = 1000000;
enum vmx_l1d_flush_state l1tf_vmx_mitigation;
enum l1tf_mitigations l1tf_mitigation;
u8 shadow_phys_bits = 46;
unsigned long zero_page_pfn;
#ifdef VLBR_ZERO_PFN
unsigned long zero_pfn;
#endif
struct page *__zero_page;
struct static_key_false mds_user_clear, mmio_stale_data_clear, switch_vcpu_ibpb, sched_smt_present;
DEFINE_PER_CPU(bool, x86_ibpb_exit_to_user);
DEFINE_PER_CPU(unsigned long, cpu_dr7);
#ifdef VLBR_STATIC_CALL_APIC
DEFINE_STATIC_CALL_NULL(apic_call_send_IPI_mask, *apic->send_IPI_mask);
#else
struct apic *apic;
#endif

/*
 * Hooks that vmx.c leaves out. Where calls are patched in place, nothing is called, or what returns
 * 0. Here each needs a function of its own type, since WebAssembly checks the type of a call.
 */

static void nothing(struct kvm_vcpu *vcpu)
{
}

static void nothingOfVm(struct kvm *kvm)
{
}

static int zero(struct kvm_vcpu *vcpu)
{
	return 0;
}

static bool no(struct kvm_vcpu *vcpu)
{
	return false;
}

static unsigned long none(struct kvm_vcpu *vcpu)
{
	return 0;
}

#define ABSENT(hook) _Generic(kvm_x86_ops.hook, \
	void (*)(struct kvm_vcpu *): nothing, \
	void (*)(struct kvm *): nothingOfVm, \
	int (*)(struct kvm_vcpu *): zero, \
	bool (*)(struct kvm_vcpu *): no, \
	unsigned long (*)(struct kvm_vcpu *): none, \
	default: (typeof(kvm_x86_ops.hook))NULL)
#define KVM_X86_OP(hook)
#define KVM_X86_OP_OPTIONAL(hook) \
	if (!kvm_x86_ops.hook) \
		static_call_update(kvm_x86_##hook, ABSENT(hook));
#define KVM_X86_OP_OPTIONAL_RET0 KVM_X86_OP_OPTIONAL
/* Up to 5.16. */
#define KVM_X86_OP_NULL KVM_X86_OP_OPTIONAL

/* Those of the PMU likewise. */
#if __has_include(<asm/kvm-x86-pmu-ops.h>)
#define KVM_X86_PMU_OP(hook)
#define KVM_X86_PMU_OP_OPTIONAL(hook) \
	DECLARE_STATIC_CALL(kvm_x86_pmu_##hook, *(((struct kvm_pmu_ops *)0)->hook));
#define KVM_X86_PMU_OP_OPTIONAL_RET0(hook)
#include <asm/kvm-x86-pmu-ops.h>
#endif

static void pmuHooks(void)
{
#if __has_include(<asm/kvm-x86-pmu-ops.h>)
#define KVM_X86_PMU_OP(hook)
#define KVM_X86_PMU_OP_OPTIONAL(hook) \
	if (!STATIC_CALL_KEY(kvm_x86_pmu_##hook).func) \
		static_call_update(kvm_x86_pmu_##hook, _Generic(((struct kvm_pmu_ops *)0)->hook, \
			void (*)(struct kvm_vcpu *): nothing, \
			default: (typeof(((struct kvm_pmu_ops *)0)->hook))NULL));
#define KVM_X86_PMU_OP_OPTIONAL_RET0(hook)
#include <asm/kvm-x86-pmu-ops.h>
#endif
}

EXPORT(vlbr_kvm_hooks) void vlbr_kvm_hooks(void)
{
	pmuHooks();
/* Up to 5.11 KVM looks whether there is a hook before it calls one. */
#if __has_include(<asm/kvm-x86-ops.h>)
#include <asm/kvm-x86-ops.h>
#endif
}

/*
 * Interrupts of the host's: the machine says whether one comes, and carries out what its handler
 * does. One that waits comes at the latest before interrupts go off, and at the earliest when they
 * are on; and where KVM accesses an MSR while they are on.
 */

#undef arch_local_irq_restore
void arch_local_irq_restore(unsigned long flags);
/* At an MSR, or 0. */
void vlbr_interruptible(u32 msr);

void vlbr_kvm_irq_restore(unsigned long flags)
{
	bool are_on = !irqs_disabled();

	if (are_on && flags != ARCH_IRQ_ENABLED)
		vlbr_interruptible(0);
	arch_local_irq_restore(flags);
	if (!are_on && flags == ARCH_IRQ_ENABLED)
		vlbr_interruptible(0);
}

static void interruptibleAt(u32 msr)
{
	if (!irqs_disabled())
		vlbr_interruptible(msr);
}

/* MSRs: whether KVM itself is at one, or another part of the kernel. */

#undef vlbr_rdmsr
#undef vlbr_wrmsr
#undef vlbr_rdmsr_safe
#undef vlbr_wrmsr_safe

static int is_kvm;

EXPORT(vlbr_msr_is_kvm) int vlbr_msr_is_kvm(void)
{
	return is_kvm;
}

u64 vlbr_kvm_rdmsr(u32 msr)
{
	u64 value;

	interruptibleAt(msr);
	is_kvm = 1;
	value = vlbr_rdmsr(msr);
	is_kvm = 0;
	return value;
}

void vlbr_kvm_wrmsr(u32 msr, u64 value)
{
	interruptibleAt(msr);
	is_kvm = 1;
	vlbr_wrmsr(msr, value);
	is_kvm = 0;
}

int vlbr_kvm_rdmsr_safe(u32 msr, u64 *value)
{
	int ret;

	interruptibleAt(msr);
	is_kvm = 1;
	ret = vlbr_rdmsr_safe(msr, value);
	is_kvm = 0;
	return ret;
}

int vlbr_kvm_wrmsr_safe(u32 msr, u64 value)
{
	int ret;

	interruptibleAt(msr);
	is_kvm = 1;
	ret = vlbr_wrmsr_safe(msr, value);
	is_kvm = 0;
	return ret;
}

/*
 * VMX. The machine keeps the fields of each VMCS by the address of its region, and which one is
 * current on each CPU. It answers in halves.
 */

u32 vlbr_vmcs_read(u32 field);
u32 vlbr_vmcs_high(void);
int vlbr_vmcs_is_current(void);
void vlbr_vmcs_write(u32 field, u32 low, u32 high);
void vlbr_vmcs_clear(const void *vmcs);
void vlbr_vmcs_load(const void *vmcs);
/* Runs the guest, and returns at the VM exit; not 0 if the instruction failed. */
int vlbr_vm_enter(unsigned long *registers);

u64 vlbr_vmread(u32 field)
{
	u32 low;

#ifdef VLBR_VMREAD_UNCHECKED
	/* Without a VMCS the instruction fails, and its register keeps what was in it. */
	if (!vlbr_vmcs_is_current())
		return 0;
#endif
	low = vlbr_vmcs_read(field);
	return (u64)vlbr_vmcs_high() << 32 | low;
}

void vlbr_vmwrite(u32 field, u64 value)
{
	vlbr_vmcs_write(field, value, value >> 32);
}

void vlbr_vmclear(const struct vmcs *vmcs)
{
	vlbr_vmcs_clear(vmcs);
}

void vlbr_vmptrld(const struct vmcs *vmcs)
{
	vlbr_vmcs_load(vmcs);
}

/* arch/x86/kvm/vmx/vmenter.S. */
#if defined(VLBR_VCPU_RUN_LAUNCHED)
bool __vmx_vcpu_run(struct vcpu_vmx *vmx, unsigned long *regs, bool launched)
#elif defined(VLBR_VCPU_RUN_REGISTERS)
bool __vmx_vcpu_run(struct vcpu_vmx *vmx, unsigned long *regs, unsigned int flags)
#else
bool __vmx_vcpu_run(struct vcpu_vmx *vmx, unsigned int flags)
#endif
{
	bool failed = vlbr_vm_enter(vmx->vcpu.arch.regs);

	vmx->loaded_vmcs->launched = 1;
	return failed;
}

int vlbr_nmi(unsigned long ip, int user);

void asm_exc_nmi_noist(void)
{
	vlbr_nmi(PAGE_OFFSET, 0);
}

/* Up to 6.3 one function for both, by its entry point. */
void vmx_do_interrupt_nmi_irqoff(unsigned long entry)
{
	if (entry == (unsigned long)asm_exc_nmi_noist)
		asm_exc_nmi_noist();
}

void vmx_do_nmi_irqoff(void)
{
	asm_exc_nmi_noist();
}

void vmx_do_interrupt_irqoff(unsigned long entry)
{
}

#define VLBR_NMI_VECTOR 2
void x86_entry_from_kvm(unsigned int event_type, unsigned int vector)
{
	if (vector == VLBR_NMI_VECTOR)
		asm_exc_nmi_noist();
}

/* Up to 5.11 the NMI of an exit is handled by what its gate leads to. */
static gate_desc idt[256];
void store_idt(struct desc_ptr *dtr)
{
	unsigned long entry = (unsigned long)asm_exc_nmi_noist;

	idt[VLBR_NMI_VECTOR].offset_low = entry;
	idt[VLBR_NMI_VECTOR].offset_middle = entry >> 16;
	dtr->address = (unsigned long)idt;
	dtr->size = sizeof(idt) - 1;
}

static struct desc_struct gdt[16];
struct desc_struct *get_current_gdt_ro(void)
{
	return gdt;
}

static struct cpu_entry_area entry_area;
struct cpu_entry_area *get_cpu_entry_area(int cpu)
{
	return &entry_area;
}

/* kernel/sched/core.c: preempt notifiers. */

void preempt_notifier_inc(void)
{
}

void preempt_notifier_dec(void)
{
}

void preempt_notifier_register(struct preempt_notifier *notifier)
{
	hlist_add_head(&notifier->link, &current->preempt_notifiers);
}

void preempt_notifier_unregister(struct preempt_notifier *notifier)
{
	hlist_del(&notifier->link);
}

EXPORT(vlbr_fire_sched_out) void vlbr_fire_sched_out(struct task_struct *next)
{
	struct preempt_notifier *notifier;

	hlist_for_each_entry(notifier, &current->preempt_notifiers, link)
		notifier->ops->sched_out(notifier, next);
}

EXPORT(vlbr_fire_sched_in) void vlbr_fire_sched_in(void)
{
	struct preempt_notifier *notifier;

	hlist_for_each_entry(notifier, &current->preempt_notifiers, link)
		notifier->ops->sched_in(notifier, raw_smp_processor_id());
}

/* The thread that runs has to make room; the machine says for whom. */
void vlbr_schedule(void);
void schedule(void)
{
	vlbr_schedule();
	clear_thread_flag(TIF_NEED_RESCHED);
}

#ifdef VLBR_COND_RESCHED
int vlbr_kvm_cond_resched(void)
{
	if (need_resched())
		schedule();
	return 0;
}
#endif

EXPORT(vlbr_need_resched) void vlbr_need_resched(struct task_struct *task)
{
	set_tsk_thread_flag(task, TIF_NEED_RESCHED);
}

/* A signal for a thread: KVM_RUN ends with it. */
EXPORT(vlbr_signal) void vlbr_signal(struct task_struct *task, int pending)
{
	if (pending)
		set_tsk_thread_flag(task, TIF_SIGPENDING);
	else
		clear_tsk_thread_flag(task, TIF_SIGPENDING);
}

/* Events of the kernel's own, which perf has no list of. */

#undef perf_event_create_kernel_counter
#undef perf_event_release_kernel
struct perf_event *perf_event_create_kernel_counter(struct perf_event_attr *attr, int cpu,
						    struct task_struct *task,
						    perf_overflow_handler_t overflow_handler,
						    void *context);
int perf_event_release_kernel(struct perf_event *event);

struct perf_event *vlbr_kvm_create_event(struct perf_event_attr *attr, int cpu,
					 struct task_struct *task,
					 perf_overflow_handler_t overflow_handler, void *context)
{
	struct perf_event *event =
		perf_event_create_kernel_counter(attr, cpu, task, overflow_handler, context);
	int i;

	if (IS_ERR(event))
		return event;
	for (i = 0; vlbr_kernel_events[i]; i++)
		if (i == VLBR_KERNEL_EVENTS - 1)
			__builtin_trap();
	vlbr_kernel_events[i] = event;
	return event;
}

int vlbr_kvm_release_event(struct perf_event *event)
{
	int i;

	for (i = 0; i < VLBR_KERNEL_EVENTS; i++)
		if (vlbr_kernel_events[i] == event)
			vlbr_kernel_events[i] = NULL;
	return perf_event_release_kernel(event);
}

/* Memory of whole pages, at addresses of pages. Freed ones are handed out again, the last first. */

#define ORDERS 4
static void *pages[ORDERS];

EXPORT(vlbr_alloc_pages) void *vlbr_alloc_pages(unsigned int order)
{
	void *page;

	if (order >= ORDERS)
		vlbr_fail("pages", order);
	page = pages[order];
	if (page)
		pages[order] = *(void **)page;
	else
		page = vlbr_take_pages(order);
	memset(page, 0, PAGE_SIZE << order);
	return page;
}

EXPORT(vlbr_free_pages) void vlbr_free_pages(void *page, unsigned int order)
{
	if (!page)
		return;
	*(void **)page = pages[order];
	pages[order] = page;
}

/* By the struct page of the first one. */
EXPORT(vlbr_alloc_struct_page) struct page *vlbr_alloc_struct_page(unsigned int order)
{
	return virt_to_page(vlbr_alloc_pages(order));
}

EXPORT(vlbr_free_struct_page) void vlbr_free_struct_page(struct page *page, unsigned int order)
{
	vlbr_free_pages(page_address(page), order);
}

int anon_inode_getfd(const char *name, const struct file_operations *fops, void *priv, int flags)
{
	int fd = get_unused_fd_flags(flags);

	if (fd >= 0)
		fd_install(fd, anon_inode_getfile(name, fops, priv, flags));
	return fd;
}

#ifdef VLBR_FPU_GUEST
/* arch/x86/kernel/fpu/core.c: no state is kept, only whose it is. */

bool fpu_alloc_guest_fpstate(struct fpu_guest *guest)
{
	guest->fpstate = vlbr_alloc(sizeof(*guest->fpstate));
	return true;
}

void fpu_free_guest_fpstate(struct fpu_guest *guest)
{
	vlbr_free(guest->fpstate);
}

int fpu_swap_kvm_fpstate(struct fpu_guest *guest, bool enter_guest)
{
	guest->fpstate->in_use = enter_guest;
	return 0;
}
#endif

/* arch/x86/kvm/mmu/mmu.c: no address is ever translated. A root that is not there is never loaded. */

int kvm_mmu_create(struct kvm_vcpu *vcpu)
{
	vcpu->arch.mmu = &vcpu->arch.root_mmu;
#ifdef VLBR_WALK_MMU
	vcpu->arch.walk_mmu = &vcpu->arch.root_mmu;
#endif
#ifdef VLBR_MMU_ROOT_HPA
	vcpu->arch.root_mmu.root_hpa = 0;
#else
	vcpu->arch.root_mmu.root.hpa = 0;
#endif
	return 0;
}

/* kernel/watchdog.c: a pinned event of each CPU that counts cycles. Its NMI looks at the clock. */

static struct perf_event *watchdogs[NR_CPUS];

static void tick(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
}

/* Starts that of the CPU, or ends it. */
EXPORT(vlbr_toggle_watchdog) void vlbr_toggle_watchdog(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.size = sizeof(attr),
		.pinned = 1,
		.sample_period = 1u << 31,
	};
	struct perf_event *event = watchdogs[vlbr_cpu];

	if (event) {
		perf_event_release_kernel(event);
		watchdogs[vlbr_cpu] = NULL;
		return;
	}
	event = perf_event_create_kernel_counter(&attr, vlbr_cpu, NULL, tick, NULL);
	if (!IS_ERR(event))
		watchdogs[vlbr_cpu] = event;
}

/* The counter that it has, or -1. */
EXPORT(vlbr_watchdog_counter) int vlbr_watchdog_counter(int cpu)
{
	struct perf_event *event = watchdogs[cpu];

	return event && event->state == PERF_EVENT_STATE_ACTIVE ? event->hw.idx : -1;
}

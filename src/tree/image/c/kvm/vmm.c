/*
 * The userspace of KVM: what a machine monitor asks of /dev/kvm, by the ioctls of the ABI. VMs and
 * vCPUs are known by the numbers of their files.
 *
 * SPDX-License-Identifier: GPL-2.0-only
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/kvm_host.h>
#include <linux/miscdevice.h>
#include <linux/radix-tree.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/apic.h>
#include <asm/apicdef.h>
#include <vlbr_kvm_features.h>
#include "events/perf_event.h"
#include "pmu.h"
#include "vmx/vmx.h"
#include "../kernel.h"

static struct file device;

int misc_register(struct miscdevice *misc)
{
	device.f_op = misc->fops;
	return 0;
}

static long ask(struct file *file, unsigned int request, void *argument)
{
	return file->f_op->unlocked_ioctl(file, request, (unsigned long)argument);
}

/* Before the module is loaded: KVM looks at what the kernel has found of the CPU. */
EXPORT(vlbr_kvm_prepare) void vlbr_kvm_prepare(void)
{
	unsigned int feature;

	radix_tree_init();
	for (feature = 0; feature < NCAPINTS * 32; feature++)
		if (vlbr_cpu_has(feature))
			set_bit(feature, (unsigned long *)boot_cpu_data.x86_capability);
}

/* What may not fail. */
static long have(long ret)
{
	if (ret < 0)
		vlbr_fail("ioctl", ret);
	return ret;
}

/* Runs as a thread: its memory is that of the process. */
static struct task_struct *become(struct task_struct *task)
{
	struct task_struct *prev = current;

	vlbr_current[vlbr_cpu] = task;
	return prev;
}

#define CPUID_ENTRIES 80
struct cpuids {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
};
struct msrs {
	struct kvm_msrs head;
	struct kvm_msr_entry entries[1];
};

static bool accepts(struct file *vcpu, u32 index, u64 value)
{
	struct msrs msrs = { .head.nmsrs = 1, .entries[0] = { .index = index, .data = value } };

	return have(ask(vcpu, KVM_SET_MSRS, &msrs)) == 1;
}

/* A VM with an APIC in the kernel. Returns the number of its file. */
EXPORT(vlbr_vm_create) int vlbr_vm_create(struct task_struct *thread)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args[0] = 24 };
	struct task_struct *prev = become(thread);
	int vm = have(ask(&device, KVM_CREATE_VM, NULL));

	have(ask(vlbr_file(vm), KVM_ENABLE_CAP, &split));
	become(prev);
	return vm;
}

#define X2APIC (APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_BSP | MSR_IA32_APICBASE_ENABLE | \
		X2APIC_ENABLE)

/* As perf programs it: the PMI is an NMI. */
static void setLapic(struct file *vcpu)
{
	struct kvm_lapic_state *lapic = vlbr_alloc(sizeof(*lapic));

	have(ask(vcpu, KVM_GET_LAPIC, lapic));
	*(u32 *)(lapic->regs + APIC_SPIV) |= APIC_SPIV_APIC_ENABLED;
	*(u32 *)(lapic->regs + APIC_LVTPC) = APIC_DM_NMI;
	have(ask(vcpu, KVM_SET_LAPIC, lapic));
	vlbr_free(lapic);
}

/*
 * Whether a guest gets the LBR, in the format of the host. Up to v11 it is a capability of the VM,
 * which is asked for once a vCPU has its CPUID; it writes where the registers are.
 */
static bool offersLbr(struct file *vm, struct file *vcpu, u64 format)
{
#ifdef KVM_CAP_X86_GUEST_LBR
	u32 registers[8];
	struct kvm_enable_cap lbr = {
		.cap = KVM_CAP_X86_GUEST_LBR, .args = { 1, (unsigned long)registers }
	};

	return ask(vm, KVM_ENABLE_CAP, &lbr) >= 0;
#else
	return accepts(vcpu, MSR_IA32_PERF_CAPABILITIES, format);
#endif
}

/*
 * A vCPU with all that KVM supports, as `-cpu host` gives it, and the format of LBR records that
 * the host has. Returns the number of its file, or -1 if KVM gives guests no LBR on this CPU.
 */
EXPORT(vlbr_vcpu_create) int vlbr_vcpu_create(int vm, struct task_struct *thread, u64 perf_cap)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm *kvm = vlbr_file(vm)->private_data;
	struct task_struct *prev = become(thread);
	struct cpuids *cpuids = vlbr_alloc(sizeof(*cpuids));
	struct file *vcpu;
	int fd;

	/* A thread of the process that has made the VM. */
	thread->mm = kvm->mm;
	fd = have(ask(vlbr_file(vm), KVM_CREATE_VCPU, NULL));
	vcpu = vlbr_file(fd);
	cpuids->head.nent = CPUID_ENTRIES;
	have(ask(&device, KVM_GET_SUPPORTED_CPUID, cpuids));
	have(ask(vcpu, KVM_SET_CPUID2, cpuids));
	vlbr_free(cpuids);
	if (perf_cap && !offersLbr(vlbr_file(vm), vcpu, perf_cap)) {
		become(prev);
		return -1;
	}
	if (!accepts(vcpu, MSR_IA32_APICBASE, X2APIC))
		vlbr_fail("APICBASE", X2APIC);
	setLapic(vcpu);
	have(ask(vcpu, KVM_SET_MP_STATE, &runnable));
	become(prev);
	return fd;
}

/* What a guest is told of LBR changes: of its records, or with CPUID of its whole PMU. */

EXPORT(vlbr_vcpu_take_lbr) bool vlbr_vcpu_take_lbr(int fd)
{
	return accepts(vlbr_file(fd), MSR_IA32_PERF_CAPABILITIES, 0);
}

EXPORT(vlbr_vcpu_take_pmu) bool vlbr_vcpu_take_pmu(int fd)
{
	struct cpuids *cpuids = vlbr_alloc(sizeof(*cpuids));
	struct file *vcpu = vlbr_file(fd);
	bool accepted;
	int i;

	cpuids->head.nent = CPUID_ENTRIES;
	have(ask(vcpu, KVM_GET_CPUID2, cpuids));
	for (i = 0; i < cpuids->head.nent; i++)
		if (cpuids->entries[i].function == 0xa)
			cpuids->entries[i].eax = 0;
	accepted = ask(vcpu, KVM_SET_CPUID2, cpuids) == 0;
	vlbr_free(cpuids);
	return accepted;
}

/* A file is closed; the VM is gone with the last one. */
EXPORT(vlbr_close_file) void vlbr_close_file(int fd)
{
	vlbr_release_file(fd);
}

/* Live migration: the MSRs that KVM lists are read, and written to another vCPU. */

#define MSRS_LISTED 512
static struct {
	struct kvm_msr_list head;
	u32 indices[MSRS_LISTED];
} list;
static u64 saved[MSRS_LISTED];
static bool is_saved[MSRS_LISTED];

EXPORT(vlbr_vcpu_save) void vlbr_vcpu_save(int fd)
{
	struct msrs msrs = { .head.nmsrs = 1 };
	int i;

	list.head.nmsrs = MSRS_LISTED;
	have(ask(&device, KVM_GET_MSR_INDEX_LIST, &list));
	for (i = 0; i < list.head.nmsrs; i++) {
		msrs.entries[0].index = list.indices[i];
		is_saved[i] = ask(vlbr_file(fd), KVM_GET_MSRS, &msrs) == 1;
		saved[i] = msrs.entries[0].data;
	}
}

EXPORT(vlbr_vcpu_restore) void vlbr_vcpu_restore(int fd)
{
	struct msrs msrs = { .head.nmsrs = 1 };
	int i;

	for (i = 0; i < list.head.nmsrs; i++) {
		if (!is_saved[i])
			continue;
		msrs.entries[0].index = list.indices[i];
		msrs.entries[0].data = saved[i];
		ask(vlbr_file(fd), KVM_SET_MSRS, &msrs);
	}
}

/* KVM_RUN, by the thread that runs. */
EXPORT(vlbr_vcpu_run) long vlbr_vcpu_run(int fd)
{
	return ask(vlbr_file(fd), KVM_RUN, NULL);
}

/*
 * What is to be seen of a vCPU: the event of its LBR, whether its MSRs pass, whose the registers of
 * its CPU are; counters' events.
 */

#define VIEW_COUNTERS 8
static struct {
	u32 lbr_event, msr_passthrough, global_ctrl, global_ctrl_high, registers;
	u32 counters[VIEW_COUNTERS];
} view;

#define ADDRESS(pointer) ((u32)(unsigned long)(pointer))

/* Where the event is, and the flag of the MSR bitmap: up to v8, v11 and v13, and since. */
#if defined(VLBR_PMU_LBR_USED)
#define LBR_EVENT(vcpu) vcpu_to_pmu(vcpu)->lbr_event
#define LBR_PASSES(vcpu) vcpu_to_pmu(vcpu)->lbr_used
#elif defined(VLBR_PMU_LBR_AVAILABLE)
#define LBR_EVENT(vcpu) vcpu_to_pmu(vcpu)->lbr_event
#define LBR_PASSES(vcpu) vcpu_to_pmu(vcpu)->lbr_already_available
#elif defined(VLBR_ALREADY_PASSTHROUGH)
#define LBR_EVENT(vcpu) to_vmx(vcpu)->lbr_desc.event
#define LBR_PASSES(vcpu) to_vmx(vcpu)->lbr_desc.already_passthrough
#elif defined(VLBR_VCPU_GUEST_LBR)
#define LBR_EVENT(vcpu) NULL
#define LBR_PASSES(vcpu) to_vmx(vcpu)->lbr_desc.msr_passthrough
#else
#define LBR_EVENT(vcpu) to_vmx(vcpu)->lbr_desc.event
#define LBR_PASSES(vcpu) to_vmx(vcpu)->lbr_desc.msr_passthrough
#endif

/* Without a guest's event: whether perf has put the vCPU's records into the registers. */
#define REGISTERS_BY_EVENT 0
#define REGISTERS_OF_OTHERS 1
#define REGISTERS_OF_GUEST 2

static u32 registersOf(struct kvm_vcpu *vcpu)
{
#ifdef VLBR_VCPU_GUEST_LBR
	struct x86_guest_lbr *guest = &to_vmx(vcpu)->lbr_desc.guest;
	bool isLoaded = vcpu->cpu >= 0 && per_cpu(cpu_hw_events, vcpu->cpu).guest_lbr == guest;

	return isLoaded ? REGISTERS_OF_GUEST : REGISTERS_OF_OTHERS;
#else
	return REGISTERS_BY_EVENT;
#endif
}

EXPORT(vlbr_vcpu_view) const void *vlbr_vcpu_view(int fd)
{
	struct kvm_vcpu *vcpu = vlbr_file(fd)->private_data;
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	int i;

	view.lbr_event = ADDRESS(LBR_EVENT(vcpu));
	view.msr_passthrough = LBR_PASSES(vcpu);
	view.global_ctrl = pmu->global_ctrl;
	view.global_ctrl_high = pmu->global_ctrl >> 32;
	view.registers = registersOf(vcpu);
	for (i = 0; i < VIEW_COUNTERS / 2; i++) {
		view.counters[i] = ADDRESS(pmu->gp_counters[i].perf_event);
		view.counters[VIEW_COUNTERS / 2 + i] =
			i < pmu->nr_arch_fixed_counters ? ADDRESS(pmu->fixed_counters[i].perf_event) : 0;
	}
	return &view;
}

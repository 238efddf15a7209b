/** What differs between trees, found in the text of their headers: never by a version. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KernelError } from '../errors.js';

/** A difference, as one header shows it. */
interface Feature {
  /** Defined for the C compiler where the pattern is found. */
  readonly macro: string;
  readonly header: string;
  readonly pattern: RegExp;
  /** The macro is defined where the pattern is not found. */
  readonly unless?: true;
}

const ATOMIC = 'include/asm-generic/atomic.h';
const CLOCK = 'include/linux/sched/clock.h';
const HRTIMER = 'include/linux/hrtimer.h';
const KVM_HOST = 'arch/x86/include/asm/kvm_host.h';
const PERF = 'include/linux/perf_event.h';
const X86_PERF = 'arch/x86/events/perf_event.h';
const SCHED = 'include/linux/sched.h';
const SPINLOCK = 'include/asm-generic/spinlock.h';
const UACCESS = 'include/asm-generic/uaccess.h';

/** From old to new. */
const FEATURES: readonly Feature[] = [
  // In 5.9, not in 5.10: a thread has a limit of the addresses of users.
  {
    macro: 'VLBR_ADDR_LIMIT',
    header: UACCESS,
    pattern: /^(?![^]*\bCONFIG_SET_FS\b)[^]*\baddr_limit\b/,
  },
  // In 5.9 and 5.12: all CPUs have one PMU. Android's 5.10 asks for that of a CPU, as 6.1 does.
  {
    macro: 'VLBR_ONE_PMU',
    header: X86_PERF,
    pattern: /\bx86_get_pmu\(void\)/,
  },
  // In 5.3, not in 5.7: two types of an identifier.
  {
    macro: 'VLBR_KERNFS_ID_UNION',
    header: 'include/linux/kernfs.h',
    pattern: /^union kernfs_node_id\b/m,
  },
  {
    macro: 'VLBR_COND_MASK_GFP',
    header: 'include/linux/smp.h',
    pattern: /\bon_each_cpu_cond_mask\([^;]*\bgfp_t\b/,
  },
  // In v8; in v10: a flag tells that a guest's event has the LBR.
  { macro: 'VLBR_VCPU_LBR', header: X86_PERF, pattern: /^\tu8\s+vcpu_lbr;/m },
  {
    macro: 'VLBR_GUEST_LBR_ENABLED',
    header: X86_PERF,
    pattern: /^\tint\s+guest_lbr_enabled;/m,
  },
  // In docs/patches: perf puts a guest's records into the registers, and takes them out.
  {
    macro: 'VLBR_GUEST_LBR_LOADED',
    header: X86_PERF,
    pattern: /^\tstruct x86_guest_lbr\s+\*guest_lbr;/m,
  },
  // In 5.7, not in 5.9.
  {
    macro: 'VLBR_NO_TASK_CONTEXT_OPT',
    header: X86_PERF,
    pattern: /^struct x86_perf_task_context_opt\b/m,
    unless: true,
  },
  // In 5.10 and 5.11: which CPUs have events whose stack perf saves, it counts by PMU alone.
  {
    macro: 'VLBR_NO_SCHED_CB_USAGES',
    header: 'kernel/events/core.c',
    pattern: /\bperf_sched_cb_usages\b/,
    unless: true,
  },
  { macro: 'VLBR_ON_EACH_CPU', header: 'include/linux/smp.h', pattern: /^void on_each_cpu\(/m },
  // In 5.12, not in 6.1, as are those after it: the generic operations have no `arch_`.
  { macro: 'VLBR_PLAIN_ATOMICS', header: ATOMIC, pattern: /\barch_atomic_/, unless: true },
  // There is no generic spinlock but the queued one.
  { macro: 'VLBR_QUEUED_SPINLOCK', header: SPINLOCK, pattern: /^#error\b/m },
  {
    macro: 'VLBR_INIT_TASK_WITHOUT_FLAGS',
    header: PERF,
    pattern: /\bperf_event_init_task\([^)]*\bclone_flags\b/,
    unless: true,
  },
  {
    macro: 'VLBR_NO_BRANCH_SNAPSHOT',
    header: PERF,
    pattern: /\bperf_snapshot_branch_stack\b/,
    unless: true,
  },
  { macro: 'VLBR_GUEST_CONTEXT', header: PERF, pattern: /\bperf_load_guest_context\b/ },
  { macro: 'VLBR_PERF_GUEST_STATE', header: PERF, pattern: /\b__perf_guest_state\b/ },
  {
    macro: 'VLBR_KMALLOC_BY_CACHE',
    header: 'include/linux/slab.h',
    pattern: /\bkmem_cache_alloc_trace\(/,
  },
  { macro: 'VLBR_TASK_HAS_CPU', header: SCHED, pattern: /\bREAD_ONCE\(p->cpu\)/ },
  {
    macro: 'VLBR_PMU_CPU_CONTEXT',
    header: PERF,
    pattern: /perf_cpu_context __percpu \*pmu_cpu_context;/,
  },
  {
    macro: 'VLBR_CPU_PMU_CONTEXT_POINTER',
    header: PERF,
    pattern: /perf_cpu_pmu_context \* __percpu \*cpu_pmu_context;/,
  },
  {
    macro: 'VLBR_CGROUP_ANCESTOR_IDS',
    header: 'include/linux/cgroup-defs.h',
    pattern: /\bancestor_ids\[\]/,
  },
  { macro: 'VLBR_FDGET', header: 'include/linux/file.h', pattern: /^struct fd fdget\(/m },
  { macro: 'VLBR_HRTIMER_SETUP', header: HRTIMER, pattern: /^extern void hrtimer_setup\(/m },
  {
    macro: 'VLBR_HRTIMER_CB_GET_TIME',
    header: HRTIMER,
    pattern: /^ktime_t hrtimer_cb_get_time\(/m,
  },
  {
    macro: 'VLBR_MUTEX_INIT_GENERIC',
    header: 'include/linux/mutex.h',
    pattern: /\bmutex_init_generic\(/,
  },
  {
    macro: 'VLBR_INLINE_SCHED_CLOCK_STABLE',
    header: CLOCK,
    pattern: /static .*\bsched_clock_stable\(/,
  },
];

/** What differs between trees for c/kvm. */
const KVM_FEATURES: readonly Feature[] = [
  // In 5.3, not in 5.7: whether VMREAD has failed nobody looks.
  {
    macro: 'VLBR_VMREAD_UNCHECKED',
    header: 'arch/x86/kvm/vmx/ops.h',
    pattern: /^#define __ex_clear\(/m,
  },
  // Up to 5.15, as the next two; in 5.11 only vmx.c declares it.
  {
    macro: 'VLBR_VCPU_RUN_LAUNCHED',
    header: 'arch/x86/kvm/vmx/vmx.h',
    pattern: /__vmx_vcpu_run\([^)]*\bunsigned int flags\b/,
    unless: true,
  },
  {
    macro: 'VLBR_FPU_GUEST',
    header: 'arch/x86/include/asm/fpu/types.h',
    pattern: /^struct fpu_guest\b/m,
  },
  { macro: 'VLBR_MMU_ROOT_HPA', header: KVM_HOST, pattern: /^\thpa_t root_hpa;/m },
  // Up to 5.11: a function. Up to 5.8 KVM makes room for another thread by it.
  {
    macro: 'VLBR_COND_RESCHED',
    header: SCHED,
    pattern: /^extern int _cond_resched\(void\);/m,
  },
  // In 5.9 to 6.1.
  {
    macro: 'VLBR_ZERO_PFN',
    header: 'include/linux/pgtable.h',
    pattern: /\bextern unsigned long zero_pfn;/,
  },
  {
    macro: 'VLBR_VCPU_RUN_REGISTERS',
    header: 'arch/x86/kvm/vmx/vmx.h',
    pattern: /__vmx_vcpu_run\([^)]*\bregs\b/,
  },
  {
    macro: 'VLBR_WALK_MMU',
    header: KVM_HOST,
    pattern: /\bstruct kvm_mmu \*walk_mmu;/,
  },
  // In v8; in v10; up to v13: the flag of the MSR bitmap has other names.
  { macro: 'VLBR_PMU_LBR_USED', header: KVM_HOST, pattern: /^\tbool lbr_used;/m },
  { macro: 'VLBR_PMU_LBR_AVAILABLE', header: KVM_HOST, pattern: /^\tbool lbr_already_available;/m },
  {
    macro: 'VLBR_ALREADY_PASSTHROUGH',
    header: 'arch/x86/kvm/vmx/vmx.h',
    pattern: /\bbool already_passthrough;/,
  },
  // In docs/patches: each vCPU has what perf puts into the registers, and no event.
  {
    macro: 'VLBR_VCPU_GUEST_LBR',
    header: 'arch/x86/kvm/vmx/pmu_intel.h',
    pattern: /^\tstruct x86_guest_lbr guest;/m,
  },
  {
    macro: 'VLBR_STATIC_CALL_APIC',
    header: 'arch/x86/include/asm/apic.h',
    pattern: /\bapic_call_send_IPI_mask\b/,
  },
];

/** The text of a file of a tree, or an empty one. */
export function textOf(tree: string, path: string): string {
  const file = join(tree, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** @throws KernelError when the tree does not have the file. */
function needed(tree: string, path: string): string {
  const text = textOf(tree, path);
  if (text === '') throw new KernelError(`${tree}: ${path} is missing; is this a whole tree?`);
  return text;
}

/** Whether a header has it. */
function shows({ pattern, unless }: Feature, header: string): boolean {
  return pattern.test(header) !== (unless ?? false);
}

/** The macros for a tree, each as it stands behind `#define`. */
export function features(tree: string): readonly string[] {
  const smp = needed(tree, 'include/linux/smp.h').replace(/\s+/g, ' ');
  const waitsByBool = /smp_call_function_single\([^)]*bool wait\)/.test(smp);
  const highmem = textOf(tree, 'include/linux/highmem.h') + textOf(tree, 'include/linux/mm.h');
  const found = FEATURES.filter((feature) => shows(feature, needed(tree, feature.header)));
  return [
    `VLBR_IPI_WAIT ${waitsByBool ? 'bool' : 'int'}`,
    `VLBR_TASK_DATA_${taskDataOf(tree)}`,
    ...found.map(({ macro }) => macro),
    ...(/static inline .*\bclear_user_page\(/.test(highmem) ? ['VLBR_INLINE_CLEAR_USER_PAGE'] : []),
  ];
}

/** The macros for the files of KVM; a tree need not have those. */
export function kvmFeatures(tree: string): readonly string[] {
  return KVM_FEATURES.filter((feature) => shows(feature, textOf(tree, feature.header))).map(
    ({ macro }) => macro,
  );
}

/** Where a task keeps the records that were saved for it. */
type TaskData = 'perf_ctx_data' | 'perf_event_pmu_context' | 'perf_event_context';

/** Newest first. */
function taskDataOf(tree: string): TaskData {
  const sched = needed(tree, SCHED);
  if (/\bperf_ctx_data\b/.test(sched)) return 'perf_ctx_data';
  return /\bperf_event_ctxp\[/.test(sched) ? 'perf_event_context' : 'perf_event_pmu_context';
}

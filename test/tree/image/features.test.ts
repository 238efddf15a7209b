/** What differs between trees, as the texts of headers show it. The texts are written for this. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { folderOf } from '../../../src/tree/image/build.js';
import { imageVersions } from '../../rig/images.js';
import { features, kvmFeatures } from '../../../src/tree/image/features.js';
import { filesOf, TREE_FILES } from '../../../src/tree/image/sources.js';

const ROOT = mkdtempSync(join(tmpdir(), 'vlbr-features-'));
afterAll(() => rmSync(ROOT, { recursive: true }));

let trees = 0;

/** A tree of a few headers, by their paths. */
function treeOf(texts: Readonly<Record<string, string>>): string {
  const tree = join(ROOT, String(trees++));
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), text);
  }
  return tree;
}

const SMP =
  'int smp_call_function_single(int cpu, f func, void *info, int wait);\n' +
  'void on_each_cpu_cond_mask(g cond, f func, void *info, bool wait, const m *mask);\n';

const PERF = 'arch/x86/events/perf_event.h';

/** A tree as 6.1, as far as its headers tell it from others. */
const NEW: Readonly<Record<string, string>> = {
  'arch/x86/events/perf_event.h':
    'struct pmu *x86_get_pmu(unsigned int cpu);\nstruct x86_perf_task_context_opt {\n};\n',
  'include/asm-generic/atomic.h': '#define A(op) static inline void arch_atomic_##op(void)\n',
  'include/asm-generic/spinlock.h': 'static inline void arch_spin_lock(lock_t *l)\n{\n}\n',
  'include/asm-generic/uaccess.h': '#include <linux/string.h>\n',
  'include/linux/cpumask.h': 'static inline\nunsigned int cpumask_next(int n, const m *s)\n{\n}\n',
  'include/linux/cgroup-defs.h': '\tstruct cgroup *ancestors[];\n',
  'include/linux/file.h': 'extern unsigned long __fdget(unsigned int fd);\n',
  'include/linux/hrtimer.h': 'extern void hrtimer_init(struct hrtimer *t);\n',
  'include/linux/kernfs.h': 'struct kernfs_node {\n\tu64 id;\n};\n',
  'include/linux/mutex.h': 'void __mutex_init(struct mutex *m);\n',
  'include/linux/perf_event.h':
    'int perf_event_init_task(struct task_struct *child, u64 clone_flags);\n' +
    'DECLARE_STATIC_CALL(perf_snapshot_branch_stack, f);\n',
  'include/linux/sched.h': '\treturn READ_ONCE(task_thread_info(p)->cpu);\n',
  'include/linux/sched/clock.h': 'int sched_clock_stable(void);\n',
  'include/linux/slab.h': 'void *kmalloc_trace(struct kmem_cache *s);\n',
  'include/linux/smp.h': SMP,
  'kernel/events/core.c': 'static DEFINE_PER_CPU(int, perf_sched_cb_usages);\n',
};

/** A macro, and the text of a header of an older or newer tree that asks for it. */
const OLD: readonly (readonly [macro: string, header: string, text: string])[] = [
  ['VLBR_ADDR_LIMIT', 'include/asm-generic/uaccess.h', '#define f() (g()->addr_limit)\n'],
  [
    'VLBR_ONE_PMU',
    PERF,
    'struct pmu *x86_get_pmu(void);\nstruct x86_perf_task_context_opt {\n};\n',
  ],
  ['VLBR_KERNFS_ID_UNION', 'include/linux/kernfs.h', 'union kernfs_node_id {\n};\n'],
  ['VLBR_COND_MASK_GFP', 'include/linux/smp.h', `${SMP.slice(0, -3)}, gfp_t flags);\n`],
  [
    'VLBR_VCPU_LBR',
    PERF,
    'struct x86_perf_task_context_opt {\n};\nstruct cpu_hw_events {\n\tu8\t\t\tvcpu_lbr;\n',
  ],
  [
    'VLBR_GUEST_LBR_ENABLED',
    PERF,
    'struct x86_perf_task_context_opt {\n};\nstruct h {\n\tint\t\tguest_lbr_enabled;\n',
  ],
  [
    'VLBR_GUEST_LBR_LOADED',
    PERF,
    'struct x86_perf_task_context_opt {\n};\nstruct h {\n\tstruct x86_guest_lbr\t*guest_lbr;\n',
  ],
  ['VLBR_NO_TASK_CONTEXT_OPT', PERF, 'struct pmu *x86_get_pmu(unsigned int cpu);\n'],
  ['VLBR_NO_SCHED_CB_USAGES', 'kernel/events/core.c', 'static DEFINE_PER_CPU(int, a);\n'],
  ['VLBR_ON_EACH_CPU', 'include/linux/smp.h', `${SMP}void on_each_cpu(f func, void *info);\n`],
  ['VLBR_PLAIN_ATOMICS', 'include/asm-generic/atomic.h', 'static inline void atomic_a(void)\n'],
  ['VLBR_QUEUED_SPINLOCK', 'include/asm-generic/spinlock.h', '#error an own one is needed\n'],
  [
    'VLBR_INIT_TASK_WITHOUT_FLAGS',
    'include/linux/perf_event.h',
    'int perf_event_init_task(struct task_struct *child);\nint perf_snapshot_branch_stack;\n',
  ],
  [
    'VLBR_NO_BRANCH_SNAPSHOT',
    'include/linux/perf_event.h',
    'int perf_event_init_task(struct task_struct *child, u64 clone_flags);\n',
  ],
  ['VLBR_CGROUP_ANCESTOR_IDS', 'include/linux/cgroup-defs.h', '\tu64 ancestor_ids[];\n'],
  ['VLBR_FDGET', 'include/linux/file.h', 'struct fd fdget(unsigned int fd);\n'],
  ['VLBR_KMALLOC_BY_CACHE', 'include/linux/slab.h', 'void *kmem_cache_alloc_trace(int a);\n'],
  ['VLBR_TASK_HAS_CPU', 'include/linux/sched.h', '\treturn READ_ONCE(p->cpu);\n'],
];

const FIRST = ['VLBR_IPI_WAIT int', 'VLBR_TASK_DATA_perf_event_pmu_context'];

describe('the features of a tree', () => {
  it('has none of those of other trees where the headers are those of 6.1', () => {
    expect(features(treeOf(NEW))).toEqual(FIRST);
  });
  it.each(OLD)('%s is defined by the text of one header', (macro, header, text) => {
    expect(features(treeOf({ ...NEW, [header]: text }))).toEqual([...FIRST, macro]);
  });
  it('never has a limit of addresses where a configuration can leave it out', () => {
    const text = '#ifdef CONFIG_SET_FS\n#define f() (g()->addr_limit)\n#endif\n';
    const tree = treeOf({ ...NEW, 'include/asm-generic/uaccess.h': text });
    expect(features(tree)).toEqual(FIRST);
  });
  it('never takes a generic spinlock in a header of its own for the queued one', () => {
    const text = '#ifdef A\n#include "q.h"\n#else\n#include "ticket.h"\n#endif\n';
    const tree = treeOf({ ...NEW, 'include/asm-generic/spinlock.h': text });
    expect(features(tree)).toEqual(FIRST);
  });
});

/** What of 6.1 tells its KVM from others. */
const KVM_NEW: Readonly<Record<string, string>> = {
  'arch/x86/include/asm/apic.h': 'extern struct apic *apic;\n',
  'arch/x86/include/asm/fpu/types.h': 'struct fpu_guest {\n};\n',
  'arch/x86/include/asm/kvm_host.h': '\tstruct kvm_mmu_root_info root;\n',
  'arch/x86/kvm/vmx/vmx.h':
    'bool __vmx_vcpu_run(struct vcpu_vmx *vmx, unsigned long *r,\n\t\t    unsigned int flags);\n' +
    '\tbool msr_passthrough;\n',
  'include/linux/pgtable.h': '#define zero_pfn(addr) 0\n',
  'include/linux/sched.h': 'extern int __cond_resched(void);\n',
};

const RUN = KVM_NEW['arch/x86/kvm/vmx/vmx.h'];
const KVM_HOST = 'arch/x86/include/asm/kvm_host.h';

/** The same of KVM. Up to v8, up to v11 and up to v13 say which of the posted series they are. */
const KVM_OLD: readonly (readonly [macro: string, header: string, text: string])[] = [
  ['VLBR_VMREAD_UNCHECKED', 'arch/x86/kvm/vmx/ops.h', '#define __ex_clear(x, reg) x\n'],
  [
    'VLBR_VCPU_RUN_LAUNCHED',
    'arch/x86/kvm/vmx/vmx.h',
    'bool __vmx_vcpu_run(struct vcpu_vmx *vmx, unsigned long *r, bool launched);\n',
  ],
  ['VLBR_MMU_ROOT_HPA', KVM_HOST, '\thpa_t root_hpa;\n'],
  ['VLBR_COND_RESCHED', 'include/linux/sched.h', 'extern int _cond_resched(void);\n'],
  ['VLBR_ZERO_PFN', 'include/linux/pgtable.h', '\textern unsigned long zero_pfn;\n'],
  ['VLBR_WALK_MMU', KVM_HOST, '\tstruct kvm_mmu *walk_mmu;\n'],
  ['VLBR_PMU_LBR_USED', KVM_HOST, '\tbool lbr_used;\n'],
  ['VLBR_PMU_LBR_AVAILABLE', KVM_HOST, '\tbool lbr_already_available;\n'],
  ['VLBR_ALREADY_PASSTHROUGH', 'arch/x86/kvm/vmx/vmx.h', `${RUN}\tbool already_passthrough;\n`],
  ['VLBR_VCPU_GUEST_LBR', 'arch/x86/kvm/vmx/pmu_intel.h', '\tstruct x86_guest_lbr guest;\n'],
];

describe("the features of a tree's KVM", () => {
  it('has a state of the FPU for guests, and none of those of others', () => {
    expect(kvmFeatures(treeOf(KVM_NEW))).toEqual(['VLBR_FPU_GUEST']);
  });
  it('has no such state where there is no such type', () => {
    const text = 'struct fpu {\n};\n';
    const tree = treeOf({ ...KVM_NEW, 'arch/x86/include/asm/fpu/types.h': text });
    expect(kvmFeatures(tree)).toEqual([]);
  });
  it.each(KVM_OLD)('%s is defined by the text of one header', (macro, header, text) => {
    const found = kvmFeatures(treeOf({ ...KVM_NEW, [header]: text }));
    expect(found.toSorted()).toEqual(['VLBR_FPU_GUEST', macro].toSorted());
  });
});

describe.skipIf(imageVersions('6.1').length === 0)('the build of a tree', () => {
  it('lies elsewhere once a header asks for other features', async () => {
    const tree = treeOf(NEW);
    const before = await folderOf(tree, ROOT, {});
    expect(await folderOf(tree, ROOT, {})).toBe(before);
    const [, header, text] = OLD[0];
    writeFileSync(join(tree, header), text);
    expect(await folderOf(tree, ROOT, {})).not.toBe(before);
  });
});

describe('the files of a tree', () => {
  const lbr = 'arch/x86/events/intel/lbr.c';

  it('are the same for every tree from 6.1 on', () => {
    expect(filesOf(treeOf({ ...NEW, [lbr]: 'branch_type(1, 2, 3);\n' }))).toEqual(TREE_FILES);
  });
  it('lack utils.c where lbr.c decodes branches by itself', () => {
    const tree = treeOf({ ...NEW, [lbr]: 'static int branch_type(int a)\n{\n}\n' });
    const files = TREE_FILES.filter((file) => file !== 'arch/x86/events/utils.c');
    expect(files).toHaveLength(TREE_FILES.length - 1);
    expect(filesOf(tree)).toEqual(files);
  });
  it('have the loops over CPUs where these are no inline functions', () => {
    const header = 'unsigned int cpumask_next(int n, const struct m *srcp);\n';
    const tree = treeOf({ ...NEW, 'include/linux/cpumask.h': header });
    expect(filesOf(tree)).toEqual([...TREE_FILES, 'lib/cpumask.c']);
  });
});

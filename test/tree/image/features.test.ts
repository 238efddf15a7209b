/** What differs between trees, as the texts of headers show it. The texts are written for this. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { folderOf } from '../../../src/tree/image/build.js';
import { imageVersions } from '../../rig/images.js';
import { features } from '../../../src/tree/image/features.js';
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

/** A tree as 6.1, as far as its headers tell it from others. */
const NEW: Readonly<Record<string, string>> = {
  'arch/x86/events/perf_event.h': 'struct pmu *x86_get_pmu(unsigned int cpu);\n',
  'include/asm-generic/atomic.h': '#define A(op) static inline void arch_atomic_##op(void)\n',
  'include/asm-generic/spinlock.h': 'static inline void arch_spin_lock(lock_t *l)\n{\n}\n',
  'include/asm-generic/uaccess.h': '#include <linux/string.h>\n',
  'include/linux/cpumask.h': 'static inline\nunsigned int cpumask_next(int n, const m *s)\n{\n}\n',
  'include/linux/cgroup-defs.h': '\tstruct cgroup *ancestors[];\n',
  'include/linux/file.h': 'extern unsigned long __fdget(unsigned int fd);\n',
  'include/linux/hrtimer.h': 'extern void hrtimer_init(struct hrtimer *t);\n',
  'include/linux/mutex.h': 'void __mutex_init(struct mutex *m);\n',
  'include/linux/perf_event.h':
    'int perf_event_init_task(struct task_struct *child, u64 clone_flags);\n' +
    'DECLARE_STATIC_CALL(perf_snapshot_branch_stack, f);\n',
  'include/linux/sched.h': '\treturn READ_ONCE(task_thread_info(p)->cpu);\n',
  'include/linux/sched/clock.h': 'int sched_clock_stable(void);\n',
  'include/linux/slab.h': 'void *kmalloc_trace(struct kmem_cache *s);\n',
  'include/linux/smp.h': 'int smp_call_function_single(int cpu, f func, void *info, int wait);\n',
};

/** A macro, and the text of a header of an older or newer tree that asks for it. */
const OLD: readonly (readonly [macro: string, header: string, text: string])[] = [
  ['VLBR_ADDR_LIMIT', 'include/asm-generic/uaccess.h', '#define f() (g()->addr_limit)\n'],
  ['VLBR_ONE_PMU', 'arch/x86/events/perf_event.h', 'struct pmu *x86_get_pmu(void);\n'],
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

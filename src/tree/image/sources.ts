/** What of a kernel tree the image is made of, and what of the tree decides how. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KernelError } from '../errors.js';

/** It is compiled by way of c/events_core.c, which looks at what is static in it. */
export const CORE = 'kernel/events/core.c';

/** Files that are compiled whole; the last ones are there so that no line of theirs is ours. */
export const TREE_FILES: readonly string[] = [
  CORE,
  'kernel/events/callchain.c',
  'arch/x86/events/core.c',
  'arch/x86/events/utils.c',
  'arch/x86/events/probe.c',
  'arch/x86/events/intel/core.c',
  'arch/x86/events/intel/lbr.c',
  'arch/x86/events/intel/ds.c',
  'arch/x86/kernel/perf_regs.c',
  'arch/x86/lib/insn.c',
  'arch/x86/lib/inat.c',
  'arch/x86/lib/msr.c',
  'kernel/locking/spinlock.c',
  'lib/bitmap.c',
  'lib/find_bit.c',
  'lib/hweight.c',
  'lib/math/div64.c',
  'lib/rbtree.c',
  'lib/refcount.c',
];

/** Those that are compiled by themselves. */
export const ALONE: readonly string[] = TREE_FILES.filter((file) => file !== CORE);

/** Those of perf itself. */
export const PERF_FILES: readonly string[] = TREE_FILES.filter((file) => file.includes('/events/'));

/** With 32-bit longs, the kernel's own 64-bit atomics. */
export const TREE_FILES_32: readonly string[] = ['lib/atomic64.c'];

/** Folders of a tree that a build reads. */
export const TREE_FOLDERS: readonly string[] = ['arch/x86', 'include', 'kernel', 'lib'];

/** What of a tree is kept; the Makefile tells its version. */
export const TREE_PATHS: readonly string[] = [...TREE_FOLDERS, 'Makefile'];

/** Headers of arch/x86 that perf's files include without a use for anything in them. */
const EMPTY_HEADERS: readonly string[] = [
  'alternative.h',
  'asm.h',
  'cpu.h',
  'desc_defs.h',
  'fpu/api.h',
  'sigcontext.h',
  'tdx.h',
  'uprobes.h',
  'vmalloc.h',
];

/** Generic headers in whose place arch/x86 has one that serves as it is. */
const OWN_HEADERS: ReadonlySet<string> = new Set(['hyperv-tlfs.h', 'kvm_types.h']);

function read(tree: string, path: string): string {
  const file = join(tree, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

/** @throws KernelError when the tree does not have the file. */
function needed(tree: string, path: string): string {
  const text = read(tree, path);
  if (text === '') throw new KernelError(`${tree}: ${path} is missing; is this a whole tree?`);
  return text;
}

/** Macros for what differs between trees, found in the text of headers: never by a version. */
export function features(tree: string): readonly string[] {
  const smp = needed(tree, 'include/linux/smp.h').replace(/\s+/g, ' ');
  const clock = needed(tree, 'include/linux/sched/clock.h');
  const highmem = read(tree, 'include/linux/highmem.h') + read(tree, 'include/linux/mm.h');
  const mutex = needed(tree, 'include/linux/mutex.h');
  const file = needed(tree, 'include/linux/file.h');
  const hrtimer = needed(tree, 'include/linux/hrtimer.h');
  const perf = needed(tree, 'include/linux/perf_event.h');
  const cgroup = read(tree, 'include/linux/cgroup-defs.h');
  const waitsByBool = /smp_call_function_single\([^)]*bool wait\)/.test(smp);
  return [
    `VLBR_IPI_WAIT ${waitsByBool ? 'bool' : 'int'}`,
    `VLBR_TASK_DATA_${taskDataOf(tree)}`,
    ...(/perf_cpu_context __percpu \*pmu_cpu_context;/.test(perf) ? ['VLBR_PMU_CPU_CONTEXT'] : []),
    ...(/perf_cpu_pmu_context \* __percpu \*cpu_pmu_context;/.test(perf)
      ? ['VLBR_CPU_PMU_CONTEXT_POINTER']
      : []),
    ...(/\bancestor_ids\[\]/.test(cgroup) ? ['VLBR_CGROUP_ANCESTOR_IDS'] : []),
    ...(/^struct fd fdget\(/m.test(file) ? ['VLBR_FDGET'] : []),
    ...(/^extern void hrtimer_setup\(/m.test(hrtimer) ? ['VLBR_HRTIMER_SETUP'] : []),
    ...(/^ktime_t hrtimer_cb_get_time\(/m.test(hrtimer) ? ['VLBR_HRTIMER_CB_GET_TIME'] : []),
    ...(/\bmutex_init_generic\(/.test(mutex) ? ['VLBR_MUTEX_INIT_GENERIC'] : []),
    ...(/static inline .*\bclear_user_page\(/.test(highmem) ? ['VLBR_INLINE_CLEAR_USER_PAGE'] : []),
    ...(/static .*\bsched_clock_stable\(/.test(clock) ? ['VLBR_INLINE_SCHED_CLOCK_STABLE'] : []),
  ];
}

/** Where a task keeps the records that were saved for it. */
type TaskData = 'perf_ctx_data' | 'perf_event_pmu_context' | 'perf_event_context';

/** Finds it in include/linux/sched.h: newest first. */
function taskDataOf(tree: string): TaskData {
  const sched = needed(tree, 'include/linux/sched.h');
  if (/\bperf_ctx_data\b/.test(sched)) return 'perf_ctx_data';
  return /\bperf_event_ctxp\[/.test(sched) ? 'perf_event_context' : 'perf_event_pmu_context';
}

function cpuidLeafs(tree: string): string {
  const folder = 'arch/x86/include/asm';
  const places = [`${folder}/cpufeature.h`, `${folder}/cpuid/types.h`, `${folder}/cpufeatures.h`];
  const texts = places.map((path) => read(tree, path));
  const found = texts.map((text) => /^enum cpuid_leafs\b[\s\S]*?^\};$/m.exec(text)?.[0]);
  return found.find((text) => text !== undefined) ?? 'enum cpuid_leafs { CPUID_NONE };';
}

/**
 * Writes the headers that are made from the tree into a folder: `asm/`, `vlbr_*.h`, and the tables
 * of the instruction decoder, which the tree's own script makes.
 *
 * @param shim - the folder of our own headers, which come before these.
 */
export function generate(tree: string, shim: string, folder: string): void {
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const header of EMPTY_HEADERS) put(`asm/${header}`, '');
  for (const generic of ['include/asm-generic', 'include/uapi/asm-generic']) {
    const names = existsSync(join(tree, generic)) ? readdirSync(join(tree, generic)) : [];
    for (const name of names) {
      const ours = existsSync(join(shim, 'asm', name)) || EMPTY_HEADERS.includes(name);
      const kvm = generic.includes('uapi') && name.startsWith('kvm');
      if (!name.endsWith('.h') || ours || kvm || OWN_HEADERS.has(name)) continue;
      put(`asm/${name}`, `#include <asm-generic/${name}>\n`);
    }
  }
  const macros = features(tree).map((macro) => `#define ${macro}\n`);
  put('vlbr_features.h', macros.join(''));
  put('cpuid_leafs.h', `${cpuidLeafs(tree)}\n`);
  put('inat-tables.c', inatTables(tree));
}

function inatTables(tree: string): string {
  const script = join(tree, 'arch/x86/tools/gen-insn-attr-x86.awk');
  const map = join(tree, 'arch/x86/lib/x86-opcode-map.txt');
  try {
    return execFileSync('awk', ['-f', script, map], { encoding: 'utf8', maxBuffer: 1 << 24 });
  } catch {
    throw new KernelError(`${tree}: awk can't run arch/x86/tools/gen-insn-attr-x86.awk`);
  }
}

/** What of a kernel tree the image is made of, and what of the tree decides how. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KernelError } from '../errors.js';
import { features, kvmFeatures, textOf } from './features.js';

/** It is compiled by way of c/events_core.c, which looks at what is static in it. */
export const CORE = 'kernel/events/core.c';

const LBR = 'arch/x86/events/intel/lbr.c';

/** Loops over CPUs, which are inline functions in 6.1, and were not in 5.12. */
const CPUMASK = 'lib/cpumask.c';

/** The decoder of branches, which was part of lbr.c before 6.1. */
const UTILS = 'arch/x86/events/utils.c';

/** Files that are compiled whole; the last ones are there so that no line of theirs is ours. */
export const TREE_FILES: readonly string[] = [
  CORE,
  'kernel/events/callchain.c',
  'arch/x86/events/core.c',
  UTILS,
  'arch/x86/events/probe.c',
  'arch/x86/events/intel/core.c',
  LBR,
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

/** Those that a tree is to have. */
export function filesOf(tree: string): readonly string[] {
  const decodes = /^static int branch_type\(/m.test(textOf(tree, LBR));
  const files = decodes ? TREE_FILES.filter((file) => file !== UTILS) : TREE_FILES;
  const outOfLine = /^unsigned int cpumask_next\([^)]*\);/m.test(
    textOf(tree, 'include/linux/cpumask.h'),
  );
  return outOfLine ? [...files, CPUMASK] : files;
}

/** Those that are compiled by themselves. */
export function alone(tree: string): readonly string[] {
  return filesOf(tree).filter((file) => file !== CORE);
}

const KVM = 'arch/x86/kvm';

/** Those of KVM's PMU. */
export const KVM_PMU_FILES: readonly string[] = [`${KVM}/pmu.c`, `${KVM}/vmx/pmu_intel.c`];

/** Files of KVM that are compiled whole, with what they call of lib/; a tree may lack the last. */
const KVM_FILES: readonly string[] = [
  ...KVM_PMU_FILES,
  `${KVM}/vmx/vmx.c`,
  `${KVM}/vmx/nested.c`,
  `${KVM}/vmx/vmcs12.c`,
  `${KVM}/x86.c`,
  `${KVM}/cpuid.c`,
  `${KVM}/irq.c`,
  `${KVM}/lapic.c`,
  `${KVM}/mtrr.c`,
  'virt/kvm/kvm_main.c',
  'lib/bsearch.c',
  'lib/interval_tree.c',
  'lib/radix-tree.c',
  'lib/sort.c',
  'lib/xarray.c',
  // Up to 6.2.
  `${KVM}/vmx/evmcs.c`,
  // Up to 6.12: how an interrupt finds its APIC, in lapic.c since.
  `${KVM}/irq_comm.c`,
  // Since 6.12, 6.12 and 7.3: parts of x86.c and vmx.c.
  `${KVM}/vmx/main.c`,
  `${KVM}/regs.c`,
  `${KVM}/msrs.c`,
  // The way back into the guest, before 6.18 and since.
  'kernel/entry/kvm.c',
  'kernel/entry/virt.c',
];

const MAY_LACK: ReadonlySet<string> = new Set(KVM_FILES.slice(KVM_FILES.indexOf('lib/xarray.c')));

/** Those of KVM's files that a tree is to have. */
export function kvmFilesOf(tree: string): readonly string[] {
  return KVM_FILES.filter((file) => !MAY_LACK.has(file) || existsSync(join(tree, file)));
}

/** Those of perf itself. */
export const PERF_FILES: readonly string[] = TREE_FILES.filter((file) => file.includes('/events/'));

/** With 32-bit longs, the kernel's own 64-bit atomics. */
export const TREE_FILES_32: readonly string[] = ['lib/atomic64.c'];

/** Folders of a tree that a build reads; `virt` is read with KVM alone. */
export const TREE_FOLDERS: readonly string[] = ['arch/x86', 'include', 'kernel', 'lib', 'virt'];

/** What of a tree is kept; the Makefile tells its version. */
export const TREE_PATHS: readonly string[] = [...TREE_FOLDERS, 'Makefile'];

const INAT_SCRIPT = 'arch/x86/tools/gen-insn-attr-x86.awk';
const INAT_MAP = 'arch/x86/lib/x86-opcode-map.txt';

/** Files of a tree that its image is made of, and that no compiler reads. */
export const GENERATED_FROM: readonly string[] = [INAT_SCRIPT, INAT_MAP, 'Makefile'];

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

function cpuidLeafs(tree: string): string {
  const folder = 'arch/x86/include/asm';
  const places = [`${folder}/cpufeature.h`, `${folder}/cpuid/types.h`, `${folder}/cpufeatures.h`];
  const texts = places.map((path) => textOf(tree, path));
  const found = texts.map((text) => /^enum cpuid_leafs\b[\s\S]*?^\};$/m.exec(text)?.[0]);
  return found.find((text) => text !== undefined) ?? 'enum cpuid_leafs { CPUID_NONE };';
}

/** Everything that the headers which are made from the tree depend on besides its files. */
export function generatedKey(tree: string): string {
  return JSON.stringify([features(tree), kvmFeatures(tree), EMPTY_HEADERS, [...OWN_HEADERS]]);
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
  put(
    'vlbr_kvm_features.h',
    kvmFeatures(tree)
      .map((macro) => `#define ${macro}\n`)
      .join(''),
  );
  put('cpuid_leafs.h', `${cpuidLeafs(tree)}\n`);
  put('inat-tables.c', inatTables(tree));
}

function inatTables(tree: string): string {
  const args = ['-f', join(tree, INAT_SCRIPT), join(tree, INAT_MAP)];
  try {
    return execFileSync('awk', args, { encoding: 'utf8', maxBuffer: 1 << 24 });
  } catch {
    throw new KernelError(`${tree}: awk can't run ${INAT_SCRIPT}`);
  }
}

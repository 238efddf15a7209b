/**
 * What of a kernel is not compiled and has a stand-in in c/kvm: the text that each stands for is
 * the one that was read when it was written. A new tree, or a change of one, is read again.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openTree } from '../../../src/tree/image/tree.js';
import { CACHE, imageVersions, tarOf } from '../../rig/images.js';

const VERSIONS = ['6.1', '6.12', '7.2', '7.3'];

/** A file or a function of it, and the first digits of its SHA-256 in each version. */
type Glue = readonly [file: string, name: string | null, ...hashes: readonly string[]];

const FPU = 'arch/x86/kernel/fpu/core.c';
const SCHED = 'kernel/sched/core.c';
const VMX = 'arch/x86/kvm/vmx';

const GLUE: readonly Glue[] = [
  [`${VMX}/vmx_ops.h`, null, 'b17e8a2d79bb', '7e7cb37ceded', 'b506da0483a9', 'b506da0483a9'],
  [`${VMX}/vmenter.S`, null, '9c2da9e219ad', '958f4317174b', '51723a8c4dc0', '51723a8c4dc0'],
  [
    'arch/x86/kvm/mmu/mmu.c',
    'kvm_mmu_create',
    '7f91a0949e4f',
    'b58c048aa08a',
    'b58c048aa08a',
    'aa1c56f08ebd',
  ],
  [FPU, 'fpu_swap_kvm_fpstate', 'aac21777da53', 'aac21777da53', '2f448d9c0572', '2f448d9c0572'],
  [FPU, 'fpu_alloc_guest_fpstate', '6f0fd0e0b0a7', '6f0fd0e0b0a7', '0c9ac04e5847', '0c9ac04e5847'],
  [
    SCHED,
    'preempt_notifier_register',
    'b2ad10fff18c',
    'b2ad10fff18c',
    'b2ad10fff18c',
    'b2ad10fff18c',
  ],
  [
    SCHED,
    'preempt_notifier_unregister',
    'd3b74f5fb019',
    'd3b74f5fb019',
    'd3b74f5fb019',
    'd3b74f5fb019',
  ],
  [
    SCHED,
    '__fire_sched_in_preempt_notifiers',
    '2cf0850047e4',
    '2cf0850047e4',
    '2cf0850047e4',
    '2cf0850047e4',
  ],
  [
    SCHED,
    '__fire_sched_out_preempt_notifiers',
    '5ef43130c39e',
    '5ef43130c39e',
    '5ef43130c39e',
    '5ef43130c39e',
  ],
  [SCHED, 'prepare_task_switch', 'b812c467788f', 'b812c467788f', 'd7da04c8bfac', 'd7da04c8bfac'],
  [SCHED, 'finish_task_switch', '39395d17b024', 'fbd6c68907ac', '3e7e8e0237a4', '3e7e8e0237a4'],
];

/** A function from its type to its closing brace. */
function functionIn(text: string, name: string): string {
  const pattern = `^[^\\n;{}#/ *\\t][^;{}]*\\b${name}\\([^;{}]*\\)\\s*\\{[^]*?^\\}`;
  return new RegExp(pattern, 'm').exec(text)?.[0] ?? '';
}

describe.each(imageVersions(...VERSIONS))('what c/kvm stands for in Linux %s', (version) => {
  it('has not changed', { timeout: 120_000 }, async () => {
    const tree = await openTree(tarOf(version), CACHE);
    for (const [file, name, ...hashes] of GLUE) {
      const text = readFileSync(join(tree, file), 'utf8');
      const part = name === null ? text : functionIn(text, name);
      const hash = createHash('sha256').update(part).digest('hex').slice(0, 12);
      const what = `${file}: ${name ?? 'the whole file'}`;
      expect(`${what} ${hash}`).toBe(`${what} ${hashes[VERSIONS.indexOf(version)]}`);
    }
  });
});

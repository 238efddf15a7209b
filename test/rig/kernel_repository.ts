/** A repository with the files of a kernel of which its image is made, and a few commits. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBy } from '../../src/tree/image/build.js';
import { folderImage } from '../../src/tree/image/image.js';
import { GENERATED_FROM } from '../../src/tree/image/sources.js';
import { openTree } from '../../src/tree/image/tree.js';
import { CACHE, tarOf } from './images.js';
import { Repository } from './repository.js';

const LBR = 'arch/x86/events/intel/lbr.c';
const RBTREE = 'lib/rbtree.c';

/** The files of a kernel of which its image is made, by their paths. */
async function kernelFiles(version: string): Promise<Record<string, string>> {
  const tree = await openTree(tarOf(version), CACHE);
  await folderImage(tree, CACHE);
  const read = await readBy(tree, CACHE);
  const paths = new Set([...GENERATED_FROM, ...[...read.values()].flatMap((some) => [...some])]);
  const texts = [...paths].map((path) => [path, readFileSync(join(tree, path), 'utf8')] as const);
  return Object.fromEntries(texts);
}

/** The text with a piece replaced, which must be in it. */
function edited(text: string, old: string, by: string): string {
  const changed = text.replace(old, () => by);
  if (changed === text) throw new Error(`the kernel has no ${old}`);
  return changed;
}

/** Hashes of the commits that a test names. */
export interface KernelHistory {
  readonly repository: Repository;
  /** Nothing is saved any more when a task leaves the CPU. */
  readonly culprit: string;
  /** Kernels that do not compile: one before `v2`, and two before `hidden`. */
  readonly halves: readonly string[];
  readonly hidden: string;
}

/**
 * Makes the repository. From `v1` to `v2` there are seven commits, of which five change what the
 * image is made of, one does not compile, and one is the culprit. From `v1` to `hidden` the culprit
 * does not compile either.
 */
export async function kernelHistory(folder: string, version: string): Promise<KernelHistory> {
  const repository = new Repository(folder);
  const files = await kernelFiles(version);
  const lbr = files[LBR];
  const base = { ...files, 'virt/README': 'no KVM\n', 'Documentation/a.rst': 'a\n' };
  repository.commit('Linux', base);
  repository.git('tag', 'v1');
  const worded = `${lbr}/* The end. */\n`;
  const broken = '#error half of a change\n';
  const lost = edited(worded, 'task_ctx = ctx ? ctx->task_ctx_data : NULL;', 'task_ctx = NULL;');
  repository.commit('docs: say more', { 'Documentation/a.rst': 'b\n' });
  const word = repository.commit('perf/x86/lbr: Reword a comment', { [LBR]: worded });
  const half = repository.commit('perf/x86/lbr: Half of a change', { [LBR]: worded + broken });
  repository.commit('perf/x86/lbr: The other half', { [LBR]: worded });
  const culprit = repository.commit('perf/x86/lbr: Save nothing', { [LBR]: lost });
  repository.commit('rbtree: Reword a comment', { [RBTREE]: `${files[RBTREE]}/* The end. */\n` });
  repository.commit('docs: say all', { 'Documentation/a.rst': 'c\n' });
  repository.git('tag', '-a', '-m', 'two', 'v2');
  repository.git('checkout', '-q', '-b', 'hidden', word);
  const first = repository.commit('perf/x86/lbr: Half of a change', { [LBR]: worded + broken });
  const both = repository.commit('perf/x86/lbr: Save nothing', { [LBR]: lost + broken });
  const hidden = repository.commit('perf/x86/lbr: The other half', { [LBR]: lost });
  return { repository, culprit, halves: [half, first, both], hidden };
}

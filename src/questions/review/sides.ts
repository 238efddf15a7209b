/** What a review compares: two trees, a tree with and without patches, or two files of lbr.c. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  codeOfImage,
  codeOfLbr,
  explained,
  explainedAsync,
  type KernelCode,
} from '../../console/kernel_source.js';
import { UsageError } from '../../console/errors.js';
import { buildKernel, cachedPath, cacheFolder } from '../../tree/build.js';
import { KernelError, NothingRuns, NotBuilt } from '../../tree/errors.js';
import { hasGcov } from '../../tree/gcov/gcov.js';
import { readBy } from '../../tree/image/build.js';
import { folderImage, type TreeImage } from '../../tree/image/image.js';
import { patchedTree } from '../../tree/image/patched.js';
import { openTree } from '../../tree/image/tree.js';
import { type Patch, type PatchFile, patchesIn } from '../../tree/mail.js';
import { patchLbr } from '../../tree/patch.js';
import { applySeries, seriesOf } from '../../tree/series.js';
import { installedKernel, kernelSource, readKernelSource } from '../../tree/source.js';
import { changedLines, type CountedTree, type LineNumbers } from './reached.js';
import type { KernelSource } from '../../tree/source.js';

/** One side: a kernel's code. */
export interface ReviewSide extends Pick<KernelCode, 'info' | 'driver'> {
  /** The path that `vlbr replay` takes as --kernel-src. */
  readonly path: string;
}

type BuiltSide = ReviewSide & KernelCode;

/** New text by path; null for a file that goes away. */
type ChangedFiles = ReadonlyMap<string, string | null>;

export interface Sides {
  readonly before: BuiltSide;
  readonly after: BuiltSide;
  /** Files that the patches change and that do not run here. */
  readonly leftOut: readonly string[];
  /** Where images count which lines run: what that is to be read from. Else null. */
  readonly counting: Counting | null;
}

export interface Counting {
  readonly before: CountedTree;
  readonly after: CountedTree;
}

/**
 * Builds both sides. With `reverse` the tree has the patches, and the side before is without them.
 *
 * @param kvm - whether they have the trees' KVM as well.
 * @throws UsageError when a side can't be had.
 */
export async function sidesOf(
  given: readonly string[],
  from: string | undefined,
  reverse: boolean,
  kvm: boolean,
): Promise<Sides> {
  const isFile = from?.endsWith('.c') === true || given.some((name) => name.endsWith('.c'));
  if (isFile) return explainedAsync(undefined, () => sidesOfLbr(given, from, reverse));
  return explainedAsync(undefined, async () => {
    const path = from ?? installedKernel();
    const tree = await openTree(path, cacheFolder());
    return given.length === 1 && isTree(given[0])
      ? sidesOfTrees(path, tree, given[0], reverse, kvm)
      : sidesOfPatches(path, tree, await seriesOf(given.map(patchFile)), reverse, kvm);
  });
}

/** The patches of a series one by one. */
export interface Series {
  readonly titles: readonly string[];
  /**
   * The trees with the first `from` patches and with the first `to`.
   *
   * @throws NotBuilt if the second one does not build, NothingRuns.
   */
  sides(from: number, to: number): Promise<Sides>;
}

/**
 * @param reverse - the tree has the patches.
 * @throws UsageError
 */
export async function seriesIn(
  given: readonly string[],
  from: string | undefined,
  reverse: boolean,
  kvm: boolean,
): Promise<Series> {
  if (from?.endsWith('.c') === true || given.some(isTree)) {
    throw new UsageError('--each is for patches of a tree');
  }
  return explainedAsync(undefined, async () => {
    const tree = await openTree(from ?? installedKernel(), cacheFolder());
    const patches = await seriesOf(given.map(patchFile));
    /** The tree with some of the patches, the first ones. */
    const treeWith = async (n: number): Promise<string> => {
      const { files } = applySeries(
        tree,
        reverse ? patches.slice(n) : patches.slice(0, n),
        reverse,
      );
      return files.size === 0 ? tree : patchedTree(tree, files, cacheFolder());
    };
    return {
      titles: patches.map(({ title }) => title),
      sides: async (first, last) => {
        const one = await treeWith(reverse ? last : first);
        return sidesOfPatches(one, one, patches.slice(first, last), reverse, kvm, tree);
      },
    };
  });
}

function sideOfImage(image: TreeImage, path: string): BuiltSide {
  return { ...codeOfImage(image), path };
}

async function sidesOfTrees(
  path: string,
  tree: string,
  other: string,
  reverse: boolean,
  kvm: boolean,
): Promise<Sides> {
  if (reverse) throw new KernelError('--reverse takes patches back; a tree is none');
  const cache = cacheFolder();
  const before = sideOfImage(await folderImage(tree, cache, { kvm }), path);
  const theirs = await openTree(other, cache);
  const after = sideOfImage(await folderImage(theirs, cache, { kvm }), other);
  return { before, after, leftOut: [], counting: null };
}

/**
 * The two sides of patches of a tree.
 *
 * @param path - what `vlbr replay` takes for the tree.
 * @param base - a tree from which most files of this one are.
 * @throws NotBuilt, NothingRuns or another KernelError.
 */
async function sidesOfPatches(
  path: string,
  tree: string,
  patches: readonly Patch[],
  reverse: boolean,
  kvm: boolean,
  base: string = tree,
): Promise<Sides> {
  const cache = cacheFolder();
  const { files, missing } = applySeries(tree, patches, reverse);
  await builtTree('the tree by itself', () => folderImage(tree, cache, { kvm, bases: [base] }));
  const folder = await patchedTree(tree, files, cache);
  const readByTree = await readBy(tree, cache, { kvm });
  const options = { kvm, bases: [base], counted: hasGcov() ? toCount(readByTree, files) : [] };
  const [image, patched] = await bothDone([
    builtTree('the tree by itself', () => folderImage(tree, cache, options)),
    builtTree('the tree with the patches', () => folderImage(folder, cache, options)),
  ]);
  const read = new Set(
    [readByTree, await readBy(folder, cache, options)].flatMap((reads) =>
      [...reads.values()].flatMap((paths) => [...paths]),
    ),
  );
  const leftOut = [...[...files.keys()].filter((file) => !read.has(file)), ...missing];
  if (leftOut.length === files.size + missing.length) {
    throw new NothingRuns(
      "nothing here is about what runs, which is perf's core and x86 driver, and KVM under the " +
        'policy kvm; only: ' +
        leftOut.join(', '),
    );
  }
  const changed = changedIn(tree, files);
  const given = { tree, cache, ...options, changed: changed.before };
  const made = { tree: folder, cache, ...options, changed: changed.after };
  return {
    ...inOrder(sideOfImage(image, path), sideOfImage(patched, folder), reverse),
    leftOut,
    counting: options.counted.length > 0 ? inOrder(given, made, reverse) : null,
  };
}

/**
 * The files whose code has changed lines in it. Where headers alone change, all that include them:
 * that takes its time.
 *
 * @param reads - what each compiled file reads.
 */
export function toCount(
  reads: ReadonlyMap<string, ReadonlySet<string>>,
  files: ChangedFiles,
): string[] {
  const changed = [...files.keys()];
  const compiled = changed.filter((path) => reads.has(path));
  if (compiled.length > 0) return compiled;
  return [...reads].flatMap(([file, paths]) =>
    changed.some((path) => paths.has(path)) ? [file] : [],
  );
}

/** The lines that only the tree has, and those that only the changed files have. */
function changedIn(
  tree: string,
  files: ChangedFiles,
): { readonly before: LineNumbers; readonly after: LineNumbers } {
  const changed = [...files].map(([path, text]) => {
    const file = join(tree, path);
    const now = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return [path, changedLines(now, text ?? '')] as const;
  });
  return {
    before: new Map(changed.map(([path, { before }]) => [path, before])),
    after: new Map(changed.map(([path, { after }]) => [path, after])),
  };
}

/** The given side before the patched one; with `reverse`, the patches are in the given one. */
function inOrder<T>(
  given: T,
  patched: T,
  reverse: boolean,
): { readonly before: T; readonly after: T } {
  return reverse ? { before: patched, after: given } : { before: given, after: patched };
}

/** Both results; where one fails, only once the other one is done as well: it writes files. */
async function bothDone<T>(work: readonly [Promise<T>, Promise<T>]): Promise<[T, T]> {
  await Promise.allSettled(work);
  return Promise.all(work);
}

/** Says which of two trees does not build. */
async function builtTree(which: string, build: () => Promise<TreeImage>): Promise<TreeImage> {
  try {
    return await build();
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new NotBuilt(`${which}: ${error.message}`);
  }
}

function sideOfLbr(source: KernelSource): BuiltSide {
  return { ...codeOfLbr(buildKernel(source)), path: cachedPath(source) };
}

async function sidesOfLbr(
  given: readonly string[],
  from: string | undefined,
  reverse: boolean,
): Promise<Sides> {
  const tree = readKernelSource(from ?? installedKernel());
  if (given.length === 1 && isTree(given[0])) {
    if (reverse) throw new KernelError('--reverse takes patches back; a file is none');
    return {
      before: sideOfLbr(tree),
      after: sideOfLbr(readKernelSource(given[0])),
      leftOut: [],
      counting: null,
    };
  }
  const decoded = await Promise.all(given.map((name) => decodedFile(patchFile(name))));
  const { text, notModelled } = patchLbr(tree.text, decoded, reverse);
  const patched = sideOfLbr(kernelSource(text, tree.info.version));
  const sides = inOrder(sideOfLbr(tree), patched, reverse);
  return { ...sides, leftOut: notModelled, counting: null };
}

/** Whether an argument is a second tree, a tar of one or an lbr.c, rather than a patch. */
function isTree(path: string): boolean {
  if (/^.+@[^@/]+$/.test(path) && !existsSync(path)) return true;
  if (!existsSync(path)) return false;
  return statSync(path).isDirectory() || /\.c$|\.tar(\.\w+)?$|\.t[gx]z$/.test(path);
}

/** Whether patches change KVM: not at all, beside other files, or KVM alone. */
export async function kvmIn(given: readonly string[]): Promise<'none' | 'some' | 'alone'> {
  const files = given.filter((name) => name === '-' || (existsSync(name) && !isTree(name)));
  const decoded = await Promise.all(files.map((name) => decodedFile(patchFile(name))));
  const changed = decoded.flatMap(({ text }) =>
    [...text.matchAll(/^(?:--- a|\+\+\+ b)\/(\S+)/gm)].map(([, path]) => path),
  );
  const ofKvm = changed.filter((path) => /^(?:arch\/x86|virt)\/kvm\//.test(path));
  if (ofKvm.length === 0) return 'none';
  return ofKvm.length === changed.length ? 'alone' : 'some';
}

/** What standard input has given: it can be read once. */
let standardInput: string | null = null;

function patchFile(name: string): PatchFile {
  if (name === '-') {
    standardInput ??= readFileSync(0, 'utf8');
    return { name: 'standard input', text: standardInput };
  }
  if (!existsSync(name)) throw new KernelError(`${name}: there is no such file`);
  if (isTree(name)) throw new KernelError(`${name}: give one tree, or patches`);
  return { name, text: explained(name, () => readFileSync(name, 'utf8')) };
}

/** The diffs of a file, out of the mails in which they lie. */
async function decodedFile(file: PatchFile): Promise<PatchFile> {
  const patches = await patchesIn(file);
  return { name: file.name, text: patches.map(({ diff }) => diff).join('') };
}

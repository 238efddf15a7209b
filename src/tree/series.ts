/** Applies a series of patches to the files of a tree. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { applyPatch, parsePatch, reversePatch, type StructuredPatch } from 'diff';
import { KernelError } from './errors.js';
import { TREE_FOLDERS } from './image/sources.js';
import { type Patch, type PatchFile, patchesIn } from './mail.js';

/** What patches make of a tree. */
export interface Applied {
  /** New text of each file that changes, by its path in the tree; null where it is deleted. */
  readonly files: ReadonlyMap<string, string | null>;
  /** Files that the patches change in folders that no build reads, and that are not there. */
  readonly missing: readonly string[];
}

/** The path that a header of a diff names; null for no file. */
function pathOf(name: string | undefined): string | null {
  const path = (name ?? '').replace(/\t.*$/, '');
  return path === '/dev/null' || path === '' ? null : path;
}

/** A folder that git writes before a path. */
const PREFIX = /^[abciow]\//;

/**
 * The paths in a tree that a name in a diff can mean, the likelier one first: a folder is in front
 * of it as git writes it, or that of the tree, or none.
 */
function pathsOf(name: string): string[] {
  const stripped = name.replace(/^[^/]+\//, '');
  const paths = (PREFIX.test(name) ? [stripped, name] : [name, stripped]).map(normalize);
  if (paths.some((path) => path.startsWith('..'))) {
    throw new KernelError(`${name} is outside of the tree`);
  }
  return paths;
}

function isRead(path: string): boolean {
  return TREE_FOLDERS.some((folder) => path.startsWith(`${folder}/`));
}

/** Files of a tree while patches are applied. */
class Files {
  readonly changed: Map<string, string | null> = new Map();
  readonly missing: Set<string> = new Set();
  private readonly tree: string;

  constructor(tree: string) {
    this.tree = tree;
  }

  has(path: string): boolean {
    const text = this.changed.get(path);
    return text === undefined ? existsSync(join(this.tree, path)) : text !== null;
  }

  read(path: string): string {
    const text = this.changed.get(path) ?? readFileSync(join(this.tree, path), 'utf8');
    // A tree from a Windows machine.
    return text.replaceAll('\r\n', '\n');
  }

  /** The path of a file that is there, by one of the names that a diff gives it; else null. */
  find(names: readonly (string | null)[]): string | null {
    const paths = names.flatMap((name) => (name === null ? [] : pathsOf(name)));
    return paths.find((path) => this.has(path)) ?? null;
  }

  /** Where a new file comes: to the folder that there is. */
  placeFor(name: string): string {
    const paths = pathsOf(name);
    const there = paths.find((path) => existsSync(join(this.tree, dirname(path))));
    return PREFIX.test(name) ? paths[0] : (there ?? paths[0]);
  }
}

/**
 * Applies a diff hunk by hunk, so that an error can name the first one that does not fit.
 *
 * @param title - what the patch is called, for an error.
 * @throws KernelError if it does not apply.
 */
export function appliedTo(
  text: string,
  patch: StructuredPatch,
  path: string,
  title: string,
): string {
  let now = text;
  let shift = 0;
  for (const [i, hunk] of patch.hunks.entries()) {
    const moved = { ...hunk, oldStart: hunk.oldStart + shift, newStart: hunk.oldStart + shift };
    const next = applyPatch(now, { ...patch, hunks: [moved] }, { fuzzFactor: 0 });
    if (next === false) {
      const { oldStart, oldLines, newStart, newLines } = hunk;
      const head = `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`;
      throw new KernelError(
        `${title}: hunk ${i + 1} of ${patch.hunks.length} for ${path} does not apply: ${head}`,
      );
    }
    now = next;
    shift += hunk.newLines - hunk.oldLines;
  }
  return now;
}

/** Whether a diff makes a file, by git's header or by a hunk that begins with nothing. */
function makesFile({ isCreate, hunks }: StructuredPatch): boolean {
  return isCreate === true || (hunks.length === 1 && hunks[0].oldLines === 0);
}

function applyOne(files: Files, diff: StructuredPatch, title: string): void {
  const [from, to] = [pathOf(diff.oldFileName), pathOf(diff.newFileName)];
  const name = from ?? to;
  if (name === null) return;
  const moves = diff.isRename === true || diff.isCopy === true;
  const old = files.find(moves ? [from] : [from, to]);
  if (old !== null && from !== null) {
    const text = appliedTo(files.read(old), diff, old, title);
    if (to === null || diff.isRename === true) files.changed.set(old, null);
    if (to !== null) files.changed.set(moves ? pathsOf(to)[0] : old, text);
    return;
  }
  if (to !== null && (from === null || makesFile(diff))) {
    if (old !== null) throw new KernelError(`${title}: the tree has ${old} already`);
    const path = files.placeFor(to);
    files.changed.set(path, appliedTo('', diff, path, title));
    return;
  }
  const paths = pathsOf(name);
  if (paths.some(isRead)) throw new KernelError(`${title}: the tree has no ${paths[0]}`);
  files.missing.add(paths[0]);
}

function parsed({ title, diff }: Patch): StructuredPatch[] {
  try {
    return parsePatch(diff);
  } catch (error) {
    throw new KernelError(`${title}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function applyAll(tree: string, patches: readonly Patch[], reverse: boolean): Files {
  const files = new Files(tree);
  for (const patch of reverse ? patches.toReversed() : patches) {
    const diffs = parsed(patch);
    for (const diff of reverse ? diffs.toReversed() : diffs) {
      applyOne(files, reverse ? reversePatch(diff) : diff, patch.title);
    }
  }
  return files;
}

/**
 * The patches of a series, in order.
 *
 * @throws KernelError if a file holds no diff.
 */
export async function seriesOf(given: readonly PatchFile[]): Promise<Patch[]> {
  const patches: Patch[] = [];
  for (const file of given) {
    const found = await patchesIn(file);
    if (found.length === 0) throw new KernelError(`${file.name}: there is no unified diff in it`);
    patches.push(...found);
  }
  return patches;
}

/**
 * Applies patches to the files of a tree; the tree stays as it is.
 *
 * @param reverse - takes the patches back, the last one first.
 * @throws KernelError if a patch does not apply.
 */
export function applySeries(tree: string, patches: readonly Patch[], reverse: boolean): Applied {
  try {
    const { changed, missing } = applyAll(tree, patches, reverse);
    return { files: changed, missing: [...missing] };
  } catch (error) {
    if (!(error instanceof KernelError) || !applies(tree, patches, !reverse)) throw error;
    const what = reverse
      ? 'the tree does not have it: leave --reverse out'
      : 'the tree has it already: give --reverse';
    throw new KernelError(`${error.message}; ${what}`);
  }
}

function applies(tree: string, patches: readonly Patch[], reverse: boolean): boolean {
  try {
    applyAll(tree, patches, reverse);
    return true;
  } catch {
    return false;
  }
}

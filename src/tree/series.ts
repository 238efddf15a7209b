/** Applies a series of patches to the files of a tree. */
import { existsSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { applyPatch, parsePatch, reversePatch, type StructuredPatch } from 'diff';
import { KernelError } from './errors.js';
import { type Patch, type PatchFile, patchesIn } from './mail.js';

/** What patches make of a tree. */
export interface Applied {
  /** Titles of the patches, in order. */
  readonly titles: readonly string[];
  /** New text of each file that changes, by its path in the tree; null where it is deleted. */
  readonly files: ReadonlyMap<string, string | null>;
}

/** The path that a header of a diff names; null for no file. */
function pathOf(name: string | undefined): string | null {
  const path = (name ?? '').replace(/\t.*$/, '');
  return path === '/dev/null' || path === '' ? null : path;
}

/** Files of a tree while patches are applied. */
class Files {
  readonly changed: Map<string, string | null> = new Map();
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

  /** The path of a name in a diff: with a folder in front, as git writes it, or without. */
  find(name: string, mustBe: boolean): string {
    const stripped = name.replace(/^[^/]+\//, '');
    const paths = /^[abciow]\//.test(name) ? [stripped, name] : [name, stripped];
    const path = (mustBe ? paths.find((one) => this.has(one)) : undefined) ?? paths[0];
    if (normalize(path).startsWith('..')) throw new KernelError(`${name} is outside of the tree`);
    return path;
  }
}

/** Applies hunk by hunk, so that an error can name the first one that does not fit. */
function applied(text: string, patch: StructuredPatch, path: string, title: string): string {
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

function applyOne(files: Files, diff: StructuredPatch, title: string): void {
  const [from, to] = [pathOf(diff.oldFileName), pathOf(diff.newFileName)];
  if (from === null && to === null) return;
  const old = from === null ? null : files.find(from, true);
  if (old !== null && !files.has(old)) {
    if (diff.hunks.length === 0) return;
    throw new KernelError(`${title}: the tree has no ${old}`);
  }
  const now = to === null ? null : files.find(to, from === to || from !== null);
  const isNew = to !== null && from !== null && pathWithout(from) !== pathWithout(to);
  const path = isNew ? pathWithout(to) : (now ?? old);
  if (path === null) return;
  const text = applied(old === null ? '' : files.read(old), diff, path, title);
  if (old !== null && (to === null || isNew) && diff.isCopy !== true) files.changed.set(old, null);
  if (to !== null) files.changed.set(path, text);
}

function pathWithout(name: string): string {
  return name.replace(/^[abciow]\//, '');
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
 * Applies patches to the files of a tree; the tree stays as it is.
 *
 * @param reverse - takes the patches back, the last one first.
 * @throws KernelError if a file holds no diff, or a patch does not apply.
 */
export async function applySeries(
  tree: string,
  given: readonly PatchFile[],
  reverse: boolean,
): Promise<Applied> {
  const patches: Patch[] = [];
  for (const file of given) {
    const found = await patchesIn(file);
    if (found.length === 0) throw new KernelError(`${file.name}: there is no unified diff in it`);
    patches.push(...found);
  }
  const titles = patches.map(({ title }) => title);
  try {
    return { titles, files: applyAll(tree, patches, reverse).changed };
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

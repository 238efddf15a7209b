/** Applies a patch of the corpus to the model's sources, in memory. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyPatch, parsePatch, type StructuredPatch } from 'diff';
import { CorpusError } from './corpus_file.js';

/** Texts of the files that a patch changes, by their path from the root of the clone. */
export type PatchedFiles = ReadonlyMap<string, string>;

/** @throws CorpusError if the text is no diff of src/, or does not apply. */
export function patchedSource(root: string, name: string, text: string): PatchedFiles {
  const files = new Map<string, string>();
  for (const patch of hunksOf(name, text)) {
    const path = (patch.newFileName ?? '').replace(/^b\//, '').replace(/\t.*$/, '');
    const file = join(root, path);
    if (!/^src\/[\w/]+\.ts$/.test(path) || !existsSync(file)) {
      throw new CorpusError(`${name}.patch: ${path} is no source of the model`);
    }
    const before = files.get(path) ?? readFileSync(file, 'utf8');
    const after = applyPatch(before, patch, { fuzzFactor: 0 });
    if (after === false) throw new CorpusError(`${name}.patch does not apply to ${path}`);
    files.set(path, after);
  }
  return files;
}

function hunksOf(name: string, text: string): StructuredPatch[] {
  let patches: StructuredPatch[];
  try {
    patches = parsePatch(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CorpusError(`${name}.patch: ${why}`);
  }
  const real = patches.filter(({ hunks }) => hunks.length > 0);
  if (real.length === 0) throw new CorpusError(`${name}.patch is no unified diff`);
  return real;
}

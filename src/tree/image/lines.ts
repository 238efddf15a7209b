/** Which lines of a tree have run, from what an image that counts has counted. */
import { copyFileSync, writeFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import type { FileCounts } from '../../guest/image/arcs.js';
import { gcdaBytes } from '../gcov/gcda.js';
import { gcovText, type LineCount, parseGcov } from '../gcov/gcov.js';
import { folderOf, type ImageOptions, notesFor } from './build.js';
import { discard, scratchFolder } from '../scratch.js';

/** Lines with code of files of a tree, by path. */
export type LinesRun = ReadonlyMap<string, readonly LineCount[]>;

/**
 * Lines with code, and how often each has run. A line of a header has the sum over the files that
 * include it.
 *
 * @param options - those of the image that has counted.
 * @throws KernelError if llvm-cov is missing or fails.
 */
export async function linesRun(
  tree: string,
  cache: string,
  options: ImageOptions,
  counts: readonly FileCounts[],
): Promise<LinesRun> {
  const built = await folderOf(tree, cache, options);
  const folder = scratchFolder();
  try {
    const each = counts.map((file) => {
      copyFileSync(join(built, notesFor(file.name)), join(folder, notesFor(file.name)));
      writeFileSync(join(folder, file.name), gcdaBytes(file));
      return parseGcov(gcovText(folder, file.name, tree));
    });
    return sumOfFiles(each);
  } finally {
    discard(folder);
  }
}

/** Adds up what was counted of each compiled file, and of the headers that it includes. */
export function sumOfFiles(each: readonly LinesRun[]): LinesRun {
  const all = new Map<string, Map<number, LineCount>>();
  for (const [name, lines] of each.flatMap((files) => [...files])) {
    const path = normalize(name);
    const known = all.get(path) ?? new Map<number, LineCount>();
    all.set(path, known);
    for (const line of lines) known.set(line.line, sumOf(known.get(line.line), line));
  }
  return new Map([...all].map(([path, lines]) => [path, inOrder(lines)]));
}

function sumOf(known: LineCount | undefined, line: LineCount): LineCount {
  if (known === undefined) return line;
  const branchesTaken = Math.max(known.branchesTaken, line.branchesTaken);
  return { ...line, count: known.count + line.count, branchesTaken };
}

function inOrder(lines: ReadonlyMap<number, LineCount>): LineCount[] {
  return [...lines.values()].sort((a, b) => a.line - b.line);
}

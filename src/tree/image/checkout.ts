/**
 * What a build reads of a commit of a git repository, as a folder. The cache has each version of a
 * file once, and the folders of all commits have links to it.
 */
import { linkSync, lstatSync, lutimesSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { KernelError } from '../errors.js';
import { git } from '../git.js';
import { complaintOf, run } from '../run.js';
import { discard, scratchFolder } from '../scratch.js';
import { TREE_PATHS } from './sources.js';

/** A file of a commit. */
interface Entry {
  readonly path: string;
  /** The hash of what is in it. */
  readonly blob: string;
}

/** Files that are named to git one by one; of more, it gives all. */
const NAMED_MAX = 1000;

/**
 * Checks a commit out.
 *
 * @param folder - where its files come to; it is there and empty.
 * @param store - the cache's folder of versions of files, each by its hash.
 * @throws KernelError if it is no kernel tree, or an object of the repository is missing.
 */
export async function checkOut(
  repository: string,
  hash: string,
  folder: string,
  store: string,
): Promise<void> {
  const entries = await entriesOf(repository, hash);
  mkdirSync(store, { recursive: true });
  const missing = entries.filter(({ blob }) => !isThere(join(store, blob)));
  if (missing.length > 0) await fetchBlobs(repository, hash, missing, store);
  for (const { path, blob } of entries) {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    linkSync(join(store, blob), file);
  }
}

/** Links, too: where they lead to need not be there. */
function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

async function entriesOf(repository: string, hash: string): Promise<Entry[]> {
  const listed = await git(repository, 'ls-tree', '-r', '-z', hash, '--', ...TREE_PATHS);
  const entries = listed.split('\0').flatMap((line) => {
    const [, blob, path] = /^\d+ blob (\w+)\t([^]*)$/.exec(line) ?? [];
    return path === undefined ? [] : [{ path, blob }];
  });
  const has = (wanted: string): boolean =>
    entries.some(({ path }) => path === wanted || path.startsWith(`${wanted}/`));
  const lacking = TREE_PATHS.find((path) => !has(path));
  if (lacking === undefined) return entries;
  throw new KernelError(
    `${repository}@${hash.slice(0, 12)}: this is no kernel tree; it lacks ${lacking}`,
  );
}

/** Puts versions of files into the store. */
async function fetchBlobs(
  repository: string,
  hash: string,
  entries: readonly Entry[],
  store: string,
): Promise<void> {
  const paths = entries.length > NAMED_MAX ? TREE_PATHS : entries.map(({ path }) => path);
  const scratch = scratchFolder(join(store, 'new'));
  try {
    const tar = join(scratch, 'tree.tar');
    await git(repository, 'archive', '--output', tar, hash, '--', ...paths);
    await run('tar', ['-xf', tar, '-C', scratch]);
    for (const { path, blob } of entries) {
      const place = join(store, blob);
      if (isThere(place)) continue;
      stamp(join(scratch, path), blob);
      renameSync(join(scratch, path), place);
    }
  } catch (error) {
    if (error instanceof KernelError) throw error;
    throw new KernelError(`${repository}@${hash.slice(0, 12)}: tar: ${complaintOf(error)}`);
  } finally {
    discard(scratch);
  }
}

/**
 * Gives a file the time that its hash says. Whoever knows a file by its size and its time, as the
 * build of an image does, knows it by what is in it.
 */
function stamp(file: string, blob: string): void {
  const seconds = parseInt(blob.slice(0, 8), 16) / 2;
  lutimesSync(file, seconds, seconds);
}

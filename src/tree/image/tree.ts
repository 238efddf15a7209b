/** The folder of a kernel tree, from what a user points to. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { KernelError } from '../errors.js';
import { commitHash, isRepository } from '../git.js';
import { placeFolder } from '../place.js';
import { complaintOf, run } from '../run.js';
import { checkOut } from './checkout.js';
import { TREE_FOLDERS, TREE_PATHS } from './sources.js';

function isTree(folder: string): boolean {
  return TREE_FOLDERS.every((path) => existsSync(join(folder, path)));
}

/**
 * Finds the tree in a folder, or unpacks what a build reads of a tar into the cache. A tar that has
 * not changed since is not unpacked again. `REPOSITORY@COMMIT` is a commit of a git repository.
 *
 * @throws KernelError when there is no tree.
 */
export async function openTree(path: string, cache: string): Promise<string> {
  const [, repository, commit] = /^(.+)@([^@/][^@]*)$/.exec(path) ?? [];
  if (repository !== undefined && !existsSync(path) && isRepository(repository)) {
    return checkedOut(repository, commit, cache);
  }
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) throw new KernelError(`${path}: there is no such file or folder`);
  if (!stat.isDirectory()) return unpacked(path, `${stat.size} ${stat.mtimeMs}`, cache);
  if (isTree(path)) return path;
  // A folder with nothing but an unpacked tree in it, as tar leaves it.
  const inner = readdirSync(path).map((name) => join(path, name));
  const trees = inner.filter(isTree);
  if (trees.length === 1) return trees[0];
  throw new KernelError(
    `${path}: this is no kernel tree; it lacks one of ${TREE_FOLDERS.join(', ')}`,
  );
}

/** A folder of the cache, for what is kept of a tree; a version that keeps more has another one. */
function keptAs(tree: string, cache: string): string {
  const key = createHash('sha256')
    .update(`${tree}: ${TREE_PATHS.join(' ')}`)
    .digest('hex');
  return join(cache, 'trees', key.slice(0, 32));
}

/** What a build reads of a commit of a repository. */
async function checkedOut(repository: string, commit: string, cache: string): Promise<string> {
  const hash = await commitHash(repository, commit);
  return placeFolder(keptAs(`commit ${hash}`, cache), async (folder) =>
    checkOut(repository, hash, folder, join(cache, 'blobs')),
  );
}

async function unpacked(tar: string, stamp: string, cache: string): Promise<string> {
  return placeFolder(keptAs(`${resolve(tar)} ${stamp}`, cache), async (folder) => {
    const wanted = TREE_PATHS.map((name) => `*/${name}`);
    const how = ['--strip-components=1', '--wildcards', '--no-wildcards-match-slash'];
    try {
      await run('tar', ['-xf', resolve(tar), '-C', folder, ...how, ...wanted]);
    } catch (error) {
      throw new KernelError(`${tar}: tar can't unpack a kernel tree: ${complaintOf(error)}`);
    }
  });
}

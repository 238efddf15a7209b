/** The folder of a kernel tree, from what a user points to. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { KernelError } from '../errors.js';
import { TREE_FOLDERS } from './sources.js';

const run = promisify(execFile);

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
  if (repository !== undefined && !existsSync(path) && existsSync(join(repository, '.git'))) {
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

/** What a build reads of a commit of a repository. */
async function checkedOut(repository: string, commit: string, cache: string): Promise<string> {
  let hash = '';
  try {
    const git = ['-C', repository, 'rev-parse', '--verify', '--quiet', `${commit}^{commit}`];
    hash = (await run('git', git)).stdout.trim();
  } catch {
    throw new KernelError(`${repository}: git knows no commit ${commit}`);
  }
  const folder = join(cache, 'trees', `commit-${hash}`);
  if (existsSync(folder)) return folder;
  mkdirSync(join(cache, 'trees'), { recursive: true });
  const temporary = mkdtempSync(`${folder}.`);
  const tar = join(temporary, 'tree.tar');
  const wanted = [...TREE_FOLDERS, 'Makefile'];
  try {
    await run('git', ['-C', repository, 'archive', '--output', tar, hash, ...wanted]);
    await run('tar', ['-xf', tar, '-C', temporary]);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    throw new KernelError(
      `${repository}@${commit}: this is no kernel tree: ${stderr.split('\n')[0]}`,
    );
  }
  rmSync(tar);
  if (existsSync(folder)) rmSync(temporary, { recursive: true, force: true });
  else renameSync(temporary, folder);
  return folder;
}

async function unpacked(tar: string, stamp: string, cache: string): Promise<string> {
  const key = createHash('sha256')
    .update(`${resolve(tar)} ${stamp}`)
    .digest('hex');
  const folder = join(cache, 'trees', key.slice(0, 32));
  if (existsSync(folder)) return folder;
  mkdirSync(join(cache, 'trees'), { recursive: true });
  // Another process may unpack the same tar: whoever is first wins.
  const temporary = mkdtempSync(`${folder}.`);
  const wanted = [...TREE_FOLDERS, 'Makefile'].map((name) => `*/${name}`);
  const how = ['--strip-components=1', '--wildcards', '--no-wildcards-match-slash'];
  try {
    await run('tar', ['-xf', resolve(tar), '-C', temporary, ...how, ...wanted]);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    const stderr = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    throw new KernelError(`${tar}: tar can't unpack a kernel tree: ${stderr.split('\n')[0]}`);
  }
  if (existsSync(folder)) rmSync(temporary, { recursive: true, force: true });
  else renameSync(temporary, folder);
  if (!isTree(folder)) throw new KernelError(`${tar}: this is no tar of a kernel tree`);
  return folder;
}

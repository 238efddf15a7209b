/** A tree with some of its files changed, beside the tree: all other files are links to it. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { KernelError } from '../errors.js';
import { TREE_FOLDERS } from './sources.js';

const run = promisify(execFile);

/**
 * Makes the tree, if it is not there yet.
 *
 * @param files - new text by path; null for a file that goes away.
 * Returns its folder.
 *
 * @throws KernelError if a file lies behind a link to a folder, which may lead out of the tree.
 */
export async function patchedTree(
  tree: string,
  files: ReadonlyMap<string, string | null>,
  cache: string,
): Promise<string> {
  const hash = createHash('sha256').update(resolve(tree));
  for (const [path, text] of files) hash.update(`\0${path}\0${text ?? 'none'}`);
  const folder = join(cache, 'trees', `patched-${hash.digest('hex').slice(0, 32)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(join(cache, 'trees'), { recursive: true });
  const temporary = mkdtempSync(`${folder}.`);
  // Links to files and not to folders, or a path with .. in it would lead back into the tree.
  const given = [...TREE_FOLDERS, 'Makefile'].map((path) => join(resolve(tree), path));
  for (const path of TREE_FOLDERS) mkdirSync(dirname(join(temporary, path)), { recursive: true });
  for (const [i, path] of [...TREE_FOLDERS, 'Makefile'].entries()) {
    if (existsSync(given[i])) await run('cp', ['-rs', given[i], dirname(join(temporary, path))]);
  }
  for (const [path, text] of files) {
    const file = join(temporary, path);
    mkdirSync(dirname(file), { recursive: true });
    if (realpathSync(dirname(file)) !== join(realpathSync(temporary), dirname(path))) {
      rmSync(temporary, { recursive: true, force: true });
      throw new KernelError(`${path}: a folder of this path is a link, so it can't be changed`);
    }
    rmSync(file, { force: true });
    if (text !== null) writeFileSync(file, text);
  }
  if (existsSync(folder)) rmSync(temporary, { recursive: true, force: true });
  else renameSync(temporary, folder);
  return folder;
}

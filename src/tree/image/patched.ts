/** A tree with some of its files changed, beside the tree: all other files are links to it. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { KernelError } from '../errors.js';
import { placeFolder } from '../place.js';
import { run } from '../run.js';
import { TREE_PATHS } from './sources.js';

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
  const name = `patched-${hash.digest('hex').slice(0, 32)}`;
  return placeFolder(join(cache, 'trees', name), async (folder) => {
    // Links to files and not to folders, or a path with .. in it would lead back into the tree.
    for (const path of TREE_PATHS) {
      const given = join(resolve(tree), path);
      const into = dirname(join(folder, path));
      mkdirSync(into, { recursive: true });
      if (existsSync(given)) await run('cp', ['-rs', given, into]);
    }
    for (const [path, text] of files) {
      const file = join(folder, path);
      mkdirSync(dirname(file), { recursive: true });
      if (realpathSync(dirname(file)) !== join(realpathSync(folder), dirname(path))) {
        throw new KernelError(`${path}: a folder of this path is a link, so it can't be changed`);
      }
      rmSync(file, { force: true });
      if (text !== null) writeFileSync(file, text);
    }
  });
}

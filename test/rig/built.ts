/** The command line as it is published, built once for all tests. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { placeFolder } from '../../src/tree/place.js';
import { CACHE_HOME } from './images.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const TSUP = join(ROOT, 'node_modules', 'tsup', 'dist', 'cli-default.js');

/** Everything that a build is made of; its libraries by the lockfile. */
function sources(): string[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const others = ['tsup.config.ts', 'package.json', 'package-lock.json'];
  return [...files.toSorted(), ...others.map((name) => join(ROOT, name))];
}

/** The folder of a build of src/ as it is now: `cli.js`, `index.js` and what they load. */
export async function builtFolder(): Promise<string> {
  const hash = createHash('sha256');
  for (const path of sources()) hash.update(`${path}\0`).update(readFileSync(path));
  const name = `build-${hash.digest('hex').slice(0, 32)}`;
  return placeFolder(join(CACHE_HOME, name), async (folder) => {
    const args = [TSUP, '--out-dir', folder, '--silent'];
    await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  });
}

/** Files and folders that another process may make, too: it finds all of one or none of it. */
import { chmodSync, existsSync, mkdirSync, realpathSync, renameSync } from 'node:fs';
import { statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { discard, scratchBeside, scratchFolder } from './scratch.js';

/**
 * Writes a file at once. What is there and is no file, such as a device, is written to; a link
 * stays one.
 */
export function place(path: string, content: string | Uint8Array): void {
  const target = existsSync(path) ? realpathSync(path) : path;
  const there = statSync(target, { throwIfNoEntry: false });
  if (there !== undefined && !there.isFile()) {
    writeFileSync(target, content);
    return;
  }
  const scratch = scratchBeside(target);
  try {
    writeFileSync(scratch, content);
    if (there !== undefined) chmodSync(scratch, there.mode);
    renameSync(scratch, target);
  } finally {
    discard(scratch);
  }
}

/**
 * Makes a folder, if it is not there yet; who is first wins.
 *
 * @param fill - puts into a folder what belongs there. Where this fails, nothing is left.
 * Returns its path.
 */
export async function placeFolder(
  path: string,
  fill: (folder: string) => Promise<void>,
): Promise<string> {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const scratch = scratchFolder(path);
  try {
    await fill(scratch);
    if (!existsSync(path)) renameSync(scratch, path);
  } finally {
    discard(scratch);
  }
  return path;
}

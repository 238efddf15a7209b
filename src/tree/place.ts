/** Files and folders that another process may make, too: it finds all of one or none of it. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes a file at once. */
export function place(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
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
  const temporary = mkdtempSync(`${path}.`);
  try {
    await fill(temporary);
    if (!existsSync(path)) renameSync(temporary, path);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return path;
}

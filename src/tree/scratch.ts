/**
 * Files and folders that are there for a time only. None outlives its process: what is left when
 * the process ends is removed then, and what a killed one has left by the next that looks there.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Whose a name is: processes of two machines, or of two containers, may share a folder. */
const OWNER = `${hostname().replaceAll(/[^A-Za-z0-9]/g, '')}-${process.pid}`;
const NAMED = /\.vlbr-([A-Za-z0-9]*)-(\d+)-\d+$/;

const mine: Set<string> = new Set();
let made = 0;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process can't be asked, and is there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Removes what killed processes of this machine have left in a folder. */
function sweep(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, host, pid] = NAMED.exec(name) ?? [];
    if (host === undefined || !OWNER.startsWith(`${host}-`) || isAlive(Number(pid))) continue;
    remove(join(folder, name));
  }
}

function remove(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // It is another user's.
  }
}

function removeMine(): void {
  for (const path of mine) remove(path);
}

/**
 * A path of this process alone, beside another path. Nothing is there yet. What is put there is
 * removed when the process ends, or by `discard`.
 */
export function scratchBeside(path: string): string {
  const folder = dirname(path);
  sweep(folder);
  if (mine.size === 0) process.once('exit', removeMine);
  const name = `.${basename(path)}.vlbr-${OWNER}-${made++}`;
  const scratch = join(folder, name);
  mine.add(scratch);
  return scratch;
}

/** A new folder, by default among the system's temporary files. */
export function scratchFolder(beside: string = join(tmpdir(), 'vlbr')): string {
  const folder = scratchBeside(beside);
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}

/** Removes what is at a scratch path, if anything is. */
export function discard(scratch: string): void {
  remove(scratch);
  mine.delete(scratch);
  if (mine.size === 0) process.off('exit', removeMine);
}

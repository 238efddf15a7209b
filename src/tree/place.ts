import { renameSync, writeFileSync } from 'node:fs';

/** Writes a file at once: another process may be at the same one, and reads all of it or none. */
export function place(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}

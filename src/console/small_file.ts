/** Files that a person writes, such as a table of costs. */
import { closeSync, openSync, readSync } from 'node:fs';

const BYTES_MAX = 1 << 20;

/**
 * The text of a file that is small. A device or a pipe that does not end is read no further.
 *
 * @throws Error for a file that can't be read, and for one longer than 1 MiB.
 */
export function smallFile(path: string): string {
  const bytes = Buffer.alloc(BYTES_MAX + 1);
  const file = openSync(path, 'r');
  let length = 0;
  try {
    for (;;) {
      const n = readSync(file, bytes, length, bytes.length - length, null);
      if (n === 0) break;
      length += n;
      if (length > BYTES_MAX) throw new Error('this is longer than 1 MiB');
    }
  } finally {
    closeSync(file);
  }
  return bytes.toString('utf8', 0, length);
}

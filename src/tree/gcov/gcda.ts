/**
 * Writes the counters of an instrumented build as a .gcda file for `llvm-cov gcov`. The format is
 * that of gcc/gcov-io.h, in little-endian words, reduced to the records that llvm-cov needs.
 */
import type { FileCounts } from '../../guest/image/arcs.js';

const MAGIC = 0x67636461;
const TAG_FUNCTION = 0x01000000;
const TAG_ARCS = 0x01a10000;
const TAG_END = 0;

export function gcdaBytes({ version, checksum, functions }: FileCounts): Uint8Array {
  const words = [MAGIC, version, checksum];
  for (const { ident, funcChecksum, cfgChecksum, arcs } of functions) {
    words.push(TAG_FUNCTION, 3, ident, funcChecksum, cfgChecksum);
    words.push(TAG_ARCS, 2 * arcs.length);
    for (const count of arcs) words.push(count, Math.floor(count / 2 ** 32));
  }
  words.push(TAG_END, 0);
  const bytes = Buffer.alloc(4 * words.length);
  for (const [i, word] of words.entries()) bytes.writeInt32LE(word | 0, 4 * i);
  return bytes;
}

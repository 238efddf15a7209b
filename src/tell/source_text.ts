/** Names of the code that runs as lbr.c. */
import type { KernelInfo } from '../tree/binary.js';

export function sourceText({ version, sha256 }: KernelInfo): string {
  const from = version === 'unknown' ? 'the C file' : `the C file of Linux ${version}`;
  return `${from} (lbr.c, sha256 ${sha256.slice(0, 12)})`;
}

/** Names a guest by the version that the port follows, or by the C file that replaces the port. */
export function guestText(kernel: string, source: KernelInfo | null): string {
  return source === null ? `Linux ${kernel} guest` : `guest with ${sourceText(source)}`;
}

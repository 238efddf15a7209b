/** Names of the kernel's code that runs. */
import type { KernelInfo } from '../tree/binary.js';

export function sourceText({ version, sha256, whole }: KernelInfo): string {
  const hash = sha256.slice(0, 12);
  if (whole === true) {
    const from = version === 'unknown' ? 'a tree' : `Linux ${version}`;
    return `the perf core and x86 driver of ${from} (whole, sha256 ${hash})`;
  }
  const from = version === 'unknown' ? 'the C file' : `the C file of Linux ${version}`;
  return `${from} (lbr.c, sha256 ${hash})`;
}

/** Names a guest by the version that the port follows, or by the C code that it runs. */
export function guestText(kernel: string, source: KernelInfo | null): string {
  return source === null ? `Linux ${kernel} guest` : `guest with ${sourceText(source)}`;
}

/** `vlbr kernel build`: compiles the lbr.c of a kernel. */
import { writeFileSync } from 'node:fs';
import { UsageError } from '../../console/errors.js';
import { kernelAt } from '../../console/kernel_source.js';
import { printJson, printLines } from '../../console/output.js';

export interface KernelBuildOptions {
  readonly src?: string;
  readonly output?: string;
  readonly json?: boolean;
}

export function kernelBuild({ src, output, json }: KernelBuildOptions): void {
  const { info, bytes, staticWords } = kernelAt(src).binary;
  if (output !== undefined) write(output, bytes);
  const size = { bytes: bytes.length, staticBytes: 4 * staticWords };
  if (json === true) {
    printJson({ schema: 'vlbr/kernel/1', kernel: info, ...size, output: output ?? null });
    return;
  }
  const from = info.version === 'unknown' ? 'lbr.c' : `lbr.c of Linux ${info.version}`;
  printLines([
    `${from}, sha256 ${info.sha256}`,
    `${bytes.length} bytes of WebAssembly, ${4 * staticWords} bytes of static data`,
    output === undefined ? 'kept for --driver kernel; -o FILE writes it out' : `written: ${output}`,
  ]);
}

function write(output: string, bytes: Uint8Array): void {
  try {
    writeFileSync(output, bytes);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${output}: it can't be written: ${why}`);
  }
}

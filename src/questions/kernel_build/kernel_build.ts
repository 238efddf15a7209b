/** `vlbr kernel build`: compiles the whole path of a kernel, or its lbr.c. */
import { UsageError } from '../../console/errors.js';
import { imageAt, kernelAt } from '../../console/kernel_source.js';
import type { DriverName } from '../../console/drivers.js';
import { checkWritable, printJson, printLines, writeFileWhole } from '../../console/output.js';
import { tableLines } from '../../console/table.js';
import { wrap } from '../../console/text.js';
import { type Boot, bootOnEachCpu } from '../../tree/image/image.js';

export interface KernelBuildOptions {
  readonly driver?: Exclude<DriverName, 'port'>;
  readonly kernelSrc?: string;
  readonly output?: string;
  readonly json?: boolean;
}

/** @throws UsageError when it can't be built. */
export async function kernelBuild(options: KernelBuildOptions): Promise<void> {
  const { driver, kernelSrc, output } = options;
  if (output !== undefined) checkWritable(output);
  const isFile = /\.(?:c|wasm)$/.test(kernelSrc ?? '');
  if (driver === 'kernel' && isFile) {
    throw new UsageError(`${kernelSrc}: --driver kernel takes a tree; leave it out for one file`);
  }
  if (driver === 'lbr.c' || isFile) buildLbr(options);
  else await buildWhole(options);
}

/** Builds the image of a tree, and shows what it finds on each CPU. */
async function buildWhole({ kernelSrc, output, json }: KernelBuildOptions): Promise<void> {
  const image = await imageAt(kernelSrc);
  const boots = bootOnEachCpu(image);
  const { bytes, info, files } = image;
  const { version, sha256 } = info;
  if (output !== undefined) writeFileWhole(output, bytes);
  if (json === true) {
    const kernel = { version, sha256, files };
    const built = { bytes: bytes.length, output: output ?? null };
    printJson({ schema: 'vlbr/image/2', kernel, ...built, cpus: boots });
    return;
  }
  printLines([
    ...wrap(`the perf core and the x86 driver of Linux ${version}, sha256 ${sha256}`, '', '  '),
    `${files.length} files of the tree, whole; ${bytes.length} bytes of WebAssembly`,
    output === undefined ? 'kept in the cache; -o FILE writes it out' : `written: ${output}`,
    '',
    ...tableLines(['cpu', 'what the kernel finds when it boots there'], boots.map(bootRow)),
  ]);
}

/** A kernel tells what it finds in a line; the lines after that are of counters. */
function bootRow({ cpu, log, warnings }: Boot): string[] {
  const found = log.filter((line) => line.endsWith(','));
  const warned = warnings.map((place) => `WARNING at ${place}`);
  return [cpu, [...found.map((line) => line.slice(0, -1)), ...warned].join('; ')];
}

function buildLbr({ kernelSrc, output, json }: KernelBuildOptions): void {
  const { info, bytes, staticWords } = kernelAt(kernelSrc).binary;
  if (output !== undefined) writeFileWhole(output, bytes);
  const size = { bytes: bytes.length, staticBytes: 4 * staticWords };
  if (json === true) {
    printJson({ schema: 'vlbr/kernel/2', kernel: info, ...size, output: output ?? null });
    return;
  }
  const from = info.version === 'unknown' ? 'lbr.c' : `lbr.c of Linux ${info.version}`;
  printLines([
    ...wrap(`${from}, sha256 ${info.sha256}`, '', '  '),
    `${bytes.length} bytes of WebAssembly, ${4 * staticWords} bytes of static data`,
    output === undefined ? 'kept for --driver lbr.c; -o FILE writes it out' : `written: ${output}`,
  ]);
}

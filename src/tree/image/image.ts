/** The image of a tree, from what a user points to. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { versionOf } from '../source.js';
import { WebAssembly } from '../../guest/image/webassembly.js';
import { BareCpu } from '../../guest/image/bare_cpu.js';
import { buildImage, type LongBits } from './build.js';
import { type Image, ImageInstance } from '../../guest/image/instance.js';
import { moduleTypes } from '../../guest/image/module_types.js';
import { TREE_FILES } from './sources.js';
import { openTree } from './tree.js';

export interface TreeImage extends Image {
  readonly bytes: Uint8Array;
  /** Of the tree's Makefile, as `7.3.4`. */
  readonly version: string;
  /** Of all files of the tree that are compiled, one after the other; in hexadecimal. */
  readonly sha256: string;
}

/**
 * Builds the image of a tree.
 *
 * @param path - the tree, or a tar of one.
 * @throws KernelError when it can't be built.
 */
export async function treeImage(
  path: string,
  cache: string,
  bits: LongBits = 64,
): Promise<TreeImage> {
  const tree = await openTree(path, cache);
  const bytes = await buildImage(tree, cache, bits);
  const hash = createHash('sha256');
  for (const file of TREE_FILES) hash.update(readFileSync(join(tree, file)));
  const makefile = join(tree, 'Makefile');
  return {
    bytes,
    version: existsSync(makefile) ? versionOf(readFileSync(makefile, 'utf8')) : 'unknown',
    sha256: hash.digest('hex'),
    module: new WebAssembly.Module(bytes),
    types: moduleTypes(bytes),
  };
}

/** What a kernel did when it booted on a CPU model. */
export interface Boot {
  readonly cpu: string;
  /** Depth of the LBR that the driver found; 0 if it uses none. */
  readonly lbr_nr: number;
  /** What the kernel printed. */
  readonly log: readonly string[];
  /** Warnings of the kernel: file and line. */
  readonly warnings: readonly string[];
}

/** Boots an image on each CPU model, as a guest. */
export function bootOnEachCpu(image: Image): Boot[] {
  return CPU_MODELS.map((model) => {
    const log: string[] = [];
    const warnings: string[] = [];
    const hooks = {
      runs: () => true,
      nmi: () => false,
      nmiReturns: () => {},
      leave: () => false,
      print: (line: string) => void log.push(line),
      warn: (file: string, line: number) => void warnings.push(`${file}:${line}`),
      record: () => {},
    };
    const kernel = new ImageInstance(image, model, [new BareCpu(model)], hooks, true);
    const at = kernel.ask('vlbr_x86_pmu') + kernel.offsets.at('x86_pmu.lbr_nr');
    return { cpu: model.name, lbr_nr: kernel.readInt(at), log, warnings };
  });
}

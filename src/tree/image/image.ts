/** The image of a tree, from what a user points to. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { assert } from '../../hw/assert.js';
import type { Definitions, DriverKind } from '../../guest/perf/lbr_driver.js';
import { PORT } from '../../guest/perf/lbr_port.js';
import { compiled, definitionsOf, IMAGE_SECTION, infoOf, type KernelInfo } from '../binary.js';
import { withDefinitions, withInfo } from '../binary.js';
import { definitionsIn } from '../definitions.js';
import { versionOf } from '../source.js';
import { BareCpu } from '../../guest/image/bare_cpu.js';
import { buildImage, type ImageOptions } from './build.js';
import { Counted } from '../../guest/image/arcs.js';
import { type Image, ImageInstance } from '../../guest/image/instance.js';
import { moduleTypes } from '../../guest/image/module_types.js';
import { filesOf, kvmFilesOf } from './sources.js';
import { openTree } from './tree.js';

export interface TreeImage extends Image {
  readonly bytes: Uint8Array;
  /** The hash is that of all files of the tree that are compiled, one after the other. */
  readonly info: KernelInfo;
  readonly definitions: Definitions;
}

/** An image that was built from a tree just now. */
export interface BuiltImage extends TreeImage {
  /** The files of the tree that are compiled. */
  readonly files: readonly string[];
}

/**
 * Builds the image of a tree.
 *
 * @param path - the tree, a tar of one, or a commit of a repository (tree.ts).
 * @throws KernelError when it can't be built.
 */
export async function treeImage(
  path: string,
  cache: string,
  options: ImageOptions = {},
): Promise<BuiltImage> {
  return folderImage(await openTree(path, cache), cache, options);
}

/**
 * Builds the image of a tree in a folder.
 *
 * @throws KernelError when it can't be built.
 */
export async function folderImage(
  tree: string,
  cache: string,
  options: ImageOptions = {},
): Promise<BuiltImage> {
  const built = await buildImage(tree, cache, options);
  const hash = createHash('sha256');
  const files = [...filesOf(tree), ...(options.kvm === true ? kvmFilesOf(tree) : [])];
  const texts = files.map((file) => {
    const bytes = readFileSync(join(tree, file));
    hash.update(bytes);
    return [file, bytes.toString()] as const;
  });
  const makefile = join(tree, 'Makefile');
  const version = existsSync(makefile) ? versionOf(readFileSync(makefile, 'utf8')) : 'unknown';
  const info: KernelInfo = { version, sha256: hash.digest('hex'), whole: true };
  const bytes = withDefinitions(withInfo(built, info, IMAGE_SECTION), definitionsIn(texts));
  const image = imageOf(bytes);
  assert(image !== null, 'an image has a note of its origin');
  return { ...image, files };
}

/**
 * The image in the bytes of a module; null if it holds something else.
 *
 * @throws KernelBinaryError if the bytes are no WebAssembly.
 */
export function imageOf(bytes: Uint8Array): TreeImage | null {
  const module = compiled(bytes);
  const info = infoOf(module, IMAGE_SECTION);
  if (info === null) return null;
  const types = moduleTypes(bytes);
  const counted = types.exports.has('gcov_table') ? { counted: new Counted() } : {};
  return { bytes, info, module, types, definitions: definitionsOf(module), ...counted };
}

/** The whole path of an image as what kernels run: the port is what it is seen through. */
export function imageDriver(image: TreeImage): DriverKind {
  return { ...PORT, name: 'kernel', image, definitions: image.definitions };
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

/** `vlbr review`: how a patch of lbr.c affects the properties. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { POLICIES } from '../../host/policy/index.js';
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { buildKernel, cachedPath } from '../../tree/build.js';
import { kernelDriver } from '../../tree/driver.js';
import { KernelError } from '../../tree/errors.js';
import { type PatchFile, patchLbr } from '../../tree/patch.js';
import { installedKernel, kernelSource, readKernelSource } from '../../tree/source.js';
import type { KernelSource } from '../../tree/source.js';
import { coloursFor } from '../../console/colours.js';
import { reviewJson } from './json.js';
import { type Review, type ReviewSide, reviewText } from './text.js';
import { DEFAULT_SHAPES } from '../../campaign/campaign.js';
import { losesAnything, type PolicyReview } from './comparison.js';
import { namesOf } from '../../console/arguments.js';
import { campaignsInWorkers } from '../../console/campaigns.js';
import type { ReviewJob } from './worker.js';
import { EXIT_EXPECTED, EXIT_INTERRUPTED, EXIT_UNEXPECTED } from '../../console/exit_codes.js';
import { explained } from '../../console/kernel_source.js';
import { printJson, printLines } from '../../console/output.js';

/** The build puts the worker's code beside this file. */
const WORKER: URL = new URL('./review_worker.js', import.meta.url);

export interface ReviewOptions {
  readonly kernelSrc?: string;
  readonly reverse?: boolean;
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly runs: number;
  readonly seed: number;
  readonly json?: boolean;
}

interface Sources {
  readonly before: KernelSource;
  readonly after: KernelSource;
  readonly notModelled: readonly string[];
}

/** Returns the exit code. @throws UsageError before anything has run. */
export async function review(patches: readonly string[], options: ReviewOptions): Promise<number> {
  const { runs, seed, reverse = false } = options;
  const cpus = namesOf(
    'CPU',
    options.cpu,
    CPU_MODELS.map(({ name }) => name),
  );
  const names = POLICIES.map(({ name }) => name);
  const policies = namesOf('policy', options.policy, names);
  const properties = namesOf('property', options.property, PROPERTY_NAMES);
  const sources = explained(undefined, () => sourcesOf(patches, options.kernelSrc, reverse));
  const [before, after] = [sideOf(sources.before), sideOf(sources.after)];
  const job: ReviewJob = {
    cpus,
    kernel: '6.1',
    shapes: DEFAULT_SHAPES,
    policies,
    properties,
    runs,
    seed,
    schedules: [],
    binary: after.bytes,
    before: before.bytes,
  };
  const began = performance.now();
  const found = await campaignsInWorkers<ReviewJob, PolicyReview>(WORKER, job);
  const elapsed_s = Math.round(performance.now() - began) / 1000;
  const { notModelled } = sources;
  const asked = { cpus, seed, runs, before, after, patches, reverse, notModelled };
  const result: Review = {
    ...asked,
    reviews: found.results,
    interrupted: found.interrupted,
    elapsed_s,
  };
  if (options.json === true) printJson(reviewJson(result));
  else printLines(reviewText(result, coloursFor(process.stdout.isTTY)));
  if (found.interrupted) return EXIT_INTERRUPTED;
  return losesAnything(found.results) ? EXIT_UNEXPECTED : EXIT_EXPECTED;
}

function sideOf(source: KernelSource): ReviewSide & { readonly bytes: Uint8Array } {
  const binary = explained(undefined, () => buildKernel(source));
  const { info, bytes } = binary;
  return { info, bytes, driver: kernelDriver(binary), path: cachedPath(source) };
}

/**
 * Both texts of lbr.c. With `reverse` the tree already has the patches, so `before` is the tree
 * without them.
 */
function sourcesOf(
  patches: readonly string[],
  from: string | undefined,
  reverse: boolean,
): Sources {
  const tree = readKernelSource(from ?? installedKernel());
  const other = patches.length === 1 && isTree(patches[0]) ? readKernelSource(patches[0]) : null;
  if (other !== null) {
    if (reverse) throw new KernelError('--reverse takes patches back; a tree is none');
    return { before: tree, after: other, notModelled: [] };
  }
  const { text, notModelled } = patchLbr(tree.text, patches.map(patchFile), reverse);
  const patched = kernelSource(text, tree.info.version);
  if (reverse) return { before: patched, after: tree, notModelled };
  return { before: tree, after: patched, notModelled };
}

/** Whether an argument is a second tree, a tar of one or an lbr.c, rather than a patch. */
function isTree(path: string): boolean {
  if (!existsSync(path)) return false;
  return statSync(path).isDirectory() || /\.c$|\.tar(\.\w+)?$|\.t[gx]z$/.test(path);
}

function patchFile(name: string): PatchFile {
  if (name === '-') return { name: 'standard input', text: readFileSync(0, 'utf8') };
  if (!existsSync(name)) throw new KernelError(`${name}: there is no such file`);
  if (isTree(name)) throw new KernelError(`${name}: give one tree, or patches`);
  return { name, text: explained(name, () => readFileSync(name, 'utf8')) };
}

/**
 * How much of perf schedules reach: they run again on an image that counts, and `llvm-cov gcov`
 * reads its counters.
 */
import { cacheFolder } from '../../../tree/build.js';
import { KernelError } from '../../../tree/errors.js';
import { GCOV_MISSING, hasGcov } from '../../../tree/gcov/gcov.js';
import { folderImage, imageDriver, type TreeImage } from '../../../tree/image/image.js';
import { linesRun, type LinesRun } from '../../../tree/image/lines.js';
import type { ImageOptions } from '../../../tree/image/build.js';
import { KVM_PMU_FILES, PERF_FILES } from '../../../tree/image/sources.js';
import { openTree } from '../../../tree/image/tree.js';
import { assert } from '../../../hw/assert.js';
import type { Step } from '../../../console/interrupt.js';
import { COUNTED_MAX, NO_SOURCE } from '../counted.js';
import { branchShare, lineShare, type Missing, notReached, type Share } from '../coverage.js';
import { WholeComparison, type WholeOptions } from './comparison.js';

/** How much of a file was reached, of its code that is compiled. */
export interface FileCoverage {
  /** In the tree. */
  readonly path: string;
  readonly functions: Share;
  readonly lines: Share;
  readonly branches: Share;
  readonly notReached: readonly Missing[];
}

export interface WholeCoverage {
  readonly schedules: number;
  readonly files: readonly FileCoverage[];
}

/** Schedules on an image that counts. */
export class WholeCoverageRun {
  private readonly tree: string;
  private readonly cache: string;
  private readonly image: TreeImage;
  private readonly options: ImageOptions & { readonly counted: readonly string[] };
  private readonly comparison: WholeComparison;

  private constructor(
    tree: string,
    cache: string,
    image: TreeImage,
    built: WholeCoverageRun['options'],
    options: WholeOptions,
  ) {
    this.options = built;
    this.tree = tree;
    this.cache = cache;
    this.image = image;
    const runs = Math.min(options.runs, COUNTED_MAX);
    this.comparison = new WholeComparison({ ...options, kernel: imageDriver(image), runs });
  }

  /** @throws KernelError if the tree can't be built, or if there is nothing to read counts. */
  static async of(
    path: string,
    options: WholeOptions,
    cache: string = cacheFolder(),
  ): Promise<WholeCoverageRun> {
    if (path.endsWith('.wasm')) throw new KernelError(NO_SOURCE);
    if (!hasGcov()) throw new KernelError(GCOV_MISSING);
    const { ofTree: kvm = false } = options.policy;
    const tree = await openTree(path, cache);
    const built = { kvm, counted: kvm ? KVM_PMU_FILES : PERF_FILES };
    const image = await folderImage(tree, cache, built);
    return new WholeCoverageRun(tree, cache, image, built, options);
  }

  *work(): Generator<Step> {
    for (const step of this.comparison.work()) yield { ...step, doing: `coverage, ${step.doing}` };
  }

  /** The coverage so far. */
  async report(): Promise<WholeCoverage> {
    const { counted } = this.image;
    assert(counted !== undefined, 'the image was built to count');
    const lines = await linesRun(this.tree, this.cache, this.options, counted.counts());
    const files = filesOf(lines, this.options.counted);
    return { schedules: this.comparison.counts.schedules, files };
  }
}

/** Sums up the lines of files; by default, of perf's. */
export function filesOf(lines: LinesRun, counted: readonly string[] = PERF_FILES): FileCoverage[] {
  return counted.map((path) => {
    const own = lines.get(path) ?? [];
    const names = [...new Set(own.map((line) => line.function))];
    const reached = new Set(own.filter(({ count }) => count > 0).map((line) => line.function));
    return {
      path,
      functions: { reached: reached.size, total: names.length },
      lines: lineShare(own),
      branches: branchShare(own),
      notReached: notReached(own),
    };
  });
}

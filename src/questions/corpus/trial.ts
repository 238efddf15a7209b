/** A trial looks for one defect in one way: in the model, or in a kernel's own lbr.c. */
import { buildKernel } from '../../tree/build.js';
import { kernelDriver } from '../../tree/driver.js';
import { patchLbr } from '../../tree/patch.js';
import { type KernelSource, kernelSource } from '../../tree/source.js';
import { loadModel, type Model } from './bundle.js';
import { CorpusError, type Defect, patchText, type Suspect } from './corpus_file.js';
import type { HuntOptions, HuntReport, Variant } from './hunt.js';
import { patchedSource } from './patched_source.js';

export interface Trial {
  readonly defect: Defect;
  readonly suspect: Suspect;
  readonly target: 'model' | 'lbr.c';
  /** Text of the patch; null for a defect that is present without one. */
  readonly patch: string | null;
}

export interface Judged {
  readonly trial: Trial;
  readonly report: HuntReport;
  readonly elapsed_s: number;
}

/** The name of a trial in tables. */
export function trialName({ suspect, target }: Trial): string {
  return target === 'model' ? suspect.name : `${suspect.name}.lbr.c`;
}

/** JavaScript's message where C would dereference a null pointer. */
const NULL_DEREFERENCE = /^TypeError: Cannot (?:read|set) properties of (?:null|undefined)/;

/** Whether the suite has found the defect by a property that its entry names. */
export function isCaught({ trial, report: { outcome } }: Judged): boolean {
  if (outcome.verdict !== 'oops') return outcome.verdict === 'killed';
  // A null dereference is a fault of the kernel, for which no-fault stands. A broken assertion of
  // the model is not.
  const faults = NULL_DEREFERENCE.test(outcome.crash.error);
  return faults && trial.suspect.properties.includes('no-fault');
}

/**
 * Every way to look for these defects, in order.
 *
 * @throws CorpusError if a patch is missing.
 */
export function trialsOf(root: string, defects: readonly Defect[]): Trial[] {
  return defects.flatMap((defect) =>
    defect.suspects.flatMap((suspect): Trial[] => {
      const patch = patchText(root, suspect.name);
      if ((patch === null) !== (defect.kind === 'present')) {
        throw new CorpusError(
          `test/corpus/${suspect.name}.patch is ${patch === null ? 'missing' : 'not wanted'}`,
        );
      }
      const inC = patchText(root, `${suspect.name}.lbr.c`);
      const trials: Trial[] = [{ defect, suspect, target: 'model', patch }];
      if (inC !== null) trials.push({ defect, suspect, target: 'lbr.c', patch: inC });
      return trials;
    }),
  );
}

/** Builds both sides of trials. */
export class Laboratory {
  private readonly root: string;
  private readonly unmodified: Model;
  private readonly tree: KernelSource | null;

  private constructor(root: string, unmodified: Model, tree: KernelSource | null) {
    this.root = root;
    this.unmodified = unmodified;
    this.tree = tree;
  }

  /**
   * @param root - a clone of the repository.
   * @param tree - the lbr.c to which patches of lbr.c apply, if there is one.
   */
  static async open(root: string, tree: KernelSource | null): Promise<Laboratory> {
    return new Laboratory(root, await loadModel(root, new Map()), tree);
  }

  /** Checks that every patch applies. @throws CorpusError or KernelError if one does not. */
  check(trials: readonly Trial[]): void {
    for (const { suspect, target, patch } of trials) {
      if (patch === null) continue;
      if (target === 'model') patchedSource(this.root, suspect.name, patch);
      else this.patchedTree(suspect.name, patch);
    }
  }

  /** Builds both sides of a trial. @throws CorpusError or KernelError if this fails. */
  async prepare(trial: Trial, runs: number, seed: number): Promise<HuntOptions> {
    const { suspect: place } = trial;
    const [bad, good] = trial.target === 'model' ? await this.models(trial) : this.drivers(trial);
    return { bad, good, place, properties: place.properties, runs, seed };
  }

  private async models({ suspect, patch }: Trial): Promise<[bad: Variant, good: Variant]> {
    const { root, unmodified } = this;
    const { name, cpu, contrast = cpu } = suspect;
    const good = { model: unmodified, cpu: contrast };
    if (patch === null) return [{ model: unmodified, cpu }, good];
    return [{ model: await loadModel(root, patchedSource(root, name, patch)), cpu }, good];
  }

  private drivers({ suspect, patch }: Trial): [bad: Variant, good: Variant] {
    const { unmodified: model } = this;
    const { name, cpu } = suspect;
    const [patched, plain] = this.patchedTree(name, patch ?? '')
      .map(buildKernel)
      .map(kernelDriver);
    return [
      { model, cpu, driver: patched },
      { model, cpu, driver: plain },
    ];
  }

  /** lbr.c with the patch, and without it. */
  private patchedTree(name: string, patch: string): [KernelSource, KernelSource] {
    const { tree } = this;
    if (tree === null) throw new CorpusError(`${name}: there is no lbr.c`);
    const { text } = patchLbr(tree.text, [{ name: `${name}.lbr.c.patch`, text: patch }], false);
    return [kernelSource(text, tree.info.version), tree];
  }
}

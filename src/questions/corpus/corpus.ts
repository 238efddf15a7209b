/** `vlbr corpus`: does the suite find real defects? */
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CorpusError, type Defect, readCorpus } from './corpus_file.js';
import { hunt } from './hunt.js';
import { type Judged, Laboratory, type Trial, trialName, trialsOf } from './trial.js';
import { buildKernel } from '../../tree/build.js';
import { KernelError } from '../../tree/errors.js';
import { installedKernel, type KernelSource, readKernelSource } from '../../tree/source.js';
import { coloursFor } from '../../console/colours.js';
import { corpusJson } from './json.js';
import { corpusSuite } from './suite.js';
import { type CorpusReport, corpusText, survivorsOf } from './text.js';
import { namesOf } from '../../console/arguments.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import { UsageError } from '../../console/errors.js';
import { Breather } from '../../console/interrupt.js';
import { explained } from '../../console/kernel_source.js';
import { checkReporters, type ReporterOptions, writeReports } from '../../console/reporters.js';
import { printJson, printLines } from '../../console/output.js';

export interface CorpusOptions extends ReporterOptions {
  readonly id?: readonly string[];
  readonly kernelSrc?: string;
  readonly runs: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** If another process ended by a signal, the same signal reaches this process within this time. */
const SIGNAL_MS = 200;

/** Returns the exit code. @throws UsageError if something is missing or does not fit. */
export async function corpus(options: CorpusOptions): Promise<number> {
  const quiet = checkReporters(options, options.json === true ? ['--json'] : []).length > 0;
  const began = performance.now();
  try {
    const report = await reportOf(options);
    const timed = { ...report, elapsed_s: secondsSince(began) };
    if (options.json === true) printJson(corpusJson(timed));
    else if (!quiet) printLines(corpusText(timed, coloursFor(process.stdout.isTTY)));
    await writeReports(options, () => corpusSuite(timed));
    const notShown = survivorsOf(report).length > 0;
    return exitCodeOf({ cutShort: report.interrupted, notShown });
  } catch (error) {
    if (error instanceof CorpusError || error instanceof KernelError) {
      throw new UsageError(error.message);
    }
    throw error;
  }
}

function secondsSince(began: number): number {
  return Math.round(performance.now() - began) / 1000;
}

async function reportOf(options: CorpusOptions): Promise<Omit<CorpusReport, 'elapsed_s'>> {
  const { runs, seed, kernelSrc } = options;
  const root = dirname(createRequire(import.meta.url).resolve('vlbr/package.json'));
  const defects = askedDefects(readCorpus(root), options.id ?? []);
  const trials = trialsOf(root, defects);
  const hunter = new Hunter(options);
  try {
    const wantsC = trials.some(({ target }) => target === 'lbr.c');
    const found = await hunter.unlessInterrupted(() => (wantsC ? treeOf(kernelSrc) : NO_TREE));
    const { tree, problem } = found ?? NO_TREE;
    const possible = trials.filter(({ target }) => target === 'model' || tree !== null);
    const laboratory = await hunter.unlessInterrupted(() => Laboratory.open(root, tree));
    const judged = laboratory === null ? [] : await hunter.judgeAll(laboratory, possible);
    const tried = judged.map(({ trial }) => trial);
    const notTried = trials.filter((trial) => !tried.includes(trial)).map(trialName);
    const kernel = tree === null ? null : tree.info;
    const { interrupted } = hunter;
    return { defects, seed, runs, kernel, kernelProblem: problem, judged, notTried, interrupted };
  } finally {
    hunter.end();
  }
}

/** @throws UsageError for an unknown id. */
function askedDefects(all: readonly Defect[], ids: readonly string[]): readonly Defect[] {
  if (ids.length === 0) return all;
  const known = all.map(({ id }) => id);
  const wanted = namesOf('defect', ids.join(','), known);
  return all.filter(({ id }) => wanted.includes(id));
}

/** Reads a tree and compiles its lbr.c, so that a missing compiler is reported early. */
function readTree(from: string): KernelSource {
  const tree = readKernelSource(from);
  buildKernel(tree);
  return tree;
}

interface Tree {
  readonly tree: KernelSource | null;
  readonly problem: string;
}

const NO_TREE: Tree = { tree: null, problem: '' };

/**
 * The lbr.c to which patches are applied, or the reason why there is none.
 *
 * @throws UsageError if the tree that the user asked for cannot be used.
 */
function treeOf(asked: string | undefined): Tree {
  if (asked !== undefined) return { tree: explained(asked, () => readTree(asked)), problem: '' };
  try {
    return { tree: readTree(installedKernel()), problem: '' };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { tree: null, problem: error.message };
  }
}

/** Runs trials step by step, so that Ctrl-C is noticed in between. */
class Hunter extends Breather {
  private readonly runs: number;
  private readonly seed: number;

  constructor({ runs, seed }: CorpusOptions) {
    super();
    this.runs = runs;
    this.seed = seed;
  }

  /** Calls `work`. Ctrl-C also ends its bundler or compiler: returns null, not their error. */
  async unlessInterrupted<T>(work: () => T | Promise<T>): Promise<T | null> {
    if (this.interrupted) return null;
    try {
      return await work();
    } catch (error) {
      // The other process may report its end before this process receives the signal.
      await setTimeout(SIGNAL_MS);
      if (this.interrupted) return null;
      throw error;
    }
  }

  /** Judges one trial after the other until it is interrupted. */
  async judgeAll(laboratory: Laboratory, trials: readonly Trial[]): Promise<Judged[]> {
    laboratory.check(trials);
    const judged: Judged[] = [];
    for (const trial of trials) {
      const one = await this.judge(laboratory, trial, judged.length, trials.length);
      if (one === null) break;
      judged.push(one);
    }
    return judged;
  }

  /** Returns null if it was interrupted before the verdict. */
  private async judge(
    laboratory: Laboratory,
    trial: Trial,
    done: number,
    wanted: number,
  ): Promise<Judged | null> {
    const began = performance.now();
    const { runs, seed } = this;
    const prepared = await this.unlessInterrupted(() => laboratory.prepare(trial, runs, seed));
    if (prepared === null) return null;
    const work = hunt(prepared);
    for (;;) {
      const next = work.next();
      if (next.done === true) return { trial, report: next.value, elapsed_s: secondsSince(began) };
      const doing = `${trialName(trial)}, run ${next.value}`;
      if (!(await this.breathe({ done, wanted, doing }))) return null;
    }
  }
}

/** `vlbr conform`: compares the port with a kernel's lbr.c, call by call. */
import { setImmediate } from 'node:timers/promises';
import { PORT } from '../guest/perf/lbr_port.js';
import { Conformance } from '../kernel/conform/campaign.js';
import type { ConformOptions as CampaignOptions } from '../kernel/conform/campaign.js';
import type { Coverage } from '../kernel/conform/coverage.js';
import { CoverageRun } from '../kernel/conform/coverage.js';
import { drawSequence } from '../kernel/conform/draw.js';
import { SUBJECTS } from '../kernel/conform/subjects.js';
import { kernelDriver } from '../kernel/driver.js';
import { KernelError } from '../kernel/errors.js';
import type { KernelSource } from '../kernel/source.js';
import { coloursFor } from '../report/colours.js';
import { conformJson } from '../report/conform_json.js';
import type { Conform } from '../report/conform_text.js';
import { conformText } from '../report/conform_text.js';
import { namesOf } from './arguments.js';
import { EXIT_EXPECTED, EXIT_INTERRUPTED, EXIT_UNEXPECTED } from './errors.js';
import { kernelAt } from './kernel_source.js';
import { printJson, printLines } from './output.js';
import { newBar, onTerminal, tellInterrupted } from './progress.js';

/** The options as commander hands them over. */
export interface ConformOptions {
  readonly kernelSrc?: string;
  readonly cpu: string;
  readonly runs: number;
  readonly seed: number;
  readonly json?: boolean;
}

/** Sequences that are run again to see what of lbr.c they reach; more reach no more. */
const COVERAGE_RUNS_MAX = 3000;

/** Milliseconds of work between two looks at the keyboard and at the terminal. */
const BREATH_MS = 50;

/** Returns the exit code. @throws UsageError before anything has run. */
export async function conform(options: ConformOptions): Promise<number> {
  const { seed, runs } = options;
  const known = SUBJECTS.map(({ name }) => name);
  const cpus = namesOf('CPU', options.cpu, known);
  const subjects = SUBJECTS.filter(({ name }) => cpus.includes(name));
  const { binary, source } = kernelAt(options.kernelSrc);
  const drivers = { port: PORT, kernel: kernelDriver(binary) };
  const campaign: CampaignOptions = { subjects, seed, runs, drivers };
  const began = performance.now();
  const comparison = new Conformance(campaign);
  const worker = new Breather();
  const { coverage, coverageProblem } = await worker
    .doAll(comparison.work())
    .then(() => coverageOf(source, campaign, worker))
    .finally(() => worker.end());
  const { counts, filters, differences } = comparison;
  const { interrupted } = worker;
  const report: Conform = {
    kernel: binary.info,
    seed,
    cpus,
    counts,
    filterCalls: filters.calls,
    coverage,
    coverageProblem,
    differences,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
  };
  if (options.json === true) printJson(conformJson(report));
  else printLines(conformText(report, coloursFor(process.stdout.isTTY)));
  if (interrupted) return EXIT_INTERRUPTED;
  return differences.length === 0 ? EXIT_EXPECTED : EXIT_UNEXPECTED;
}

/** Runs the first sequences again on a build that counts, or says why it can't. */
async function coverageOf(
  source: KernelSource | null,
  campaign: CampaignOptions,
  worker: Breather,
): Promise<Pick<Conform, 'coverage' | 'coverageProblem'>> {
  if (worker.interrupted) return { coverage: null, coverageProblem: '' };
  if (source === null) {
    return { coverage: null, coverageProblem: 'a compiled module does not have the source' };
  }
  try {
    return { coverage: await counted(source, campaign, worker), coverageProblem: '' };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { coverage: null, coverageProblem: error.message };
  }
}

/** The coverage; null when it was interrupted. */
async function counted(
  source: KernelSource,
  { seed, runs, subjects }: CampaignOptions,
  worker: Breather,
): Promise<Coverage | null> {
  const counting = new CoverageRun(source);
  const wanted = Math.min(runs, COVERAGE_RUNS_MAX);
  const work = function* (): Generator<Step> {
    for (let run = 0; run < wanted; run++) {
      counting.run(drawSequence(seed, run, subjects));
      yield { doing: 'coverage', done: run + 1, wanted };
    }
  };
  try {
    await worker.doAll(work());
    return worker.interrupted ? null : counting.report();
  } finally {
    counting.close();
  }
}

/** How far a piece of work is. */
interface Step {
  readonly doing: string;
  readonly done: number;
  readonly wanted: number;
}

/** Does work in pieces, so that Ctrl-C is heard and a terminal shows how far it is. */
class Breather {
  interrupted = false;
  private readonly bar: ReturnType<typeof newBar> | null;

  constructor() {
    this.bar = onTerminal() ? newBar('{value} of {total} | {doing}') : null;
    this.bar?.start(1, 0, { doing: 'starting' });
    process.on('SIGINT', this.interrupt);
  }

  private readonly interrupt = (): void => {
    if (this.interrupted) process.exit(EXIT_INTERRUPTED);
    this.interrupted = true;
    this.bar?.stop();
    tellInterrupted();
  };

  async doAll(work: Iterable<Step>): Promise<void> {
    let breathed = performance.now();
    for (const { doing, done, wanted } of work) {
      if (performance.now() - breathed < BREATH_MS) continue;
      this.bar?.setTotal(wanted);
      this.bar?.update(done, { doing });
      await setImmediate();
      if (this.interrupted) return;
      breathed = performance.now();
    }
  }

  end(): void {
    process.off('SIGINT', this.interrupt);
    if (!this.interrupted) this.bar?.stop();
  }
}

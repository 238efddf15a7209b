/** `vlbr conform --driver lbr.c`: compares the port with a kernel's lbr.c, call by call. */
import { PORT } from '../../guest/perf/lbr_port.js';
import {
  Conformance,
  type ConformOptions as CampaignOptions,
  type Difference,
  lossOf,
} from './campaign.js';
import { type Coverage, CoverageRun } from './coverage.js';
import { COUNTED_MAX, countedBy, NO_SOURCE } from './counted.js';
import { drawSequence } from './draw.js';
import type { ConformOptions } from './options.js';
import { SUBJECTS } from './subjects.js';
import { kernelDriver } from '../../tree/driver.js';
import { KernelError } from '../../tree/errors.js';
import type { KernelSource } from '../../tree/source.js';
import { readBaseline, sinceOf } from '../../console/baseline.js';
import { coloursFor } from '../../console/colours.js';
import { CONFORM_SCHEMA, conformJson, settingsOf } from './json.js';
import { callText } from './sequence.js';
import { type ConformCase, conformExit, conformSuite } from './suite.js';
import { type Conform, conformText } from './text.js';
import { namesOf } from '../../console/arguments.js';
import { Breather, doAll, type Step } from '../../console/interrupt.js';
import { kernelAt } from '../../console/kernel_source.js';
import { checkReporters, writeReports } from '../../console/reporters.js';
import { printJson, printLines } from '../../console/output.js';

/** Returns the exit code. @throws UsageError before anything has run. */
export async function conformLbr(options: ConformOptions): Promise<number> {
  const { seed, runs } = options;
  const quiet = checkReporters(options, options.json === true ? ['--json'] : []).length > 0;
  const known = SUBJECTS.map(({ name }) => name);
  const cpus = namesOf('CPU', options.cpu, known);
  const subjects = SUBJECTS.filter(({ name }) => cpus.includes(name));
  const { binary, source } = kernelAt(options.kernelSrc);
  const drivers = { port: PORT, kernel: kernelDriver(binary) };
  const campaign: CampaignOptions = { subjects, seed, runs, drivers };
  const asked = { kernel: binary.info, cpus };
  const baseline = readBaseline(options, CONFORM_SCHEMA, settingsOf(asked));
  const began = performance.now();
  const comparison = new Conformance(campaign);
  const worker = new Breather();
  const { coverage, coverageProblem } = await doAll(comparison.work(), worker)
    .then(() => countedBy(worker, () => counted(source, campaign, worker)))
    .finally(() => worker.end());
  const { counts, filters, differences } = comparison;
  const { interrupted } = worker;
  const losses = differences.map(lossOf);
  const since = sinceOf(baseline, losses, interrupted);
  const report: Conform = {
    ...asked,
    seed,
    runs,
    counts,
    filterCalls: filters.calls,
    coverage,
    coverageProblem,
    differences,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
    since,
  };
  if (options.json === true) printJson(conformJson(report));
  else if (!quiet) printLines(conformText(report, coloursFor(process.stdout.isTTY)));
  await writeReports(options, () => {
    const found = cpus.map((cpu) => caseOf(cpu, differences));
    return conformSuite('lbr.c', found, counts.sequences < runs, since);
  });
  return conformExit(losses, since, interrupted);
}

/** The differences on a CPU. */
function caseOf(cpu: string, differences: readonly Difference[]): ConformCase {
  const own = differences.filter(({ sequence }) => sequence.cpu === cpu);
  const differs = own.map((difference) => {
    const { sequence, divergence } = difference;
    const says = `${callText(sequence.calls[divergence.call])} differs`;
    return { says, loss: lossOf(difference) };
  });
  return { cpu, differs };
}

/** The coverage; null after an interruption. */
async function counted(
  source: KernelSource | null,
  { seed, runs, subjects }: CampaignOptions,
  worker: Breather,
): Promise<Coverage | null> {
  if (source === null) throw new KernelError(NO_SOURCE);
  const counting = new CoverageRun(source);
  const wanted = Math.min(runs, COUNTED_MAX);
  const work = function* (): Generator<Step> {
    for (let run = 0; run < wanted; run++) {
      counting.run(drawSequence(seed, run, subjects));
      yield { doing: 'coverage', done: run + 1, wanted };
    }
  };
  try {
    await doAll(work(), worker);
    return worker.interrupted ? null : counting.report();
  } finally {
    counting.close();
  }
}

/** `vlbr conform`: the same schedules on the port and on a kernel's whole path. */
import { entryOf, namesOf } from '../../../console/arguments.js';
import { readBaseline, sinceOf } from '../../../console/baseline.js';
import { coloursFor } from '../../../console/colours.js';
import { UsageError } from '../../../console/errors.js';
import { Breather, doAll } from '../../../console/interrupt.js';
import { askedCode, driverWords } from '../../../console/kernel_source.js';
import { checkReporters, writeReports } from '../../../console/reporters.js';
import { printJson, printLines } from '../../../console/output.js';
import { portOf } from '../../../guest/perf/kernel.js';
import { ALL_POLICIES } from '../../../host/policy/index.js';
import { kvm } from '../../../host/policy/kvm.js';
import { missingInTree } from '../../../judge/needs.js';
import { CPU_MODELS } from '../../../hw/cpu_models.js';
import type { ConformOptions } from '../options.js';
import { countedBy } from '../counted.js';
import { installedKernel } from '../../../tree/source.js';
import {
  type CpuResult,
  DEFAULT_POLICY,
  type Difference,
  lossesOf,
  WholeComparison,
  type WholeOptions,
} from './comparison.js';
import { type WholeCoverage, WholeCoverageRun } from './coverage.js';
import { settingsOf, WHOLE_SCHEMA, wholeJson } from './json.js';
import { encodeToken } from '../../../schedule/token.js';
import { type ConformCase, conformExit, conformSuite } from '../suite.js';
import { type Whole, wholeText } from './text.js';

/** Returns the exit code. @throws UsageError before anything has run. */
export async function conformWhole(options: ConformOptions): Promise<number> {
  const { seed, runs, kernelSrc } = options;
  const quiet = checkReporters(options, options.json === true ? ['--json'] : []).length > 0;
  const known = CPU_MODELS.map(({ name }) => name);
  const cpus = namesOf('CPU', options.cpu, known);
  const models = CPU_MODELS.filter(({ name }) => cpus.includes(name));
  const policy = entryOf('policy', options.policy ?? DEFAULT_POLICY.name, [...ALL_POLICIES, kvm]);
  const code = await askedCode({
    driver: 'kernel',
    policy: policy.name,
    ...(kernelSrc === undefined ? {} : { kernelSrc }),
  });
  if (code?.driver.image === undefined) {
    throw new UsageError(`${kernelSrc}: this is an lbr.c; compare it with --driver lbr.c`);
  }
  const version = portOf(code.info.version);
  const missing = missingInTree(policy, version);
  if (missing !== null) throw new UsageError(missing);
  const asked = { models, policy, kernel: code.driver, version, seed, runs };
  const told = { kernel: code.info, policy: policy.name, models: models.map(({ name }) => name) };
  const baseline = readBaseline(options, WHOLE_SCHEMA, settingsOf(told));
  const comparison = new WholeComparison(asked);
  const began = performance.now();
  const worker = new Breather();
  const { coverage, coverageProblem } = await doAll(comparison.work(), worker)
    .then(() => countedBy(worker, () => counted(kernelSrc ?? installedKernel(), asked, worker)))
    .finally(() => worker.end());
  const { counts, results, withoutLbr } = comparison;
  const { interrupted } = worker;
  const losses = results.flatMap(lossesOf);
  const since = sinceOf(baseline, losses, interrupted);
  const report: Whole = {
    ...told,
    driver: code.driver,
    driverWords: driverWords({ ...options, driver: 'kernel' }),
    seed,
    runs,
    counts,
    results,
    withoutLbr,
    coverage,
    coverageProblem,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
    since,
  };
  if (options.json === true) printJson(wholeJson(report));
  else if (!quiet) printLines(wholeText(report, coloursFor(process.stdout.isTTY)));
  await writeReports(options, () => {
    return conformSuite('whole path', results.map(caseOf), counts.schedules < runs, since);
  });
  return conformExit(losses, since, interrupted);
}

function caseOf(result: CpuResult): ConformCase {
  const { cpu, first } = result;
  const says = first === null ? '' : lineOf(first);
  return { cpu, differs: lossesOf(result).map((loss) => ({ says, loss })) };
}

function lineOf({ replay, divergence }: Difference): string {
  return `${divergence.what} differs; vlbr replay ${encodeToken(replay)}`;
}

/** The coverage of the first schedules; null after an interruption. */
async function counted(
  path: string,
  asked: WholeOptions,
  worker: Breather,
): Promise<WholeCoverage | null> {
  const counting = await WholeCoverageRun.of(path, asked);
  await doAll(counting.work(), worker);
  return worker.interrupted ? null : counting.report();
}

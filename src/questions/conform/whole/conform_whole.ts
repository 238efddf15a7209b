/** `vlbr conform`: the same schedules on the port and on a kernel's whole path. */
import { entryOf, namesOf } from '../../../console/arguments.js';
import { coloursFor } from '../../../console/colours.js';
import { exitCodeOf } from '../../../console/exit_codes.js';
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
  DEFAULT_POLICY,
  type Difference,
  WholeComparison,
  type WholeOptions,
} from './comparison.js';
import { type WholeCoverage, WholeCoverageRun } from './coverage.js';
import { wholeJson } from './json.js';
import { encodeToken } from '../../../schedule/token.js';
import { conformSuite } from '../suite.js';
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
  const comparison = new WholeComparison(asked);
  const began = performance.now();
  const worker = new Breather();
  const { coverage, coverageProblem } = await doAll(comparison.work(), worker)
    .then(() => countedBy(worker, () => counted(kernelSrc ?? installedKernel(), asked, worker)))
    .finally(() => worker.end());
  const { counts, results, withoutLbr } = comparison;
  const { interrupted } = worker;
  const report: Whole = {
    kernel: code.info,
    driver: code.driver,
    driverWords: driverWords({ ...options, driver: 'kernel' }),
    policy: policy.name,
    seed,
    runs,
    counts,
    results,
    withoutLbr,
    coverage,
    coverageProblem,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
  };
  if (options.json === true) printJson(wholeJson(report));
  else if (!quiet) printLines(wholeText(report, coloursFor(process.stdout.isTTY)));
  await writeReports(options, () => {
    const found = results.map(({ cpu, first }) => ({ cpu, differs: first && lineOf(first) }));
    return conformSuite('whole path', found, counts.schedules < runs);
  });
  return exitCodeOf({ lost: results.some(({ first }) => first !== null), cutShort: interrupted });
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

/** `vlbr conform`: the same schedules on the port and on a kernel's whole path. */
import { entryOf, namesOf } from '../../../console/arguments.js';
import { coloursFor } from '../../../console/colours.js';
import { EXIT_EXPECTED, EXIT_INTERRUPTED, EXIT_UNEXPECTED } from '../../../console/exit_codes.js';
import { UsageError } from '../../../console/errors.js';
import { Breather } from '../../../console/interrupt.js';
import { askedCode, driverWords } from '../../../console/kernel_source.js';
import { printJson, printLines } from '../../../console/output.js';
import { POLICIES } from '../../../host/policy/index.js';
import { CPU_MODELS } from '../../../hw/cpu_models.js';
import type { ConformOptions } from '../options.js';
import { DEFAULT_POLICY, WholeComparison } from './comparison.js';
import { wholeJson } from './json.js';
import { type Whole, wholeText } from './text.js';

/** Returns the exit code. @throws UsageError before anything has run. */
export async function conformWhole(options: ConformOptions): Promise<number> {
  const { seed, runs, kernelSrc } = options;
  const known = CPU_MODELS.map(({ name }) => name);
  const cpus = namesOf('CPU', options.cpu, known);
  const models = CPU_MODELS.filter(({ name }) => cpus.includes(name));
  const policy = entryOf('policy', options.policy ?? DEFAULT_POLICY.name, POLICIES);
  const code = await askedCode({
    driver: 'kernel',
    ...(kernelSrc === undefined ? {} : { kernelSrc }),
  });
  if (code?.driver.image === undefined) {
    throw new UsageError(`${kernelSrc}: this is an lbr.c; compare it with --driver lbr.c`);
  }
  const comparison = new WholeComparison({ models, policy, kernel: code.driver, seed, runs });
  const began = performance.now();
  const worker = new Breather();
  try {
    for (const step of comparison.work()) if (!(await worker.breathe(step))) break;
  } finally {
    worker.end();
  }
  const { counts, results } = comparison;
  const { interrupted } = worker;
  const report: Whole = {
    kernel: code.info,
    driver: code.driver,
    driverWords: driverWords({ ...options, driver: 'kernel' }),
    policy: policy.name,
    seed,
    counts,
    results,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
  };
  if (options.json === true) printJson(wholeJson(report));
  else printLines(wholeText(report, coloursFor(process.stdout.isTTY)));
  if (interrupted) return EXIT_INTERRUPTED;
  const same = results.every(({ first }) => first === null);
  return same ? EXIT_EXPECTED : EXIT_UNEXPECTED;
}

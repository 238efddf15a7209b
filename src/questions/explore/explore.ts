/** `vlbr explore`: looks at every schedule of a small machine, and prints the report. */
import { POLICY_PROPERTIES } from '../../judge/properties.js';
import { CPU_MODELS, withDepth } from '../../hw/cpu_models.js';
import { coloursFor } from '../../console/colours.js';
import { exploreJson } from './json.js';
import { type Exploration, exploreText, type TimedExploration, unexpectedIn } from './text.js';
import { entryOf } from '../../console/arguments.js';
import { adviceOf, askedOf, exitCode, type ExploreOptions } from './asked.js';
import { checkImageOptions, exploreImage } from './image.js';
import { exploreLine } from './progress.js';
import type { ExploreJob, ExploreProgress } from './worker.js';
import { PORT } from '../../guest/perf/lbr_port.js';
import { askedCode, driverWords } from '../../console/kernel_source.js';
import { checkPictures } from '../../console/picture_options.js';
import { writePictures } from '../../tell/picture/write.js';
import { printJson, printLines } from '../../console/output.js';
import { withPolicyFiles } from '../../console/policy_files.js';
import { inWorkers, type PoolResults } from '../../console/pool.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./explore_worker.js', import.meta.url);

const MB = 1_000_000;
const DEPTH = 4;
const MEMORY_MB = 1024;

/** Returns the exit code. @throws UsageError before anything has run. */
export async function explore(given: ExploreOptions): Promise<number> {
  const quiet = checkPictures(given, given.json === true ? ['--json'] : []);
  const options = { ...given, policy: await withPolicyFiles(given.policy) };
  // A tree takes its time to build: what is wrong is said before.
  if (options.driver === 'kernel') checkImageOptions(options);
  const code = await askedCode(options);
  if (code?.driver.image !== undefined) return exploreImage(options, code);
  const job = jobOf(options);
  const began = performance.now();
  const { results, interrupted } = await explored({ ...job, binary: code?.bytes ?? null });
  const exploration: Exploration = {
    ...job,
    model: withDepth(entryOf('CPU', options.cpu, CPU_MODELS), options.depth ?? DEPTH),
    driver: code?.driver ?? PORT,
    source: code?.info ?? null,
    driverWords: driverWords(options),
    memoryMB: options.memory ?? MEMORY_MB,
    results,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
  };
  if (options.json === true) printJson(exploreJson(exploration));
  else if (!quiet) printLines(exploreText(exploration, coloursFor(process.stdout.isTTY)));
  await writePictures(options, async () => {
    const { exploreHtml } = await import('./html.js');
    return exploreHtml(exploration);
  });
  return exitCodeOf(exploration);
}

export function exitCodeOf({
  results,
  interrupted,
}: Pick<Exploration, 'results' | 'interrupted'>): number {
  const unexpected = results.flatMap(({ explored: found }) => unexpectedIn(found));
  return exitCode(interrupted, unexpected.length, results);
}

async function explored(job: ExploreJob): Promise<PoolResults<TimedExploration>> {
  const work = {
    worker: WORKER,
    job,
    // Whether something goes on for ever is found in silence, however large the search was.
    silence_ms: Infinity,
    advice: adviceOf,
  };
  const line = exploreLine(job.policies.length);
  return inWorkers<ExploreJob, ExploreProgress, TimedExploration>(work, line);
}

/** Checks everything that can be wrong with the options. */
export function jobOf(options: ExploreOptions): Omit<ExploreJob, 'binary'> {
  const { depth = DEPTH, memory = MEMORY_MB, symmetry } = options;
  return {
    ...askedOf(options, POLICY_PROPERTIES, depth),
    cpus: [withDepth(entryOf('CPU', options.cpu, CPU_MODELS), depth).name],
    maxLength: options.bound ?? Infinity,
    memoryBytes: memory * MB,
    fingerprints: options.fingerprints === true,
    symmetry,
  };
}

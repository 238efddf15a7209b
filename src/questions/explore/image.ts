/** `vlbr explore` where guests and host run the C of a tree: every schedule, one by one. */
import { isListOf, listFor } from '../../campaign/kernel_lists.js';
import { entryOf } from '../../console/arguments.js';
import { coloursFor } from '../../console/colours.js';
import { UsageError } from '../../console/errors.js';
import { driverWords, type KernelCode } from '../../console/kernel_source.js';
import { checkPictures } from '../../console/picture_options.js';
import { writePictures } from '../../tell/picture/write.js';
import { printJson, printLines } from '../../console/output.js';
import { inWorkers, type PoolResults } from '../../console/pool.js';
import { type ProgressLine, progressLine } from '../../console/progress.js';
import { compact } from '../../console/text.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { PROPERTIES } from '../../judge/properties.js';
import { adviceOf, type Asked, askedOf, exitCode, type ExploreOptions } from './asked.js';
import { imageJson } from './image_json.js';
import type { ImageExploration, TimedEnumeration } from './image_text.js';
import { imageText, unexpectedIn } from './image_text.js';
import type { ImageJob, ImageProgress } from './image_worker.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./explore_image_worker.js', import.meta.url);

/** One more action makes five to seven times as many schedules. */
const BOUND = 4;
const CALLS = 4;

function refuse(is: boolean, option: string, why: string): void {
  if (is) throw new UsageError(`${option} is for the port and for an lbr.c: ${why}`);
}

/**
 * Checks what can be wrong with the options.
 *
 * @throws UsageError for those about states, too, of which there are none.
 */
export function checkImageOptions(options: ExploreOptions): Asked {
  const { depth, memory, fingerprints, symmetry } = options;
  refuse(depth !== undefined, '--depth', 'a whole kernel finds the records that its CPU has');
  const why = 'schedules of a whole kernel are run one by one, and no states are kept';
  refuse(memory !== undefined, '--memory', why);
  refuse(fingerprints === true, '--fingerprints', why);
  refuse(!symmetry, '--no-symmetry', why);
  return askedOf(options, PROPERTIES, CALLS);
}

/** Returns the exit code. @throws UsageError before anything has run. */
export async function exploreImage(options: ExploreOptions, code: KernelCode): Promise<number> {
  const quiet = checkPictures(options, options.json === true ? ['--json'] : []);
  const { version } = code.info;
  const job: ImageJob = {
    ...checkImageOptions(options),
    cpus: [options.cpu],
    maxLength: options.bound ?? BOUND,
    version,
    binary: code.bytes,
  };
  const began = performance.now();
  const { results, interrupted } = await enumerated(job);
  const list = listFor(version);
  const exploration: ImageExploration = {
    ...job,
    model: entryOf('CPU', options.cpu, CPU_MODELS),
    driver: code.driver,
    source: code.info,
    driverWords: driverWords(options),
    list,
    ownList: isListOf(list, version),
    results,
    interrupted,
    elapsed_s: Math.round(performance.now() - began) / 1000,
  };
  if (options.json === true) printJson(imageJson(exploration));
  else if (!quiet) printLines(imageText(exploration, coloursFor(process.stdout.isTTY)));
  await writePictures(options, async () => {
    const { exploreHtml } = await import('./html.js');
    return exploreHtml(exploration);
  });
  return imageExitCode(exploration);
}

export function imageExitCode({
  results,
  interrupted,
}: Pick<ImageExploration, 'results' | 'interrupted'>): number {
  const unexpected = results.reduce((sum, { explored }) => sum + unexpectedIn(explored), 0);
  return exitCode(interrupted, unexpected, results);
}

async function enumerated(job: ImageJob): Promise<PoolResults<TimedEnumeration>> {
  const work = {
    worker: WORKER,
    job,
    silence_ms: Infinity,
    advice: (
      request: { readonly policy: string },
      { token }: { readonly token: string | null },
    ) => [...adviceOf(request), ...(token === null ? [] : [`vlbr replay ${token}`])],
  };
  return inWorkers<ImageJob, ImageProgress, TimedEnumeration>(work, imageLine());
}

/** How far each policy is: the length, and how many of its first actions are done. */
export function imageState(progress: readonly ImageProgress[], seconds: number): string {
  const schedules = progress.reduce((sum, now) => sum + now.schedules, 0);
  const rate = Math.round(schedules / Math.max(seconds, 0.001));
  const each = progress.map(
    ({ policy, length, done, of }) => `${policy} ${length} actions, ${done} of ${of}`,
  );
  return [`${compact(schedules)} schedules`, `${compact(rate)} schedules/s`, ...each].join(' | ');
}

function imageLine(): ProgressLine<readonly ImageProgress[]> {
  const first = { value: 0, total: 0, text: 'starting' };
  return progressLine<readonly ImageProgress[]>(
    (_style, _bar, { text }: { text: string }) => text,
    first,
    (progress, seconds) => ({ value: 0, total: 0, text: imageState(progress, seconds) }),
  );
}

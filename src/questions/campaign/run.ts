/** `vlbr campaign run` and `resume`: the owner of a campaign's directory. */
import { createHash } from 'node:crypto';
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { askedCode, type DriverOptions, driverWords } from '../../console/kernel_source.js';
import { namesOf, policiesOf } from '../../console/arguments.js';
import { UsageError } from '../../console/errors.js';
import { type MachineOptions, shapesOf, withoutOf } from '../../console/machine_options.js';
import { NO_LINE, progressLine, type ProgressLine } from '../../console/progress.js';
import { optionalQueue, type QueueOptions } from '../../console/queue_options.js';
import { compact, grouped } from '../../console/text.js';
import { type Asked, subjectsOf, type Target } from '../../store/asked.js';
import { Directory, type Sample } from '../../store/directory.js';
import { type Crew, workOff } from '../../store/owner.js';
import type { Published, QueueServer } from '../../store/queue_server.js';
import { codeIn, withThreads } from '../../store/threads.js';

/** As commander hands them over. */
export interface AskedOptions extends Omit<DriverOptions, 'kernelSrc'>, MachineOptions {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly kernelSrc?: readonly string[];
  readonly runs: number;
  readonly unitRuns: number;
  readonly seed: number;
  readonly shorten: boolean;
}

export interface WorkOptions extends QueueOptions {
  readonly jobs?: number;
}

/** Who works: threads, or workers at a queue that was reached. */
export type Workers = { readonly jobs?: number } | { readonly server: QueueServer };

/** Makes the directory of a new campaign. @throws UsageError, WriteError */
export async function newCampaign(path: string, options: AskedOptions): Promise<Directory> {
  const { asked, code } = await askedOf(options);
  return Directory.create(path, asked, code);
}

async function askedOf(
  options: AskedOptions,
): Promise<{ asked: Asked; code: Map<string, Uint8Array> }> {
  const { kernel, property, runs, unitRuns, seed, shorten, kernelSrc = [] } = options;
  if (/[./\\]/.test(options.policy)) {
    throw new UsageError('a campaign is of policies of vlbr, and takes no files of policies');
  }
  const code = new Map<string, Uint8Array>();
  const targets: Target[] = [];
  for (const source of kernelSrc.length === 0 ? [undefined] : kernelSrc) {
    const { driver, policy } = options;
    const one = {
      kernel,
      policy,
      ...(driver === undefined ? {} : { driver }),
      ...(source === undefined ? {} : { kernelSrc: source }),
    };
    // One after the other: a build uses all cores.
    // oxlint-disable-next-line no-await-in-loop
    targets.push(await targetOf(one, code));
  }
  const asked: Asked = {
    targets,
    cpus: namesOf(
      'CPU',
      options.cpu,
      CPU_MODELS.map(({ name }) => name),
    ),
    policies: policiesOf(options.policy, code.size > 0 ? null : kernel),
    properties: namesOf('property', property, PROPERTY_NAMES),
    shapes: shapesOf(options),
    without: withoutOf(options),
    runs,
    unitRuns,
    seed,
    // Exploration knows the port and lbr.c.
    shorten: shorten && code.size === 0,
  };
  return { asked, code };
}

/** @param code - takes the compiled code. */
async function targetOf(
  options: DriverOptions & Pick<AskedOptions, 'kernel'>,
  code: Map<string, Uint8Array>,
): Promise<Target> {
  const { kernel, kernelSrc } = options;
  const found = await askedCode(options);
  if (found === null) return { name: kernel, kernel, version: kernel, code: null, words: [] };
  const sha256 = createHash('sha256').update(found.bytes).digest('hex');
  code.set(sha256, found.bytes);
  const { version } = found.info;
  const words = driverWords(options);
  return { name: kernelSrc ?? version, kernel, version, code: sha256, words };
}

/** How far a campaign is, for the line on the terminal. */
type Now = Omit<Sample, 'at_ms'>;

/** Milliseconds between two samples of how far the campaign is. */
const SAMPLE_MS = 5000;

/**
 * Reaches the queue, if options give the work to one.
 *
 * @throws UsageError if it can't be reached, or if options contradict one another.
 */
export async function withWorkers<T>(
  options: WorkOptions,
  work: (workers: Workers) => Promise<T>,
): Promise<T> {
  const { jobs } = options;
  const address = optionalQueue(options);
  if (address === null) return work(jobs === undefined ? {} : { jobs });
  if (jobs !== undefined) {
    throw new UsageError('--jobs is for threads: with --queue, give it to vlbr worker');
  }
  const { withServer } = await import('../../store/queue_server.js');
  return withServer(address, NO_LINE, async (server) => work({ server }));
}

/** Works on a campaign until it is done, or until the work is to end. */
export async function workOn(directory: Directory, workers: Workers): Promise<void> {
  directory.keepOwner(process.pid);
  const { asked } = directory;
  const line = lineFor(asked);
  let sampled = -Infinity;
  let last: Now | null = null;
  const sample = (): void => {
    if (last !== null) directory.keepSample({ at_ms: Date.now(), ...last });
    sampled = performance.now();
  };
  const hear = (now: Now): void => {
    last = now;
    line.update(now);
    if (performance.now() - sampled >= SAMPLE_MS) sample();
  };
  const work = async (crew: Crew): Promise<void> => workOff(directory, crew, hear);
  if ('server' in workers) {
    const { withQueue } = await import('../../store/queue.js');
    await withQueue(publishedOf(directory), workers.server, line, work);
  } else {
    await withThreads(asked, { ...workers, line, codeOf: codeIn(directory) }, work);
  }
  sample();
}

/** What workers at a queue have to know of a campaign. */
function publishedOf(directory: Directory): Published {
  const { id, asked } = directory;
  const hashes = asked.targets.flatMap(({ code }) => code ?? []);
  return { id, asked, code: new Map(hashes.map((sha256) => [sha256, directory.code(sha256)])) };
}

function lineFor(asked: Asked): ProgressLine<Now> {
  const total = subjectsOf(asked).length * asked.runs;
  const first = { value: 0, total, done: '0', rate: '0', found: 0 };
  let before: Now | null = null;
  return progressLine(
    '{done} runs | {rate} actions/s | {found} different failures',
    first,
    (now, seconds) => {
      before ??= now;
      return {
        value: now.runs,
        total,
        done: grouped(now.runs),
        rate: compact(Math.round((now.steps - before.steps) / seconds)),
        found: now.failures,
      };
    },
  );
}

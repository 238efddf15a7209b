/** `vlbr verify`: judges policies by a campaign and prints the report. */
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { PORT } from '../../guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { type BaselineOptions, readBaseline, sinceOf } from '../../console/baseline.js';
import { coloursFor } from '../../console/colours.js';
import { settingsOf, verifyJson } from '../../tell/verdicts/json.js';
import { verifySuite } from '../../tell/verdicts/suite.js';
import { kernelVerdict } from '../../tell/verdicts/kernel_verdict.js';
import { checkShow, showWords } from '../../tell/verdicts/counterexamples.js';
import { exitCodeFor, lossesIn } from '../../tell/verdicts/losses.js';
import { type Campaign, type Extent, verifyText } from '../../tell/verdicts/text.js';
import type { HostSchedule, Recording } from '../../recording/recording.js';
import { checkPictures, type PictureOptions } from '../../console/picture_options.js';
import type { RecordingOptions } from '../../console/recording_options.js';
import { readOptionsOf, readWithProgress } from '../../console/recordings.js';
import { printable } from '../../recording/trace_error.js';
import { writePictures } from '../../tell/picture/write.js';
import { VERIFY_SCHEMA } from '../../campaign/replay_file.js';
import { guessLines } from '../../tell/recording_text.js';
import { areDefault, mergedReports, type Report } from '../../campaign/campaign.js';
import { entryOf, namesOf, policiesOf } from '../../console/arguments.js';
import { campaignsInUnits } from '../../console/campaigns.js';
import type { VerifyJob } from './worker.js';
import { UsageError } from '../../console/errors.js';
import type { DriverOptions } from '../../console/kernel_source.js';
import { askedCode, askedPort, driverWords } from '../../console/kernel_source.js';
import { checkReporters, type ReporterOptions, writeReports } from '../../console/reporters.js';
import { type MachineOptions, shapesOf, withoutOf } from '../../console/machine_options.js';
import { printJson, printLines } from '../../console/output.js';
import { withPolicyFiles } from '../../console/policy_files.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./verify_worker.js', import.meta.url);

/** The options as commander hands them over. */
export interface VerifyOptions
  extends
    DriverOptions,
    MachineOptions,
    RecordingOptions,
    PictureOptions,
    ReporterOptions,
    BaselineOptions {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly runs: number;
  readonly seed: number;
  readonly shorten: boolean;
  readonly jobs?: number;
  readonly schedule?: readonly string[];
  readonly json?: boolean;
  readonly show?: readonly string[];
  readonly summary?: boolean;
  readonly quiet?: boolean;
  readonly legend?: boolean;
}

/** Returns the exit code. @throws UsageError before anything has run. */
export async function verify(given: VerifyOptions): Promise<number> {
  const words = given.json === true ? ['--json'] : [];
  const reported = checkReporters(given, words);
  const quiet = checkPictures(given, [...words, ...reported]) || reported.length > 0;
  const options = { ...given, policy: await withPolicyFiles(given.policy) };
  const code = await askedCode(options);
  const asked = jobOf(options);
  const extent = extentOf(options, asked);
  const recordings = await recordingsOf(options);
  // Exploration knows the port and lbr.c.
  const shorten = asked.shorten && code?.driver.image === undefined;
  const version = code?.info.version ?? asked.kernel;
  const schedules = recordings.map(scheduleOf);
  const job = { ...asked, schedules, shorten, version, binary: code?.bytes ?? null };
  const model = entryOf('CPU', options.cpu, CPU_MODELS);
  const { kernel, shapes, policies, properties, without } = job;
  const guest = { model, kernel, driver: code?.driver ?? PORT, source: code?.info ?? null };
  const settings = { ...guest, policies, properties, shapes, without, recordings };
  const baseline = readBaseline(options, VERIFY_SCHEMA, settingsOf(settings));
  if (options.json !== true && !quiet) sayRecordings(recordings);
  const began = performance.now();
  const report = await runJob(job, options.jobs);
  const elapsed_s = Math.round(performance.now() - began) / 1000;
  const byKernel = kernelVerdict(report, job, model);
  const campaign: Campaign = {
    ...settings,
    driverWords: driverWords(options),
    seed: job.seed,
    runsAsked: job.runs,
    elapsed_s,
    report,
    byKernel,
    since: sinceOf(baseline, lossesIn({ report, byKernel }), report.interrupted),
  };
  if (options.json === true) printJson(verifyJson(campaign));
  else if (!quiet) printLines(verifyText(campaign, coloursFor(process.stdout.isTTY), extent));
  await writeReports(options, () => verifySuite(campaign));
  await writePictures(options, async () => {
    const { verifyHtml } = await import('../../tell/verdicts/html.js');
    return verifyHtml(campaign);
  });
  return exitCodeFor(campaign);
}

/** Checks everything that can be wrong with the options. */
function jobOf(options: VerifyOptions): Omit<VerifyJob, 'binary' | 'version' | 'schedules'> {
  const { cpu, kernel, runs, seed } = options;
  entryOf('CPU', cpu, CPU_MODELS);
  const policies = policiesOf(options.policy, askedPort(options));
  const properties = namesOf('property', options.property, PROPERTY_NAMES);
  const shapes = shapesOf(options);
  if (!areDefault(shapes) && (options.schedule ?? []).length > 0) {
    throw new UsageError(
      'with --schedule the machine is the recorded one; leave --vms, --vcpus, --tasks and ' +
        '--pcpus out',
    );
  }
  const without = withoutOf(options);
  // What is explored is neither a recording's own machine, nor without some actions.
  const explored = (options.schedule ?? []).length === 0 && without.length === 0;
  const shorten = options.shorten && explored;
  return { cpus: [cpu], kernel, shapes, policies, properties, runs, seed, shorten, without };
}

/** How much is printed. @throws UsageError for a wrong --show. */
function extentOf(
  { show = [], summary, quiet, legend }: VerifyOptions,
  { policies, properties }: Pick<VerifyJob, 'policies' | 'properties'>,
): Extent {
  const words = showWords(show);
  checkShow(words, policies, properties);
  const only = quiet === true ? 'quiet' : summary === true ? 'summary' : undefined;
  return { show: words, ...(only === undefined ? {} : { only }), legend: legend === true };
}

/** Options that say how a recording is read. */
const READING = {
  vm: '--vm',
  vcpuThreads: '--vcpu-threads',
  allowGaps: '--allow-gaps',
  last: '--last',
  machine: '--machine',
} as const;

/** Reads the recordings. */
async function recordingsOf(options: VerifyOptions): Promise<Recording[]> {
  const { schedule = [] } = options;
  if (schedule.length === 0) {
    const given = Object.entries(READING).find(([key]) => key in options);
    if (given !== undefined) {
      throw new UsageError(`${given[1]} says how a --schedule is read: give one`);
    }
    return [];
  }
  const reading = readOptionsOf(options);
  const recordings: Recording[] = [];
  // One after the other: each has the progress line.
  // oxlint-disable-next-line no-await-in-loop
  for (const path of schedule) recordings.push(await readWithProgress(path, reading));
  for (const { file, steps } of recordings) {
    if (steps.length > 0) continue;
    throw new UsageError(`${file}: no vCPU is ever switched, so there is nothing to run`);
  }
  return recordings;
}

/** Says before the run who is taken for a vCPU, since a wrong guess would spoil all of it. */
function sayRecordings(recordings: readonly Recording[]): void {
  for (const recording of recordings) {
    printLines([`reading ${printable(recording.file)}`, ...guessLines(recording), '']);
  }
}

/** What of a recording its runs need; the rest stays here. */
function scheduleOf({ file, vms, vcpus, pcpus, steps }: Recording): HostSchedule {
  return { file, vms, vcpus, pcpus, steps };
}

/** Judges every policy of the job. @throws WorkerBug when a worker met an exception. */
async function runJob(job: VerifyJob, jobs?: number): Promise<Report> {
  const { results, interrupted } = await campaignsInUnits<VerifyJob, Report>(WORKER, job, jobs);
  const report = mergedReports(results, job.properties);
  return { ...report, interrupted: interrupted || report.interrupted };
}

/** `vlbr verify`: judges policies by a campaign and prints the report. */
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { PORT } from '../../guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../judge/properties.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import { coloursFor } from '../../console/colours.js';
import { verifyJson } from './json.js';
import { kernelVerdict } from './kernel_verdict.js';
import { type Campaign, unexpectedIn, verifyText } from './text.js';
import { type Shape, shapeProblem } from '../../machine/config.js';
import { parseFtrace, readFtraceFile, TraceError } from '../../schedule/ftrace.js';
import type { HostSchedule } from '../../schedule/host_schedule.js';
import { DEFAULT_VCPU_THREADS, hostSchedule } from '../../schedule/host_schedule.js';
import { DEFAULT_SHAPES, mergedReports, type Report } from '../../campaign/campaign.js';
import { recordedShape } from '../../schedule/recorded.js';
import { entryOf, namesOf, policiesOf } from '../../console/arguments.js';
import { campaignsInWorkers } from '../../console/campaigns.js';
import type { VerifyJob } from './worker.js';
import { EXIT_EXPECTED, EXIT_INTERRUPTED, EXIT_UNEXPECTED } from '../../console/exit_codes.js';
import { UsageError } from '../../console/errors.js';
import type { DriverOptions } from '../../console/kernel_source.js';
import { askedCode, askedPort, driverWords } from '../../console/kernel_source.js';
import { printJson, printLines } from '../../console/output.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./verify_worker.js', import.meta.url);

/** The options as commander hands them over. */
export interface VerifyOptions extends DriverOptions, Partial<Shape> {
  readonly policy: string;
  readonly property: string;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly runs: number;
  readonly seed: number;
  readonly shorten: boolean;
  readonly schedule?: readonly string[];
  readonly vcpuThreads?: string;
  readonly json?: boolean;
}

/** Returns the exit code. @throws UsageError before anything has run. */
export async function verify(options: VerifyOptions): Promise<number> {
  const code = await askedCode(options);
  const asked = jobOf(options);
  // Exploration knows the port and lbr.c.
  const shorten = asked.shorten && code?.driver.image === undefined;
  const version = code?.info.version ?? asked.kernel;
  const job = { ...asked, shorten, version, binary: code?.bytes ?? null };
  const model = entryOf('CPU', options.cpu, CPU_MODELS);
  const began = performance.now();
  const report = await runJob(job);
  const elapsed_s = Math.round(performance.now() - began) / 1000;
  const { kernel, seed, shapes, schedules } = job;
  const guest = { model, kernel, driver: code?.driver ?? PORT, source: code?.info ?? null };
  const words = driverWords(options);
  const campaign: Campaign = {
    ...guest,
    driverWords: words,
    seed,
    shapes,
    schedules,
    runsAsked: job.runs,
    elapsed_s,
    report,
    byKernel: kernelVerdict(report, job, model),
  };
  if (options.json === true) printJson(verifyJson(campaign));
  else printLines(verifyText(campaign, coloursFor(process.stdout.isTTY)));
  if (report.interrupted) return EXIT_INTERRUPTED;
  return unexpectedIn(campaign) === 0 ? EXIT_EXPECTED : EXIT_UNEXPECTED;
}

/** Checks everything that can be wrong with the options. */
function jobOf(options: VerifyOptions): Omit<VerifyJob, 'binary' | 'version'> {
  const { cpu, kernel, runs, seed } = options;
  entryOf('CPU', cpu, CPU_MODELS);
  const policies = policiesOf(options.policy, askedPort(options));
  const properties = namesOf('property', options.property, PROPERTY_NAMES);
  const shapes = shapesOf(options);
  const schedules = schedulesOf(options);
  const recorded = schedules.map((schedule) => askedOf(schedule));
  for (const { where, shape } of [...shapes.map((s) => ({ where: '', shape: s })), ...recorded]) {
    const problem = shapeProblem(shape);
    if (problem === null) continue;
    throw new UsageError(where === '' ? problem : `${where}: ${problem.replace('--', '')}`);
  }
  // A recording's own machine is not one of those that are explored.
  const shorten = options.shorten && schedules.length === 0;
  return { cpus: [cpu], kernel, shapes, policies, properties, runs, seed, schedules, shorten };
}

/** One shape if any part of it was given, else those that make runs meet the most. */
function shapesOf({ vms, vcpus, tasks, pcpus, schedule = [] }: VerifyOptions): readonly Shape[] {
  if (vms === undefined && vcpus === undefined && tasks === undefined && pcpus === undefined) {
    return DEFAULT_SHAPES;
  }
  if (schedule.length > 0) {
    throw new UsageError(
      'with --schedule the machine is the recorded one; leave --vms, --vcpus, --tasks and ' +
        '--pcpus out',
    );
  }
  const perVm = vcpus ?? 1;
  return [{ vms: vms ?? 2, vcpus: perVm, tasks: tasks ?? Math.max(2, perVm), pcpus: pcpus ?? 1 }];
}

/** Reads the recordings. */
function schedulesOf({ schedule = [], vcpuThreads }: VerifyOptions): HostSchedule[] {
  if (schedule.length === 0 && vcpuThreads !== undefined) {
    throw new UsageError('--vcpu-threads says which threads of a --schedule are vCPUs: give one');
  }
  const threads = vcpuThreads === undefined ? DEFAULT_VCPU_THREADS : threadsOf(vcpuThreads);
  try {
    return schedule.map((path) => {
      const { file, text } = readFtraceFile(path);
      return hostSchedule(parseFtrace(text, file), threads, file);
    });
  } catch (error) {
    if (error instanceof TraceError) throw new UsageError(error.message);
    throw error;
  }
}

function threadsOf(regex: string): RegExp {
  try {
    return new RegExp(regex);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--vcpu-threads: ${why}; give a JavaScript regular expression`);
  }
}

/** The machine that a recording asks for, and how to begin the message if it can't be had. */
function askedOf(schedule: HostSchedule): { readonly where: string; readonly shape: Shape } {
  const { file, steps } = schedule;
  if (steps.length === 0) {
    throw new UsageError(`${file}: no vCPU is ever switched, so there is nothing to run`);
  }
  return { where: `${file}: the recorded machine is too large`, shape: recordedShape(schedule) };
}

/** Judges every policy of the job. @throws WorkerBug when a worker met an exception. */
async function runJob(job: VerifyJob): Promise<Report> {
  const { results, interrupted } = await campaignsInWorkers<VerifyJob, Report>(WORKER, job);
  const report = mergedReports(results, job.properties);
  return { ...report, interrupted: interrupted || report.interrupted };
}

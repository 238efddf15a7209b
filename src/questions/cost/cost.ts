/** `vlbr cost`: what each policy would have cost on recorded hosts. */
import { coloursFor } from '../../console/colours.js';
import { entryOf, modelledOf } from '../../console/arguments.js';
import { exitCodeOf } from '../../console/exit_codes.js';
import { UsageError } from '../../console/errors.js';
import { checkWritable, printJson, printLines, writeFileWhole } from '../../console/output.js';
import { withPolicyFiles } from '../../console/policy_files.js';
import { inWorkers } from '../../console/pool.js';
import { type JoinedGuest, readGuests } from '../../console/guests.js';
import { type ProgressLine, progressLine } from '../../console/progress.js';
import type { GuestOptions, RecordingOptions } from '../../console/recording_options.js';
import { readOptionsOf, readWithProgress } from '../../console/recordings.js';
import type { KernelVersion } from '../../guest/perf/kernel.js';
import { VMS_MAX } from '../../hw/branch.js';
import { CPU_MODELS } from '../../hw/cpu_models.js';
import type { Recording } from '../../recording/recording.js';
import { printable } from '../../recording/trace_error.js';
import { costCsv } from './csv.js';
import { PRICE_NAMES, type PriceName, readCosts } from './cost_table.js';
import { costJson } from './json.js';
import { type Profile, profileOf, PROFILES } from './profile.js';
import { IDLE_TASK, taskFor, type TaskSwitches } from './workload.js';
import type { VcpuThread } from '../../recording/vcpus.js';
import type { Sweep } from './summary.js';
import { costSvg } from './svg.js';
import { type Costs, costText } from './text.js';
import type { CostJob, CostProgress, PlayedHost, PolicyResult } from './worker.js';

/** The build puts the worker's code beside this. */
const WORKER: URL = new URL('./cost_worker.js', import.meta.url);

/** The longest that a worker may say nothing: a slice of a vCPU may be long. */
const SILENCE_MS = 10 * 60_000;

/** The options as commander hands them over. */
export interface CostOptions extends RecordingOptions, GuestOptions {
  readonly host: readonly string[];
  readonly policy: string;
  readonly profile?: readonly string[];
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly costs?: string;
  readonly without?: string;
  readonly sweep?: string;
  readonly vcpus?: boolean;
  readonly seed: number;
  readonly json?: boolean;
  readonly csv?: boolean;
  readonly svg?: string;
}

/** Returns the exit code. @throws UsageError before anything has run. */
export async function cost(options: CostOptions): Promise<number> {
  const { cpu, kernel, seed } = options;
  entryOf('CPU', cpu, CPU_MODELS);
  if (options.json === true && options.csv === true) {
    throw new UsageError('--json and --csv both want standard output; give one');
  }
  const policies = modelledOf(await withPolicyFiles(options.policy), kernel, 'vlbr cost');
  const profiles = profilesOf(options);
  const costs = readCosts(options.costs);
  const sweep = options.sweep === undefined ? null : sweepOf(options.sweep);
  if (options.svg !== undefined) checkWritable(options.svg);
  const recordings = await recordingsOf(options);
  const guests = await guestsOf(options, recordings);
  const job: CostJob = {
    cpus: [cpu],
    policies,
    binary: null,
    kernel,
    seed,
    hosts: recordings.map((recording) => hostOf(recording, guests)),
    profiles,
  };
  const { results, interrupted: stopped } = await play(job);
  const interrupted = stopped || recordings.some((recording) => recording.interrupted);
  const report: Costs = {
    recordings,
    guests,
    profiles,
    results,
    costs,
    sweep,
    interrupted,
    cpu,
    kernel,
    seed,
  };
  if (options.json === true) printJson(costJson(report));
  else if (options.csv === true) printLines(costCsv(report));
  else printLines(costText(report, options.vcpus === true, coloursFor(process.stdout.isTTY)));
  // Last: where it fails, the report is there.
  if (options.svg !== undefined) writeFileWhole(options.svg, await costSvg(report));
  return exitCodeOf({ cutShort: interrupted });
}

/** No recording has LBR events of the host, or live migrations: neither is ever played. */
const LEFT_OUT: readonly string[] = ['exits', 'host', 'migrate'];

function profilesOf({ profile, without }: CostOptions): Profile[] {
  const words = without === undefined ? [] : without.split(',');
  const stranger = words.find((word) => !LEFT_OUT.includes(word));
  if (stranger !== undefined) {
    const what = LEFT_OUT.join(', ');
    throw new UsageError(`--without ${printable(stranger)}: what can be left out is: ${what}`);
  }
  const profiles = profile === undefined ? PROFILES : profile.map(profileOf);
  return profiles.map((one) => (words.includes('exits') ? { ...one, exits: 0 } : one));
}

const SWEEP = /^([a-z]+)=(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)$/;

function sweepOf(text: string): Sweep {
  const names: readonly string[] = PRICE_NAMES.filter((name) => name !== 'ghz');
  const [, name, low, high] = SWEEP.exec(text) ?? [];
  const isRange = Number(low) < Number(high);
  if (name === undefined || !names.includes(name) || !isRange) {
    throw new UsageError(
      `--sweep ${printable(text)}: give NAME=LOW..HIGH, as exit=1000..4000; ` +
        `names: ${names.join(', ')}`,
    );
  }
  return { name: name as PriceName, low: Number(low), high: Number(high) };
}

async function recordingsOf(options: CostOptions): Promise<Recording[]> {
  const reading = readOptionsOf(options);
  const recordings: Recording[] = [];
  // One after the other: each has the progress line.
  // oxlint-disable-next-line no-await-in-loop
  for (const path of options.host) recordings.push(await readWithProgress(path, reading));
  for (const { file, steps, vcpus } of recordings) {
    if (vcpus.length > VMS_MAX) {
      throw new UsageError(
        `${printable(file)}: ${vcpus.length} vCPUs, and vlbr cost plays at most ${VMS_MAX}; ` +
          'name fewer with --vcpu-threads REGEX',
      );
    }
    if (steps.length > 0) continue;
    throw new UsageError(
      `${printable(file)}: no vCPU is ever switched, so there is nothing to count`,
    );
  }
  return recordings;
}

/** Guests' recordings are joined to VMs of one host. */
async function guestsOf(
  options: CostOptions,
  recordings: readonly Recording[],
): Promise<JoinedGuest[]> {
  if ((options.guest ?? []).length > 0 && recordings.length > 1) {
    throw new UsageError('--guest names a VM of one host; give one --host');
  }
  return readGuests(recordings[0], options);
}

/** The task switches of a vCPU, if its guest has recorded them. */
function tasksOf({ vm, index }: VcpuThread, guests: readonly JoinedGuest[]): TaskSwitches | null {
  const joined = guests.find((one) => one.vm === vm);
  if (joined === undefined) return null;
  const { guest, clock } = joined;
  const tasks = new Map<number, number>();
  const time: number[] = [];
  const task: number[] = [];
  for (let i = 0; i < guest.length; i++) {
    const pid = guest.next[i];
    if (!tasks.has(pid)) tasks.set(pid, taskFor(pid, tasks.size));
    if (guest.cpu[i] !== index) continue;
    time.push(guest.time[i] + clock.shift);
    task.push(tasks.get(pid) ?? IDLE_TASK);
  }
  return { time: Float64Array.from(time), task: Uint8Array.from(task) };
}

/** What of a recording a worker needs. */
function hostOf(recording: Recording, guests: readonly JoinedGuest[]): PlayedHost {
  const { steps, pcpus, vcpus, to } = recording;
  const all = vcpus.map(() => ({ time: [] as number[], entered: [] as number[] }));
  const events = recording.kvmEvents();
  while (events.next()) {
    const { time, entered } = all[events.vcpu];
    if (events.reason === null) {
      if (entered.length > 0 && entered[entered.length - 1] === Infinity) {
        entered[entered.length - 1] = events.time;
      }
    } else {
      time.push(events.time);
      entered.push(Infinity);
    }
  }
  const recorded = all.some(({ time }) => time.length > 0);
  const exits = recorded
    ? all.map(({ time, entered }) => ({
        time: Float64Array.from(time),
        entered: Float64Array.from(entered),
      }))
    : null;
  const tasks = vcpus.map((vcpu) => tasksOf(vcpu, guests));
  return { steps, pcpus: pcpus.length, vcpus: vcpus.length, to, exits, tasks };
}

/** How to see a bug again. */
function advice({ policy }: { readonly policy: string }): string[] {
  return [`policy ${policy}: the same command with --policy ${policy} shows it again`];
}

async function play(
  job: CostJob,
): Promise<{ results: readonly PolicyResult[]; interrupted: boolean }> {
  const work = { worker: WORKER, job, silence_ms: SILENCE_MS, advice };
  return inWorkers<CostJob, CostProgress, PolicyResult>(work, playingLine(job.policies.length));
}

function playingLine(policies: number): ProgressLine<readonly CostProgress[]> {
  return progressLine<readonly CostProgress[]>(
    'playing {what}',
    { value: 0, total: 1, what: '' },
    (progress) => {
      const wanted = Math.max(1, ...progress.map((one) => one.wanted)) * policies;
      const running = progress.filter((one) => one.done < one.wanted);
      return {
        value: progress.reduce((sum, { done }) => sum + done, 0),
        total: wanted,
        what: running.map(({ policy }) => policy).join(', '),
      };
    },
  );
}

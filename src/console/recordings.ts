/** Reads the recordings that a command line names. */
import { basename } from 'node:path';
import { type ReadOptions, type ReadProgress, readRecording } from '../recording/read.js';
import type { Recording } from '../recording/recording.js';
import { printable, TraceError } from '../recording/trace_error.js';
import { UsageError } from './errors.js';
import { Interrupt } from './interrupt.js';
import { type ProgressLine, progressLine, type Shown } from './progress.js';
import type { RecordingOptions } from './recording_options.js';
import { smallFile } from './small_file.js';
import { grouped } from './text.js';

/** What the words of the command line say. @throws UsageError */
export function readOptionsOf(options: RecordingOptions): ReadOptions {
  const { vm = [], vcpuThreads, allowGaps = false, last, machine } = options;
  return {
    allowGaps,
    vms: vmsOf(vm),
    vcpuThreads: vcpuThreads === undefined ? null : threadsOf(vcpuThreads),
    ...(last === undefined ? {} : { last }),
    ...(machine === undefined ? {} : { machine }),
  };
}

function threadsOf(regex: string): RegExp {
  try {
    return new RegExp(regex);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--vcpu-threads: ${why}; give a JavaScript regular expression`);
  }
}

const INLINE_VM = /^([^=]{1,60})=(\d{1,10}(?:,\d{1,10})*)$/;

function vmsOf(words: readonly string[]): Map<string, number[]> {
  const vms = new Map<string, number[]>();
  for (const word of words) {
    const inline = INLINE_VM.exec(word);
    const pairs: readonly (readonly [string, number[]])[] =
      inline === null ? vmFile(word) : [[inline[1], inline[2].split(',').map(Number)]];
    for (const [name, pids] of pairs) {
      const shown = printable(name);
      vms.set(shown, [...(vms.get(shown) ?? []), ...pids]);
    }
  }
  return vms;
}

const VM_SAYS = 'give NAME=PID,PID or a JSON file such as {"web": [1001, 1002], "db": [2001]}';

function vmFile(path: string): [string, number[]][] {
  let value: unknown;
  try {
    value = JSON.parse(smallFile(path));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--vm ${printable(path)}: ${printable(why)}; ${VM_SAYS}`);
  }
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const good = entries.every(([, pids]) => Array.isArray(pids) && pids.every(isPid));
  if (entries.length === 0 || Array.isArray(value) || !good) {
    throw new UsageError(`--vm ${printable(path)}: this names no VMs and pids; ${VM_SAYS}`);
  }
  return entries as [string, number[]][];
}

function isPid(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0;
}

/** Reads a recording, and shows how far the reading is. @throws UsageError for what is wrong. */
export async function readWithProgress(path: string, options: ReadOptions): Promise<Recording> {
  const work = new Interrupt(readingLine(path));
  try {
    const { signal } = work;
    return await readRecording(path, options, { progress: (p) => work.show(p), signal });
  } catch (error) {
    if (error instanceof TraceError) throw new UsageError(error.message);
    throw error;
  } finally {
    work.end();
  }
}

const MB = 1e6;

function shownOf(progress: ReadProgress, seconds: number): Shown {
  return {
    // A bar of a pipe stays empty: nobody knows how much there is to come.
    value: progress.size === 0 ? 0 : progress.done,
    total: Math.max(1, progress.size),
    read: grouped(Math.round(progress.done / MB)),
    lines: grouped(progress.lines),
    rate: grouped(Math.round(progress.done / MB / Math.max(0.001, seconds))),
  };
}

function readingLine(path: string): ProgressLine<ReadProgress> {
  const name = printable(path === '-' ? 'standard input' : basename(path)).slice(0, 30);
  return progressLine(
    `reading ${name} | {read} MB, {lines} lines | {rate} MB/s`,
    { value: 0, total: 1, read: '0', lines: '0', rate: '0' },
    shownOf,
  );
}

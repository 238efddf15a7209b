/** The options by which commands read recordings, and what `--help` says of them. */
import type { Command } from 'commander';
import { CPU_MAX } from '../recording/rows.js';
import { VCPUS_MAX } from '../recording/vcpus.js';
import { collect, wholeNumber } from './arguments.js';
import { grouped } from './text.js';

/** The options as commander hands them over. */
export interface RecordingOptions {
  readonly vm?: readonly string[];
  readonly vcpuThreads?: string;
  readonly allowGaps?: boolean;
  readonly last?: number;
  readonly machine?: string;
}

const LAST_MAX = 100_000_000;

/** Adds the options to a command. */
export function addRecordingOptions(command: Command): Command {
  return command
    .option(
      '--vm <vm>',
      'NAME=PID,PID: the vCPU threads of a VM; or a JSON file; repeatable',
      collect,
    )
    .option('--vcpu-threads <regex>', 'which threads are vCPUs, by name; default: known names, KVM')
    .option('--allow-gaps', 'read on where a switch is missing, and say where')
    .option('--last <n>', 'keep the last n sched_switch events only', wholeNumber(1, LAST_MAX))
    .option('--machine <name>', "one of several machines in a text, as host.dat; '' has no prefix");
}

/** What `--help` says of recordings. */
export const RECORDINGS_HELP: string = `Recordings:
  A FILE is text of trace-cmd report, tracefs (trace, trace_pipe), perf script with a CPU column,
  Perfetto, systrace (HTML, too) or babeltrace, as it is or packed with gzip, xz or zstd; a
  trace.dat or perf.data, if trace-cmd or perf is installed; a pipe; or - for standard input.
  It needs sched_switch of all threads. kvm_entry and kvm_exit say which threads are vCPUs.
  Most vCPUs in a recording: ${grouped(VCPUS_MAX)}, in as many VMs; CPU numbers up to \
${grouped(CPU_MAX)}. Only CPUs on which a
  vCPU runs count. A pipe that does not end is read until Ctrl-C; use --last to bound the memory.`;

/** The options of guests' own recordings, as commander hands them over. */
export interface GuestOptions {
  readonly guest?: readonly string[];
  readonly clockOffset?: readonly string[];
}

/** Adds the options of guests to a command. */
export function addGuestOptions(command: Command): Command {
  return command
    .option('--guest <vm=file>', 'what a VM has recorded of its own tasks; repeatable', collect)
    .option(
      '--clock-offset <vm=ns>',
      "host's clock less the VM's, in nanoseconds; by default estimated; repeatable",
      collect,
    );
}

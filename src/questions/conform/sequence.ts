/**
 * A sequence of calls of lbr.c's functions, and of changes around them, as plain data. The same
 * sequence has the same effect on the port and on the C code.
 */
import type { PmuVersion } from './subjects.js';

/** Numbers of the objects that a call can name. */
export const CPUS = 2;
export const CONTEXTS = 4;
export const EVENTS = 4;

/** Kind of an argument, for printing. */
type ArgumentKind = 'cpu' | 'event' | 'ctx' | 'data' | 'flag' | 'hex' | 'number' | 'stir';

/** The functions of lbr.c that perf calls. */
export type DriverFunction =
  | 'intel_pmu_setup_lbr_filter'
  | 'intel_pmu_lbr_add'
  | 'intel_pmu_lbr_del'
  | 'intel_pmu_lbr_enable_all'
  | 'intel_pmu_lbr_disable_all'
  | 'intel_pmu_lbr_read'
  | 'intel_pmu_lbr_reset'
  | 'intel_pmu_lbr_sched_task'
  | 'intel_pmu_lbr_swap_task_ctx';

/** Changes that other code makes in the kernel's memory. */
export type Poke =
  'setTaskData' | 'garbleTaskData' | 'useFilter' | 'setFilter' | 'setGuestMask' | 'setRan';

export type FunctionName = DriverFunction | Poke | 'stir';

/** Changes of registers without the driver, by number: see RegisterFile.stir(). */
export const STIRS: readonly string[] = [
  'deep C-state',
  'other records',
  'branches',
  'an empty record',
  'other DEBUGCTL',
  'other LBR_SELECT',
];
/** Records some branches. Right after a reset the stack would otherwise stay empty. */
export const STIR_BRANCHES = 2;

/** The arguments of each function. */
export const FUNCTIONS: Readonly<Record<FunctionName, readonly ArgumentKind[]>> = {
  /** First sets the event's context, branch_sample_type, flag and whether it has run. */
  intel_pmu_setup_lbr_filter: ['event', 'ctx', 'hex', 'flag', 'flag'],
  intel_pmu_lbr_add: ['cpu', 'event'],
  intel_pmu_lbr_del: ['cpu', 'event'],
  intel_pmu_lbr_enable_all: ['cpu', 'flag'],
  intel_pmu_lbr_disable_all: ['cpu'],
  intel_pmu_lbr_read: ['cpu'],
  intel_pmu_lbr_reset: ['cpu'],
  /** Context -1 means none. */
  intel_pmu_lbr_sched_task: ['cpu', 'ctx', 'flag'],
  intel_pmu_lbr_swap_task_ctx: ['cpu', 'ctx', 'ctx'],
  /** Gives the context this data, or none for -1. */
  setTaskData: ['ctx', 'data'],
  /** Puts arbitrary values into a task's data: lbr_sel, tos, valid_lbrs, and the opt part. */
  garbleTaskData: ['data', 'hex', 'hex', 'hex', 'number', 'number', 'flag', 'hex'],
  /** The shared register takes the event's configuration. */
  useFilter: ['cpu', 'event'],
  /** The shared register takes any value, low word first. */
  setFilter: ['cpu', 'hex', 'hex'],
  setGuestMask: ['cpu', 'flag'],
  setRan: ['event', 'flag'],
  stir: ['cpu', 'stir', 'number'],
};

export interface Call {
  readonly fn: FunctionName;
  readonly args: readonly number[];
}

/** Determines what the MSRs hold before the first write. */
export interface RegisterSpec {
  readonly seed: number;
  /** No record is empty. */
  readonly full: boolean;
  /** Addresses, flags and high words that no hardware would leave. */
  readonly wildRecords: boolean;
  /** TOS beyond the stack, up to 64 bits. */
  readonly wildTos: boolean;
}

export interface Sequence {
  /** Name of a subject. */
  readonly cpu: string;
  readonly pmuVersion: PmuVersion;
  readonly registers: RegisterSpec;
  readonly calls: readonly Call[];
}

function argumentText(kind: ArgumentKind, value: number): string {
  switch (kind) {
    case 'hex':
      return `0x${(value >>> 0).toString(16)}`;
    case 'number':
      return String(value);
    case 'stir':
      return STIRS[value];
    case 'flag':
      return value === 0 ? 'false' : 'true';
    default:
      return value < 0 ? 'NULL' : `${kind}${value}`;
  }
}

/** A call as text: `intel_pmu_lbr_add(cpu0, event1)`. */
export function callText({ fn, args }: Call): string {
  const kinds = FUNCTIONS[fn];
  return `${fn}(${args.map((value, i) => argumentText(kinds[i], value)).join(', ')})`;
}

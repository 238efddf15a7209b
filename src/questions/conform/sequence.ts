/**
 * A sequence of calls of lbr.c's functions, and of what happens around them, as plain data: the
 * same sequence does the same to the port and to the C code.
 */
import type { PmuVersion } from './subjects.js';

/** How many there are of what calls name. */
export const CPUS = 2;
export const CONTEXTS = 4;
export const EVENTS = 4;

/** What an argument is, for printing. */
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

/** What other code writes into the kernel's words. */
export type Poke =
  'setTaskData' | 'garbleTaskData' | 'useFilter' | 'setFilter' | 'setGuestMask' | 'setRan';

export type FunctionName = DriverFunction | Poke | 'stir';

/** Ways in which they do, by number: see RegisterFile.stir(). */
export const STIRS: readonly string[] = [
  'deep C-state',
  'other records',
  'branches',
  'an empty record',
  'other DEBUGCTL',
  'other LBR_SELECT',
];
/** Branches are recorded: a driver that has just reset the stack is in want of them. */
export const STIR_BRANCHES = 2;

/** The arguments of each function. */
export const FUNCTIONS: Readonly<Record<FunctionName, readonly ArgumentKind[]>> = {
  /** After the event has got its context, its branch_sample_type, its flag and whether it ran. */
  intel_pmu_setup_lbr_filter: ['event', 'ctx', 'hex', 'flag', 'flag'],
  intel_pmu_lbr_add: ['cpu', 'event'],
  intel_pmu_lbr_del: ['cpu', 'event'],
  intel_pmu_lbr_enable_all: ['cpu', 'flag'],
  intel_pmu_lbr_disable_all: ['cpu'],
  intel_pmu_lbr_read: ['cpu'],
  intel_pmu_lbr_reset: ['cpu'],
  /** Context -1 is none. */
  intel_pmu_lbr_sched_task: ['cpu', 'ctx', 'flag'],
  intel_pmu_lbr_swap_task_ctx: ['cpu', 'ctx', 'ctx'],
  /** Gives the context that data, or none for -1. */
  setTaskData: ['ctx', 'data'],
  /** Leaves arbitrary values in a task's data: lbr_sel, tos, valid_lbrs, and the opt part. */
  garbleTaskData: ['data', 'hex', 'hex', 'hex', 'number', 'number', 'flag', 'hex'],
  /** The shared register takes what the event asks for. */
  useFilter: ['cpu', 'event'],
  /** The shared register takes any value, low word first. */
  setFilter: ['cpu', 'hex', 'hex'],
  setGuestMask: ['cpu', 'flag'],
  setRan: ['event', 'flag'],
  /** Registers change without the driver. */
  stir: ['cpu', 'stir', 'number'],
};

export interface Call {
  readonly fn: FunctionName;
  readonly args: readonly number[];
}

/** What the MSRs hold before anybody has written them follows from this alone. */
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

/** A call as it would be written: `intel_pmu_lbr_add(cpu0, event1)`. */
export function callText({ fn, args }: Call): string {
  const kinds = FUNCTIONS[fn];
  return `${fn}(${args.map((value, i) => argumentText(kinds[i], value)).join(', ')})`;
}

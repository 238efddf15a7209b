/**
 * Models the structures of include/linux/perf_event.h and arch/x86/events/perf_event.h, Linux
 * 6.1, that the LBR path uses, as tables of the words of a kernel's memory. References between
 * objects are object numbers plus one, so that a zeroed word is a null pointer; those that lbr.c
 * follows are kept as addresses. src/tree/shim/perf_event.h has the same words as C structures, and
 * C code alone uses `pmu` and `group_leader`.
 */
import { struct, type StructClass, wordOf } from '../../hw/struct.js';
import { LBR_ENTRY_WORDS } from './perf_event.js';
import type { ObjectTable } from './struct.js';

const TASK_STRUCT = {
  /** Its perf_event_context, plus one; 0 is none. */
  perf_event_ctxp: 'int',
  /** CPU on which it is current, plus one; 0 while it does not run. */
  on_cpu: 'int',
  /** CPU on which it last ran. */
  cpu: 'int',
  /** 1 once it was forked, 2 once it has exited. */
  alive: 'int',
} as const;

const TaskWords: StructClass<typeof TASK_STRUCT> = struct(TASK_STRUCT);

/** struct task_struct. */
export class task_struct extends TaskWords {}

/** perf_event_context::task of a context whose task has exited. */
export const TASK_TOMBSTONE = -1;

const PERF_EVENT_CONTEXT = {
  /** The task, plus one; 0 for a CPU's own context; TASK_TOMBSTONE once the task has exited. */
  task: 'int',
  parent_ctx: 'int',
  parent_gen: 'int',
  generation: 'int',
  nr_events: 'int',
  nr_active: 'int',
  is_active: 'int',
  /** An x86_perf_task_context, plus one. */
  task_ctx_data: 'int',
  rotate_necessary: 'int',
  /** 1 while some task or CPU holds it. */
  used: 'int',
  pmu: 'int',
  /** References of its perf_event_pmu_context, 6.2 and later. C code does not know this word. */
  pmu_ctx_refs: 'int',
} as const;

/** Word of the reference that is kept as an address. */
export const TASK_CTX_DATA_AT: number = wordOf(PERF_EVENT_CONTEXT, 'task_ctx_data');
const ContextWords: StructClass<typeof PERF_EVENT_CONTEXT> = struct(PERF_EVENT_CONTEXT);

/** struct perf_event_context; its list of events comes behind its WORDS. */
export class perf_event_context extends ContextWords {
  private readonly data: ObjectTable;
  /** Word offset of event_list. */
  private readonly list: number;

  /** @param events - events that it has room for. */
  constructor(w: Int32Array, o: number, id: number, data: ObjectTable, events: number) {
    super(w, o, id);
    this.data = data;
    this.list = o + perf_event_context.WORDS + events;
  }

  /** Words of a context that has room for so many events. */
  static wordsFor(events: number): number {
    return perf_event_context.WORDS + 2 * events;
  }

  override get task_ctx_data(): number {
    return this.data.plusOne(this.w[this.o + TASK_CTX_DATA_AT]);
  }
  override set task_ctx_data(v: number) {
    this.w[this.o + TASK_CTX_DATA_AT] = this.data.address(v);
  }

  /** Number of the event whose turn comes as the i-th; i in [0, nr_events). */
  event(i: number): number {
    return this.w[this.o + perf_event_context.WORDS + i];
  }
  setEvent(i: number, event: number): void {
    this.w[this.o + perf_event_context.WORDS + i] = event;
  }

  /** Number of the i-th event of event_list, oldest first; i in [0, nr_events). */
  listed(i: number): number {
    return this.w[this.list + i];
  }
  setListed(i: number, event: number): void {
    this.w[this.list + i] = event;
  }
}

const X86_PERF_TASK_CONTEXT = {
  /** lbr_sel, low word. */
  lbr_sel: 'int',
  lbr_sel_hi: 'int',
  tos: 'int',
  valid_lbrs: 'int',
  lbr_callstack_users: 'int',
  lbr_stack_state: 'int',
  log_id: 'int',
} as const;

/** Word of the count of users, in 6.15 and later those of events that may count on other CPUs. */
export const USERS_AT: number = wordOf(X86_PERF_TASK_CONTEXT, 'lbr_callstack_users');
const DataWords: StructClass<typeof X86_PERF_TASK_CONTEXT> = struct(X86_PERF_TASK_CONTEXT);

/** struct x86_perf_task_context, with its opt part; the saved records come behind its WORDS. */
export class x86_perf_task_context extends DataWords {
  /** Word offset, in the kernel's memory, of the i-th saved record, newest first. */
  lbr(i: number): number {
    return this.o + x86_perf_task_context.WORDS + i * LBR_ENTRY_WORDS;
  }
}

const PERF_EVENT = {
  state: 'int',
  /** Its perf_event_context, plus one; 0 for a free event. */
  ctx: 'int',
  /** -1, or the CPU of a CPU event. */
  cpu: 'int',
  /** -1, or the CPU on which it counts. */
  oncpu: 'int',
  /** ATTR_* bits. */
  attr: 'int',
  branch_sample_type: 'int',
  /** hw.branch_reg.reg: the software filter, X86_BR_*. */
  branch_reg_reg: 'int',
  /** hw.branch_reg.config, low word: the value for LBR_SELECT. */
  branch_reg_config: 'int',
  /** hw.branch_reg.config, high word: LBR_NO_INFO only. */
  branch_reg_config_hi: 'int',
  /** 1 when hw.branch_reg.idx is EXTRA_REG_LBR, 0 when it is EXTRA_REG_NONE. */
  branch_reg_idx: 'int',
  branch_reg_alloc: 'int',
  /** hw.idx. */
  idx: 'int',
  /** hw.flags & PERF_X86_EVENT_LBR_SELECT. */
  lbr_select_flag: 'int',
  /** 0 until the event has run; the kernel only ever asks whether it is zero. */
  total_time_running: 'int',
  pending_disable: 'int',
  /** The event it was inherited from, plus one. */
  parent: 'int',
  /** 1 while the slot holds an event. */
  used: 'int',
  pmu: 'int',
  group_leader: 'int',
  /** hw.target: the task that it was opened for, plus one. C code does not know this word. */
  target: 'int',
} as const;

/** Word of the reference that is kept as an address. */
export const EVENT_CTX_AT: number = wordOf(PERF_EVENT, 'ctx');
export const TARGET_AT: number = wordOf(PERF_EVENT, 'target');
const EventWords: StructClass<typeof PERF_EVENT> = struct(PERF_EVENT);

/** struct perf_event with the parts of its attr and hw that matter here. */
export class perf_event extends EventWords {
  private readonly contexts: ObjectTable;

  constructor(w: Int32Array, o: number, id: number, contexts: ObjectTable) {
    super(w, o, id);
    this.contexts = contexts;
  }

  override get ctx(): number {
    return this.contexts.plusOne(this.w[this.o + EVENT_CTX_AT]);
  }
  override set ctx(v: number) {
    this.w[this.o + EVENT_CTX_AT] = this.contexts.address(v);
  }
}

const PERF_CTX_DATA = {
  /** References of events and, for all system-wide ones together, of `global`. */
  refcount: 'int',
  global: 'int',
  /** DATA_*. */
  life: 'int',
  /** The block that was freed before it, plus one. */
  next: 'int',
} as const;

export const REFCOUNT_AT: number = wordOf(PERF_CTX_DATA, 'refcount');
export const GLOBAL_AT: number = wordOf(PERF_CTX_DATA, 'global');
const PerfCtxDataWords: StructClass<typeof PERF_CTX_DATA> = struct(PERF_CTX_DATA);

/**
 * struct perf_ctx_data, for the x86_perf_task_context of the same number. A kernel before 6.15 uses
 * the life of the block alone.
 */
export class perf_ctx_data extends PerfCtxDataWords {}

/** Words of which a kernel has one. */
const STATICS = {
  global_ctx_data_ref: 'int',
  /** x86_pmu.lbr_callstack_users: those of system-wide events. */
  lbr_callstack_users: 'int',
  /** The block of task data that was freed last, plus one. */
  free_data: 'int',
  /** Whether a block, or a context, may be free once the grace period is over. */
  dropped: 'int',
  /** Whether Intel PT is in use, from which perf keeps LBR apart. */
  pt: 'int',
} as const;

export const GLOBAL_CTX_DATA_REF_AT: number = wordOf(STATICS, 'global_ctx_data_ref');
export const LBR_CALLSTACK_USERS_AT: number = wordOf(STATICS, 'lbr_callstack_users');
export const DROPPED_AT: number = wordOf(STATICS, 'dropped');
const StaticWords: StructClass<typeof STATICS> = struct(STATICS);

/** Static data of the perf core and the driver. */
export class perf_statics extends StaticWords {}

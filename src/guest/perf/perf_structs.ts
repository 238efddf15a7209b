/**
 * Models the structures of include/linux/perf_event.h and arch/x86/events/perf_event.h, Linux
 * 6.1, that the LBR path uses, as accessors over a kernel's memory. References between objects
 * are object numbers plus one, so that a zeroed word is a null pointer; those that lbr.c follows
 * are kept as addresses. src/tree/shim/perf_event.h has the same words as C structures.
 */
import { LBR_ENTRY_WORDS } from './perf_event.js';
import type { ObjectTable } from './struct.js';
import { Struct } from './struct.js';

/** Words of references, in perf_event_context and perf_event. */
export const TASK_CTX_DATA_AT = 7;
export const EVENT_CTX_AT = 1;

/** struct task_struct. */
export class task_struct extends Struct {
  static readonly WORDS = 4;

  /** Its perf_event_context, plus one; 0 is none. */
  get perf_event_ctxp(): number {
    return this.w[this.o];
  }
  set perf_event_ctxp(v: number) {
    this.w[this.o] = v;
  }
  /** CPU on which it is current, plus one; 0 while it does not run. */
  get on_cpu(): number {
    return this.w[this.o + 1];
  }
  set on_cpu(v: number) {
    this.w[this.o + 1] = v;
  }
  /** CPU on which it last ran. */
  get cpu(): number {
    return this.w[this.o + 2];
  }
  set cpu(v: number) {
    this.w[this.o + 2] = v;
  }
  /** 1 once it was forked. */
  get alive(): number {
    return this.w[this.o + 3];
  }
  set alive(v: number) {
    this.w[this.o + 3] = v;
  }
}

/** struct perf_event_context. */
export class perf_event_context extends Struct {
  /** Words before the list of events. */
  static readonly WORDS = 11;

  private readonly data: ObjectTable;

  constructor(w: Int32Array, o: number, id: number, data: ObjectTable) {
    super(w, o, id);
    this.data = data;
  }

  /** The task, plus one; 0 for a CPU's own context. */
  get task(): number {
    return this.w[this.o];
  }
  set task(v: number) {
    this.w[this.o] = v;
  }
  get parent_ctx(): number {
    return this.w[this.o + 1];
  }
  set parent_ctx(v: number) {
    this.w[this.o + 1] = v;
  }
  get parent_gen(): number {
    return this.w[this.o + 2];
  }
  set parent_gen(v: number) {
    this.w[this.o + 2] = v;
  }
  get generation(): number {
    return this.w[this.o + 3];
  }
  set generation(v: number) {
    this.w[this.o + 3] = v;
  }
  get nr_events(): number {
    return this.w[this.o + 4];
  }
  set nr_events(v: number) {
    this.w[this.o + 4] = v;
  }
  get nr_active(): number {
    return this.w[this.o + 5];
  }
  set nr_active(v: number) {
    this.w[this.o + 5] = v;
  }
  get is_active(): number {
    return this.w[this.o + 6];
  }
  set is_active(v: number) {
    this.w[this.o + 6] = v;
  }
  /** An x86_perf_task_context, plus one. */
  get task_ctx_data(): number {
    return this.data.plusOne(this.w[this.o + TASK_CTX_DATA_AT]);
  }
  set task_ctx_data(v: number) {
    this.w[this.o + TASK_CTX_DATA_AT] = this.data.address(v);
  }
  get rotate_necessary(): number {
    return this.w[this.o + 8];
  }
  set rotate_necessary(v: number) {
    this.w[this.o + 8] = v;
  }
  /** 1 while some task or CPU holds it. */
  get used(): number {
    return this.w[this.o + 9];
  }
  set used(v: number) {
    this.w[this.o + 9] = v;
  }

  /** Number of the i-th event of event_list, oldest first; i in [0, nr_events). */
  event(i: number): number {
    return this.w[this.o + perf_event_context.WORDS + i];
  }
  setEvent(i: number, event: number): void {
    this.w[this.o + perf_event_context.WORDS + i] = event;
  }
}

/** struct x86_perf_task_context, with its opt part. */
export class x86_perf_task_context extends Struct {
  /** Words before the saved records. */
  static readonly WORDS = 7;

  /** lbr_sel, low word. */
  get lbr_sel(): number {
    return this.w[this.o];
  }
  set lbr_sel(v: number) {
    this.w[this.o] = v;
  }
  get lbr_sel_hi(): number {
    return this.w[this.o + 1];
  }
  set lbr_sel_hi(v: number) {
    this.w[this.o + 1] = v;
  }
  get tos(): number {
    return this.w[this.o + 2];
  }
  set tos(v: number) {
    this.w[this.o + 2] = v;
  }
  get valid_lbrs(): number {
    return this.w[this.o + 3];
  }
  set valid_lbrs(v: number) {
    this.w[this.o + 3] = v;
  }
  get lbr_callstack_users(): number {
    return this.w[this.o + 4];
  }
  set lbr_callstack_users(v: number) {
    this.w[this.o + 4] = v;
  }
  get lbr_stack_state(): number {
    return this.w[this.o + 5];
  }
  set lbr_stack_state(v: number) {
    this.w[this.o + 5] = v;
  }
  get log_id(): number {
    return this.w[this.o + 6];
  }
  set log_id(v: number) {
    this.w[this.o + 6] = v;
  }

  /** Word offset, in the kernel's memory, of the i-th saved record, newest first. */
  lbr(i: number): number {
    return this.o + x86_perf_task_context.WORDS + i * LBR_ENTRY_WORDS;
  }
}

/** struct perf_event with the parts of its attr and hw that matter here. */
export class perf_event extends Struct {
  static readonly WORDS = 19;

  private readonly contexts: ObjectTable;

  constructor(w: Int32Array, o: number, id: number, contexts: ObjectTable) {
    super(w, o, id);
    this.contexts = contexts;
  }

  get state(): number {
    return this.w[this.o];
  }
  set state(v: number) {
    this.w[this.o] = v;
  }
  /** Its perf_event_context, plus one; 0 for a free event. */
  get ctx(): number {
    return this.contexts.plusOne(this.w[this.o + EVENT_CTX_AT]);
  }
  set ctx(v: number) {
    this.w[this.o + EVENT_CTX_AT] = this.contexts.address(v);
  }
  /** -1, or the CPU of a CPU event. */
  get cpu(): number {
    return this.w[this.o + 2];
  }
  set cpu(v: number) {
    this.w[this.o + 2] = v;
  }
  /** -1, or the CPU on which it counts. */
  get oncpu(): number {
    return this.w[this.o + 3];
  }
  set oncpu(v: number) {
    this.w[this.o + 3] = v;
  }
  /** ATTR_* bits. */
  get attr(): number {
    return this.w[this.o + 4];
  }
  set attr(v: number) {
    this.w[this.o + 4] = v;
  }
  get branch_sample_type(): number {
    return this.w[this.o + 5];
  }
  set branch_sample_type(v: number) {
    this.w[this.o + 5] = v;
  }
  /** hw.branch_reg.reg: the software filter, X86_BR_*. */
  get branch_reg_reg(): number {
    return this.w[this.o + 6];
  }
  set branch_reg_reg(v: number) {
    this.w[this.o + 6] = v;
  }
  /** hw.branch_reg.config, low word: the value for LBR_SELECT. */
  get branch_reg_config(): number {
    return this.w[this.o + 7];
  }
  set branch_reg_config(v: number) {
    this.w[this.o + 7] = v;
  }
  /** hw.branch_reg.config, high word: LBR_NO_INFO only. */
  get branch_reg_config_hi(): number {
    return this.w[this.o + 8];
  }
  set branch_reg_config_hi(v: number) {
    this.w[this.o + 8] = v;
  }
  /** 1 when hw.branch_reg.idx is EXTRA_REG_LBR, 0 when it is EXTRA_REG_NONE. */
  get branch_reg_idx(): number {
    return this.w[this.o + 9];
  }
  set branch_reg_idx(v: number) {
    this.w[this.o + 9] = v;
  }
  get branch_reg_alloc(): number {
    return this.w[this.o + 10];
  }
  set branch_reg_alloc(v: number) {
    this.w[this.o + 10] = v;
  }
  /** hw.idx. */
  get idx(): number {
    return this.w[this.o + 11];
  }
  set idx(v: number) {
    this.w[this.o + 11] = v;
  }
  /** hw.flags & PERF_X86_EVENT_LBR_SELECT. */
  get lbr_select_flag(): number {
    return this.w[this.o + 12];
  }
  set lbr_select_flag(v: number) {
    this.w[this.o + 12] = v;
  }
  /** 0 until the event has run; the kernel only ever asks whether it is zero. */
  get total_time_running(): number {
    return this.w[this.o + 13];
  }
  set total_time_running(v: number) {
    this.w[this.o + 13] = v;
  }
  get pending_disable(): number {
    return this.w[this.o + 14];
  }
  set pending_disable(v: number) {
    this.w[this.o + 14] = v;
  }
  /** The event it was inherited from, plus one. */
  get parent(): number {
    return this.w[this.o + 15];
  }
  set parent(v: number) {
    this.w[this.o + 15] = v;
  }
  /** 1 while the slot holds an event. */
  get used(): number {
    return this.w[this.o + 16];
  }
  set used(v: number) {
    this.w[this.o + 16] = v;
  }
}

/**
 * Models the structures of include/linux/perf_event.h and arch/x86/events/perf_event.h, Linux
 * 6.1, that the LBR path uses, as accessors over a kernel's memory. References between objects
 * are object numbers plus one, so that a zeroed word is a null pointer; those that lbr.c follows
 * are kept as addresses. src/kernel/shim/perf_event.h has the same words as C structures.
 */
import { addressOf } from '../../hw/memory.js';
import { BRANCH_ENTRY_WORDS, LBR_ENTRY_WORDS } from './perf_event.js';

class Struct {
  readonly id: number;
  protected readonly w: Int32Array;
  readonly o: number;

  constructor(w: Int32Array, o: number, id: number) {
    this.w = w;
    this.o = o;
    this.id = id;
  }

  /** Where C code finds it. */
  get address(): number {
    return addressOf(this.o);
  }
}

/** Where all objects of a kind lie, one after the other. */
export class ObjectTable {
  private readonly first: number;
  private readonly bytes: number;

  /** @param first - word offset of the first; `words` is the size of each. */
  constructor(first: number, words: number) {
    this.first = addressOf(first);
    this.bytes = 4 * words;
  }

  /** The number plus one of the object at an address; 0 for the null pointer. */
  plusOne(address: number): number {
    return address === 0 ? 0 : Math.trunc((address - this.first) / this.bytes) + 1;
  }

  address(plusOne: number): number {
    return plusOne === 0 ? 0 : this.first + (plusOne - 1) * this.bytes;
  }
}

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
    return this.data.plusOne(this.w[this.o + 7]);
  }
  set task_ctx_data(v: number) {
    this.w[this.o + 7] = this.data.address(v);
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
    return this.contexts.plusOne(this.w[this.o + 1]);
  }
  set ctx(v: number) {
    this.w[this.o + 1] = this.contexts.address(v);
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

/** Counters: four general ones, then the fake one of the guest LBR event. */
export const NUM_COUNTERS = 4;
export const COUNTER_SLOTS: number = NUM_COUNTERS + 1;

/** struct cpu_hw_events, and the LBR entry of its shared_regs. */
export class cpu_hw_events extends Struct {
  /** Words before events[], event_list[] and lbr_entries[]; the last seven are lbr.c's alone. */
  static readonly WORDS = 25;

  private readonly data: ObjectTable;

  constructor(w: Int32Array, o: number, id: number, data: ObjectTable) {
    super(w, o, id);
    this.data = data;
  }

  /** Event on a counter slot, plus one; 0 is none. */
  events(slot: number): number {
    return this.w[this.o + cpu_hw_events.WORDS + slot];
  }
  setEvents(slot: number, event: number): void {
    this.w[this.o + cpu_hw_events.WORDS + slot] = event;
  }

  /** Number of the i-th collected event; i in [0, n_events). */
  event_list(i: number): number {
    return this.w[this.o + cpu_hw_events.WORDS + COUNTER_SLOTS + i];
  }
  setEventList(i: number, event: number): void {
    this.w[this.o + cpu_hw_events.WORDS + COUNTER_SLOTS + i] = event;
  }

  /** Word offset of the i-th entry of lbr_stack, newest first. */
  lbr_entry(events: number, i: number): number {
    return this.o + cpu_hw_events.WORDS + COUNTER_SLOTS + events + i * BRANCH_ENTRY_WORDS;
  }

  get enabled(): number {
    return this.w[this.o];
  }
  set enabled(v: number) {
    this.w[this.o] = v;
  }
  get n_events(): number {
    return this.w[this.o + 1];
  }
  set n_events(v: number) {
    this.w[this.o + 1] = v;
  }
  get n_added(): number {
    return this.w[this.o + 2];
  }
  set n_added(v: number) {
    this.w[this.o + 2] = v;
  }
  get n_txn(): number {
    return this.w[this.o + 3];
  }
  set n_txn(v: number) {
    this.w[this.o + 3] = v;
  }
  /** 1 inside a scheduling transaction (PERF_PMU_TXN_ADD). */
  get txn_flags(): number {
    return this.w[this.o + 4];
  }
  set txn_flags(v: number) {
    this.w[this.o + 4] = v;
  }
  get lbr_users(): number {
    return this.w[this.o + 5];
  }
  set lbr_users(v: number) {
    this.w[this.o + 5] = v;
  }
  get br_sel(): number {
    return this.w[this.o + 6];
  }
  set br_sel(v: number) {
    this.w[this.o + 6] = v;
  }
  get lbr_select(): number {
    return this.w[this.o + 7];
  }
  set lbr_select(v: number) {
    this.w[this.o + 7] = v;
  }
  /** An x86_perf_task_context, plus one. */
  get last_task_ctx(): number {
    return this.data.plusOne(this.w[this.o + 8]);
  }
  set last_task_ctx(v: number) {
    this.w[this.o + 8] = this.data.address(v);
  }
  get last_log_id(): number {
    return this.w[this.o + 9];
  }
  set last_log_id(v: number) {
    this.w[this.o + 9] = v;
  }
  /** shared_regs->regs[EXTRA_REG_LBR].ref. */
  get lbr_sel_ref(): number {
    return this.w[this.o + 10];
  }
  set lbr_sel_ref(v: number) {
    this.w[this.o + 10] = v;
  }
  /** shared_regs->regs[EXTRA_REG_LBR].config, low word. */
  get lbr_sel_config(): number {
    return this.w[this.o + 11];
  }
  set lbr_sel_config(v: number) {
    this.w[this.o + 11] = v;
  }
  get lbr_sel_config_hi(): number {
    return this.w[this.o + 12];
  }
  set lbr_sel_config_hi(v: number) {
    this.w[this.o + 12] = v;
  }
  /** Bit INTEL_PMC_IDX_FIXED_VLBR of intel_ctrl_guest_mask. */
  get guest_mask_vlbr(): number {
    return this.w[this.o + 13];
  }
  set guest_mask_vlbr(v: number) {
    this.w[this.o + 13] = v;
  }
  get lbr_stack_nr(): number {
    return this.w[this.o + 14];
  }
  set lbr_stack_nr(v: number) {
    this.w[this.o + 14] = v;
  }
  get lbr_stack_hw_idx(): number {
    return this.w[this.o + 15];
  }
  set lbr_stack_hw_idx(v: number) {
    this.w[this.o + 15] = v;
  }
  /** Counters in use, one bit each (used_mask of the current assignment). */
  get active_mask(): number {
    return this.w[this.o + 16];
  }
  set active_mask(v: number) {
    this.w[this.o + 16] = v;
  }
  /** Call-stack users that the guest's paravirtual driver has counted on this CPU. */
  get pv_lbr_users(): number {
    return this.w[this.o + 17];
  }
  set pv_lbr_users(v: number) {
    this.w[this.o + 17] = v;
  }
}

/** struct perf_cpu_context, pmu_disable_count and perf_sched_cb_usages of one CPU. */
export class perf_cpu_context extends Struct {
  static readonly WORDS = 5;

  /** The task context that is scheduled, plus one. */
  get task_ctx(): number {
    return this.w[this.o];
  }
  set task_ctx(v: number) {
    this.w[this.o] = v;
  }
  get sched_cb_usage(): number {
    return this.w[this.o + 1];
  }
  set sched_cb_usage(v: number) {
    this.w[this.o + 1] = v;
  }
  get perf_sched_cb_usages(): number {
    return this.w[this.o + 2];
  }
  set perf_sched_cb_usages(v: number) {
    this.w[this.o + 2] = v;
  }
  get pmu_disable_count(): number {
    return this.w[this.o + 3];
  }
  set pmu_disable_count(v: number) {
    this.w[this.o + 3] = v;
  }
  /** current, as a task number. */
  get current(): number {
    return this.w[this.o + 4];
  }
  set current(v: number) {
    this.w[this.o + 4] = v;
  }
}

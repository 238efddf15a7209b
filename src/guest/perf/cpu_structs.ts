/**
 * Models the per-CPU structures of arch/x86/events/perf_event.h and include/linux/perf_event.h,
 * Linux 6.1, that the LBR path uses; references as in perf_structs.ts.
 */
import { BRANCH_ENTRY_WORDS } from './perf_event.js';
import type { ObjectTable } from './struct.js';
import { Struct } from './struct.js';

/** Counters: four general ones, then the fake one of the guest LBR event. */
export const NUM_COUNTERS = 4;
export const COUNTER_SLOTS: number = NUM_COUNTERS + 1;

/** Words of cpu_hw_events.last_task_ctx and of perf_cpu_context.current. */
export const LAST_TASK_CTX_AT = 8;
export const CURRENT_AT = 4;

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
    return this.data.plusOne(this.w[this.o + LAST_TASK_CTX_AT]);
  }
  set last_task_ctx(v: number) {
    this.w[this.o + LAST_TASK_CTX_AT] = this.data.address(v);
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
    return this.w[this.o + CURRENT_AT];
  }
  set current(v: number) {
    this.w[this.o + CURRENT_AT] = v;
  }
}

/**
 * Models the per-CPU structures of arch/x86/events/perf_event.h and include/linux/perf_event.h,
 * Linux 6.1, that the LBR path uses; references as in perf_structs.ts.
 */
import { struct, type StructClass, wordOf } from '../../hw/struct.js';
import { BRANCH_ENTRY_WORDS } from './perf_event.js';
import type { ObjectTable } from './struct.js';

/** Fixed counters, which have no slot: nothing asks who counts there. */
export const NUM_FIXED = 3;
/** Counters with a slot: four general ones, then the fake one of the guest LBR event. */
export const NUM_COUNTERS = 4;
export const COUNTER_SLOTS: number = NUM_COUNTERS + 1;

const CPU_HW_EVENTS = {
  enabled: 'int',
  n_events: 'int',
  n_added: 'int',
  n_txn: 'int',
  /** 1 inside a scheduling transaction (PERF_PMU_TXN_ADD). */
  txn_flags: 'int',
  lbr_users: 'int',
  br_sel: 'int',
  lbr_select: 'int',
  /** An x86_perf_task_context, plus one. */
  last_task_ctx: 'int',
  last_log_id: 'int',
  /** shared_regs->regs[EXTRA_REG_LBR].ref. */
  lbr_sel_ref: 'int',
  /** shared_regs->regs[EXTRA_REG_LBR].config, low word. */
  lbr_sel_config: 'int',
  lbr_sel_config_hi: 'int',
  /** Bit INTEL_PMC_IDX_FIXED_VLBR of intel_ctrl_guest_mask. */
  guest_mask_vlbr: 'int',
  lbr_stack_nr: 'int',
  lbr_stack_hw_idx: 'int',
  active_mask: 'int',
  /** Call-stack users that the guest's paravirtual driver has counted on this CPU. */
  pv_lbr_users: 'int',
  // From here on, C code's alone.
  lbr_sel: 'int',
  lbr_entries: 'int',
  lbr_xsave: 'int',
  lbr_pebs_users: 'int',
  n_pebs: 'int',
  n_large_pebs: 'int',
  lbr_counters: 'int',
} as const;

/** Word of the reference that is kept as an address. */
export const LAST_TASK_CTX_AT: number = wordOf(CPU_HW_EVENTS, 'last_task_ctx');
const CpuWords: StructClass<typeof CPU_HW_EVENTS> = struct(CPU_HW_EVENTS);

/**
 * struct cpu_hw_events, and the LBR entry of its shared_regs. events[], event_list[] and
 * lbr_entries[] come behind its WORDS.
 */
export class cpu_hw_events extends CpuWords {
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

  override get last_task_ctx(): number {
    return this.data.plusOne(this.w[this.o + LAST_TASK_CTX_AT]);
  }
  override set last_task_ctx(v: number) {
    this.w[this.o + LAST_TASK_CTX_AT] = this.data.address(v);
  }
}

const PERF_CPU_CONTEXT = {
  /** The task context that is scheduled, plus one. */
  task_ctx: 'int',
  sched_cb_usage: 'int',
  perf_sched_cb_usages: 'int',
  pmu_disable_count: 'int',
  /** current, as a task number. */
  current: 'int',
  /**
   * The context whose part for the PMU is scheduled here, plus one (6.2 and later): that of the
   * task, if it has an event for this CPU.
   */
  task_epc: 'int',
  /** Whether the timer runs by which events take turns. */
  hrtimer_active: 'int',
  /** Whether KVM has the PMU for a guest (7.0 and later). */
  guest_ctx_loaded: 'int',
} as const;

/** Word of the number of the task that runs. */
export const CURRENT_AT: number = wordOf(PERF_CPU_CONTEXT, 'current');
const CpuContextWords: StructClass<typeof PERF_CPU_CONTEXT> = struct(PERF_CPU_CONTEXT);

/** struct perf_cpu_context, pmu_disable_count and perf_sched_cb_usages of one CPU. */
export class perf_cpu_context extends CpuContextWords {}

/**
 * Wipes what nothing will read again before it is written, so that states which differ in nothing
 * else are one state. What is wiped is argued for line by line; a test runs the same schedules with
 * and without.
 */
import type { Kernel } from '../guest/perf/kernel.js';
import { ATTR_INHERIT_STAT, BRANCH_ENTRY_WORDS, LBR_NONE } from '../guest/perf/perf_event.js';
import { perf_event, type x86_perf_task_context } from '../guest/perf/perf_structs.js';

/**
 * What a kernel leaves behind of freed events, and of lists that have become shorter.
 *
 * @param saves - as for `settleTaskData`.
 * @param timerFires - whether events may take turns.
 */
export function settleKernel(kernel: Kernel, saves: number, timerFires: boolean): void {
  const { words, events, contexts, data } = kernel;
  for (const event of events) {
    // perf_event_alloc() clears the slot that it takes.
    if (event.used === 0) words.fill(0, event.o, event.o + perf_event.WORDS);
  }
  const clones = contexts.some((ctx) => ctx.parent_ctx !== 0);
  // The order of event_list pairs events for inherit_stat, and for nothing else.
  const stat = events.some(({ used, attr }) => used !== 0 && (attr & ATTR_INHERIT_STAT) !== 0);
  for (const ctx of contexts) {
    for (let i = ctx.nr_events; i < events.length; i++) ctx.setEvent(i, 0);
    for (let i = stat ? ctx.nr_events : 0; i < events.length; i++) ctx.setListed(i, 0);
    if (clones) continue;
    // A context's generation matters to its clones only.
    ctx.generation = 0;
    ctx.parent_gen = 0;
  }
  for (const { cpuc, cpuctx } of kernel.cpus) {
    if (!timerFires) cpuctx.hrtimer_active = 0;
    for (let i = cpuc.n_events; i < events.length; i++) cpuc.setEventList(i, 0);
  }
  for (const saved of data) settleTaskData(kernel, saved, saves);
}

/**
 * Wipes what samples have left. A PMI fills the entries anew, and one that was suspended does so
 * when it runs again: but not while a guest LBR event is on.
 */
export function wipeSamples(kernel: Kernel): void {
  const records = kernel.lbrRecords;
  for (const cpu of kernel.cpus) {
    const at = cpu.lbr_entry(0);
    kernel.words.fill(0, at, at + records * BRANCH_ENTRY_WORDS);
    cpu.cpuc.lbr_stack_nr = 0;
    cpu.cpuc.lbr_stack_hw_idx = 0;
  }
}

/** Wipes what a kernel without events keeps of them, if it will never have an event again. */
export function retireKernel(kernel: Kernel): void {
  const { words, layout, tasks } = kernel;
  words.fill(0, layout.contexts, layout.events);
  for (const task of tasks) task.perf_event_ctxp = 0;
  for (const { ctx, cpuc, cpuctx } of kernel.cpus) {
    ctx.used = 1;
    cpuctx.task_ctx = 0;
    cpuc.last_task_ctx = 0;
    cpuc.last_log_id = 0;
    // What the last event has left.
    cpuc.br_sel = 0;
    cpuc.lbr_sel_config = 0;
    cpuc.lbr_sel_config_hi = 0;
  }
}

/**
 * A stack that is not VALID is never restored; of a VALID one, only valid_lbrs records are. A log
 * id matters only by how it compares with the last ones of CPUs, as long as the block is not freed
 * and handed out again: then it starts from 0.
 *
 * @param saves - saves of one task that are told apart, where blocks are freed; otherwise 0.
 */
function settleTaskData(kernel: Kernel, saved: x86_perf_task_context, saves: number): void {
  const { words } = kernel;
  const none = saved.lbr_stack_state === LBR_NONE;
  if (none) {
    saved.valid_lbrs = 0;
    saved.tos = 0;
    saved.lbr_sel = 0;
    saved.lbr_sel_hi = 0;
  }
  words.fill(0, saved.lbr(saved.valid_lbrs), saved.lbr(kernel.lbrRecords));
  const { log_id } = saved;
  // A task that was saved more often than `saves` counts as one whose number does not come again.
  const settled = saves > 0 ? Math.min(log_id, saves + 1) : Number(!none);
  for (const { cpuc } of kernel.cpus) {
    if (cpuc.last_task_ctx !== saved.id + 1) continue;
    const last = cpuc.last_log_id;
    // It matches now, or may match when the block has been handed out again.
    if (last === log_id && !none) cpuc.last_log_id = settled;
    else if (last > log_id) cpuc.last_log_id = last - log_id + settled;
    else if (last > saves) cpuc.last_log_id = 0;
    if (none && cpuc.last_log_id === 0) cpuc.last_task_ctx = 0;
  }
  saved.log_id = settled;
}

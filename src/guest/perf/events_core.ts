/**
 * Models kernel/events/core.c, Linux 6.1, 6.12 and 7.3: contexts, scheduling in and out, the
 * clone-context swap and the sched_task callbacks, for one PMU. Left out: groups of more than
 * one event, cgroups, time (FIDELITY, "Guest kernel"). Rotation is in events_task.ts.
 */
import type { Cpu, Kernel } from './kernel.js';
import * as perf from './perf_event.js';
import type { perf_event, perf_event_context } from './perf_structs.js';
import { perf_event_sync_stat } from './events_stat.js';
import { drop } from './task_data.js';
import * as x86 from './x86_core.js';

const { EVENT_ALL, EVENT_CPU, EVENT_FLEXIBLE, EVENT_GUEST, EVENT_PINNED, EVENT_TIME } = perf;
const { PERF_EVENT_STATE_ACTIVE, PERF_EVENT_STATE_ERROR, PERF_EVENT_STATE_INACTIVE } = perf;
const { PERF_EVENT_STATE_DEAD, PERF_EVENT_STATE_OFF } = perf;

/** Kernel: core.c:perf_event_set_state(). An event that leaves ACTIVE has run. */
export function perf_event_set_state(event: perf_event, state: number): void {
  if (event.state === state) return;
  if (event.state === PERF_EVENT_STATE_ACTIVE) event.total_time_running = 1;
  event.state = state;
}

/** Kernel: core.c:perf_pmu_disable(). Calls nest; the first one stops the PMU. */
export function perf_pmu_disable(cpu: Cpu): void {
  if (cpu.cpuctx.pmu_disable_count++ === 0) x86.x86_pmu_disable(cpu);
}

/** Kernel: core.c:perf_pmu_enable(). The last one starts the PMU. */
export function perf_pmu_enable(cpu: Cpu): void {
  if (--cpu.cpuctx.pmu_disable_count === 0) x86.x86_pmu_enable(cpu);
}

export function isPinned(event: perf_event): boolean {
  return (event.attr & perf.ATTR_PINNED) !== 0;
}

/** Kernel: core.c:unclone_ctx(): the context is about to differ from its clones. */
export function unclone_ctx(cpu: Cpu, ctx: perf_event_context): void {
  if (ctx.parent_ctx !== 0) drop(cpu);
  ctx.parent_ctx = 0;
  ctx.generation = (ctx.generation + 1) | 0;
}

/** Kernel: core.c:event_filter_match(). */
export function event_filter_match({ id }: Cpu, event: perf_event): boolean {
  return event.cpu === -1 || event.cpu === id;
}

/** Kernel: core.c:get_event_type(). */
export function get_event_type(ctx: perf_event_context, event: perf_event): number {
  return (isPinned(event) ? EVENT_PINNED : EVENT_FLEXIBLE) | (ctx.task === 0 ? EVENT_CPU : 0);
}

/** Kernel: core.c:list_add_event(), add_event_to_ctx(). */
export function list_add_event(event: perf_event, ctx: perf_event_context): void {
  ctx.setEvent(ctx.nr_events, event.id);
  ctx.setListed(ctx.nr_events, event.id);
  ctx.nr_events++;
  ctx.generation = (ctx.generation + 1) | 0;
}

/** Kernel: core.c:list_del_event(). An event of a task that has exited is on no list. */
function list_del_event(event: perf_event, ctx: perf_event_context): void {
  let i = 0;
  while (i < ctx.nr_events && ctx.event(i) !== event.id) i++;
  if (i === ctx.nr_events) return;
  for (i++; i < ctx.nr_events; i++) ctx.setEvent(i - 1, ctx.event(i));
  i = 0;
  while (i < ctx.nr_events && ctx.listed(i) !== event.id) i++;
  for (i++; i < ctx.nr_events; i++) ctx.setListed(i - 1, ctx.listed(i));
  ctx.nr_events--;
  ctx.generation = (ctx.generation + 1) | 0;
}

/** Kernel: core.c:event_sched_out(). */
function event_sched_out(cpu: Cpu, event: perf_event, ctx: perf_event_context): void {
  if (event.state !== PERF_EVENT_STATE_ACTIVE) return;
  let state: number = PERF_EVENT_STATE_INACTIVE;
  perf_pmu_disable(cpu);
  x86.x86_pmu_del(cpu, event);
  event.oncpu = -1;
  if (event.pending_disable !== 0) {
    event.pending_disable = 0;
    state = PERF_EVENT_STATE_OFF;
  }
  perf_event_set_state(event, state);
  ctx.nr_active--;
  perf_pmu_enable(cpu);
}

/** Kernel: core.c:group_sched_out(), for a group of one. */
function group_sched_out(cpu: Cpu, event: perf_event, ctx: perf_event_context): void {
  if (event.state !== PERF_EVENT_STATE_ACTIVE) return;
  perf_pmu_disable(cpu);
  event_sched_out(cpu, event, ctx);
  perf_pmu_enable(cpu);
}

/** Kernel: core.c:event_sched_in(). Returns 0 or -EAGAIN. */
function event_sched_in(cpu: Cpu, event: perf_event, ctx: perf_event_context): number {
  if (event.state <= PERF_EVENT_STATE_OFF) return 0;
  event.oncpu = cpu.id;
  perf_event_set_state(event, PERF_EVENT_STATE_ACTIVE);
  perf_pmu_disable(cpu);
  let ret = 0;
  if (x86.x86_pmu_add(cpu, event) !== 0) {
    // The event never ran: perf_event_set_state() would count the instant as run time.
    event.state = PERF_EVENT_STATE_INACTIVE;
    event.oncpu = -1;
    ret = -perf.EAGAIN;
  } else {
    ctx.nr_active++;
  }
  perf_pmu_enable(cpu);
  return ret;
}

/** Kernel: core.c:group_sched_in(), for a group of one. Returns 0 or -EAGAIN. */
function group_sched_in(cpu: Cpu, event: perf_event, ctx: perf_event_context): number {
  x86.x86_pmu_start_txn(cpu);
  if (event_sched_in(cpu, event, ctx) === 0) {
    if (x86.x86_pmu_commit_txn(cpu) === 0) return 0;
    // The context's clock stands still in here, so an event that did not fit has not run either.
    const ran = event.total_time_running;
    event_sched_out(cpu, event, ctx);
    event.total_time_running = ran;
  }
  x86.x86_pmu_cancel_txn(cpu);
  return -perf.EAGAIN;
}

/**
 * Kernel: core.c:perf_remove_from_context(), __perf_remove_from_context().
 *
 * @param cpu - the one on which the context is active, if it is active at all.
 * @param state - DEAD for DETACH_DEAD, EXIT for DETACH_EXIT, else OFF.
 */
export function perf_remove_from_context(cpu: Cpu, event: perf_event, state: number): void {
  const { kernel, cpuctx, x86_pmu } = cpu;
  const ctx = kernel.ctx(event.ctx);
  if (state === PERF_EVENT_STATE_DEAD && !x86_pmu.pmuContexts) event.pending_disable = 1;
  __event_disable(cpu, event, ctx, state);
  list_del_event(event, ctx);
  if (ctx.nr_events !== 0) return;
  if (x86_pmu.pmuContexts || ctx.is_active !== 0) ctx.rotate_necessary = 0;
  if (ctx.is_active === 0) return;
  ctx.is_active = 0;
  if (ctx.task === 0) return;
  cpuctx.task_ctx = 0;
  cpuctx.task_epc = 0;
}

/** Kernel: core.c:__event_disable(). */
function __event_disable(
  cpu: Cpu,
  event: perf_event,
  ctx: perf_event_context,
  state: number,
): void {
  event_sched_out(cpu, event, ctx);
  perf_event_set_state(event, Math.min(event.state, state));
}

/** Kernel: core.c:__perf_event_disable(). `cpu` as for perf_remove_from_context(). */
export function __perf_event_disable(cpu: Cpu, event: perf_event): void {
  if (event.state < PERF_EVENT_STATE_INACTIVE) return;
  const ctx = cpu.kernel.ctx(event.ctx);
  const { pmuContexts } = cpu.x86_pmu;
  if (pmuContexts) perf_pmu_disable(cpu);
  group_sched_out(cpu, event, ctx);
  __event_disable(cpu, event, ctx, PERF_EVENT_STATE_OFF);
  if (pmuContexts) perf_pmu_enable(cpu);
}

/** Kernel: core.c:task_ctx_sched_out(). */
export function task_ctx_sched_out(cpu: Cpu, ctx: perf_event_context, event_type: number): void {
  if (cpu.cpuctx.task_ctx === 0) return;
  ctx_sched_out(cpu, ctx, event_type);
}

/** Kernel: core.c:perf_event_sched_in(): CPU pinned, task pinned, CPU flexible, task flexible. */
export function perf_event_sched_in(cpu: Cpu, ctx: perf_event_context | null): void {
  ctx_sched_in(cpu, cpu.ctx, EVENT_PINNED);
  if (ctx !== null) ctx_sched_in(cpu, ctx, EVENT_PINNED);
  ctx_sched_in(cpu, cpu.ctx, EVENT_FLEXIBLE);
  if (ctx !== null) ctx_sched_in(cpu, ctx, EVENT_FLEXIBLE);
}

/** Kernel: core.c:perf_ctx_disable(). Since 6.2 a context may have no part for the PMU. */
export function perf_ctx_disable(cpu: Cpu, ctx: perf_event_context): void {
  if (!cpu.x86_pmu.pmuContexts || ctx.pmu_ctx_refs !== 0) perf_pmu_disable(cpu);
}

/** Kernel: core.c:perf_ctx_enable(). */
export function perf_ctx_enable(cpu: Cpu, ctx: perf_event_context): void {
  if (!cpu.x86_pmu.pmuContexts || ctx.pmu_ctx_refs !== 0) perf_pmu_enable(cpu);
}

/** Kernel: core.c:ctx_resched(). */
export function ctx_resched(
  cpu: Cpu,
  task_ctx: perf_event_context | null,
  event_type: number,
): void {
  let type = event_type;
  if ((type & EVENT_PINNED) !== 0) type |= EVENT_FLEXIBLE;
  const ctx_event_type = type & EVENT_ALL;
  perf_ctx_disable(cpu, cpu.ctx);
  if (cpu.x86_pmu.pmuContexts && task_ctx !== null) perf_ctx_disable(cpu, task_ctx);
  if (task_ctx !== null) task_ctx_sched_out(cpu, task_ctx, type);
  if ((type & EVENT_CPU) !== 0) ctx_sched_out(cpu, cpu.ctx, ctx_event_type);
  else if ((ctx_event_type & EVENT_PINNED) !== 0) ctx_sched_out(cpu, cpu.ctx, EVENT_FLEXIBLE);
  perf_event_sched_in(cpu, task_ctx);
  perf_ctx_enable(cpu, cpu.ctx);
  if (cpu.x86_pmu.pmuContexts && task_ctx !== null) perf_ctx_enable(cpu, task_ctx);
}

/** The task context that is scheduled on this CPU, or null. */
export function currentTaskCtx(cpu: Cpu): perf_event_context | null {
  const { task_ctx } = cpu.cpuctx;
  return task_ctx === 0 ? null : cpu.kernel.ctx(task_ctx);
}

/**
 * Kernel: core.c:__perf_install_in_context(). `cpu` must be the CPU of a CPU event, or the one on
 * which the task runs, if it runs at all.
 */
function __perf_install_in_context(cpu: Cpu, event: perf_event): void {
  const ctx = cpu.kernel.ctx(event.ctx);
  let task_ctx = currentTaskCtx(cpu);
  let reprogram = true;
  if (ctx.task !== 0) {
    task_ctx = ctx;
    reprogram = ctx.task === cpu.cpuctx.current + 1;
  }
  if (!reprogram) {
    list_add_event(event, ctx);
    return;
  }
  ctx_sched_out(cpu, ctx, EVENT_TIME);
  list_add_event(event, ctx);
  ctx_resched(cpu, task_ctx, get_event_type(ctx, event));
}

/**
 * Kernel: core.c:perf_install_in_context(). A disabled event that is not the first of its context
 * is put on the list and no more.
 */
export function perf_install_in_context(cpu: Cpu, event: perf_event): void {
  const ctx = cpu.kernel.ctx(event.ctx);
  if (event.state === PERF_EVENT_STATE_OFF && ctx.nr_events !== 0) list_add_event(event, ctx);
  else __perf_install_in_context(cpu, event);
}

/** Kernel: core.c:_perf_event_enable(), __perf_event_enable(). */
export function __perf_event_enable(cpu: Cpu, event: perf_event): void {
  if (event.state >= PERF_EVENT_STATE_INACTIVE || event.state < PERF_EVENT_STATE_ERROR) return;
  const ctx = cpu.kernel.ctx(event.ctx);
  if (ctx.is_active !== 0) ctx_sched_out(cpu, ctx, EVENT_TIME);
  perf_event_set_state(event, PERF_EVENT_STATE_INACTIVE);
  if (ctx.is_active === 0) return;
  if (!event_filter_match(cpu, event)) {
    ctx_sched_in(cpu, ctx, EVENT_TIME);
    return;
  }
  ctx_resched(cpu, currentTaskCtx(cpu), get_event_type(ctx, event));
}

/** Kernel: core.c:ctx_sched_out(). */
export function ctx_sched_out(cpu: Cpu, ctx: perf_event_context, event_type: number): void {
  if (ctx.nr_events === 0) return;
  const was_active = ctx.is_active;
  ctx.is_active &= ~event_type;
  if ((ctx.is_active & EVENT_ALL) === 0) ctx.is_active = 0;
  if (ctx.task !== 0 && ctx.is_active === 0) {
    cpu.cpuctx.task_ctx = 0;
    cpu.cpuctx.task_epc = 0;
  }
  const changed = was_active ^ ctx.is_active;
  if ((changed & EVENT_ALL) === 0 || (ctx.nr_active === 0 && !cpu.x86_pmu.pmuContexts)) return;
  __pmu_ctx_sched_out(cpu, ctx, changed);
}

/** Kernel: core.c:__pmu_ctx_sched_out(), 6.2 and later; in 6.1 it is the end of ctx_sched_out(). */
export function __pmu_ctx_sched_out(cpu: Cpu, ctx: perf_event_context, event_type: number): void {
  perf_pmu_disable(cpu);
  if ((event_type & EVENT_PINNED) !== 0) groupsSchedOut(cpu, ctx, true);
  if ((event_type & EVENT_FLEXIBLE) !== 0) {
    groupsSchedOut(cpu, ctx, false);
    ctx.rotate_necessary = 0;
  }
  perf_pmu_enable(cpu);
}

/**
 * The events of a context that are pinned, or that are not, in the order of the tree of groups:
 * those for any CPU first, then those of each CPU, each kind in the order in which they take turns.
 */
export function eventsByGroup(
  kernel: Kernel,
  ctx: perf_event_context,
  pinned: boolean,
): perf_event[] {
  const found: perf_event[] = [];
  for (let i = 0; i < ctx.nr_events; i++) {
    const event = kernel.events[ctx.event(i)];
    if (isPinned(event) === pinned) found.push(event);
  }
  return found.toSorted((a, b) => a.cpu - b.cpu);
}

function groupsSchedOut(cpu: Cpu, ctx: perf_event_context, pinned: boolean): void {
  for (let i = 0; i < ctx.nr_events; i++) {
    const event = cpu.kernel.events[ctx.event(i)];
    if (isPinned(event) === pinned) group_sched_out(cpu, event, ctx);
  }
}

/** Kernel: core.c:context_equiv(). */
function context_equiv(ctx1: perf_event_context, ctx2: perf_event_context): boolean {
  if (ctx2.parent_ctx === ctx1.id + 1 && ctx1.generation === ctx2.parent_gen) return true;
  if (ctx1.parent_ctx === ctx2.id + 1 && ctx1.parent_gen === ctx2.generation) return true;
  return (
    ctx1.parent_ctx !== 0 &&
    ctx1.parent_ctx === ctx2.parent_ctx &&
    ctx1.parent_gen === ctx2.parent_gen
  );
}

/** Kernel: core.c:perf_ctx_sched_task_cb(). */
function perf_ctx_sched_task_cb(cpu: Cpu, ctx: perf_event_context, sched_in: boolean): void {
  const { cpuctx, kernel, x86_pmu } = cpu;
  if (x86_pmu.pmuContexts && cpuctx.task_epc !== ctx.id + 1) return;
  if (cpuctx.sched_cb_usage !== 0) kernel.lbr.intel_pmu_lbr_sched_task(cpu, ctx, sched_in);
}

/** Swaps the contexts of two tasks whose contexts are clones, in place of switching events. */
function swapContexts(
  cpu: Cpu,
  task: number,
  next: number,
  ctx: perf_event_context,
  next_ctx: perf_event_context,
): void {
  perf_ctx_disable(cpu, ctx);
  ctx.task = next + 1;
  next_ctx.task = task + 1;
  perf_ctx_sched_task_cb(cpu, ctx, false);
  if (!cpu.x86_pmu.perfCtxData) cpu.kernel.lbr.intel_pmu_lbr_swap_task_ctx(cpu, ctx, next_ctx);
  perf_ctx_enable(cpu, ctx);
  cpu.kernel.tasks[task].perf_event_ctxp = next_ctx.id + 1;
  cpu.kernel.tasks[next].perf_event_ctxp = ctx.id + 1;
  perf_event_sync_stat(cpu.kernel, ctx, next_ctx);
}

/** Kernel: core.c:perf_event_context_sched_out(). */
function perf_event_context_sched_out(cpu: Cpu, task: number, next: number): void {
  const { kernel, cpuctx, x86_pmu } = cpu;
  const ctxp = kernel.tasks[task].perf_event_ctxp;
  if (ctxp === 0 || (cpuctx.task_ctx === 0 && !x86_pmu.pmuContexts)) return;
  const ctx = kernel.ctx(ctxp);
  const next_ctxp = kernel.tasks[next].perf_event_ctxp;
  if (next_ctxp !== 0 && context_equiv(ctx, kernel.ctx(next_ctxp))) {
    swapContexts(cpu, task, next, ctx, kernel.ctx(next_ctxp));
    return;
  }
  perf_ctx_disable(cpu, ctx);
  perf_ctx_sched_task_cb(cpu, ctx, false);
  task_ctx_sched_out(cpu, ctx, EVENT_ALL);
  perf_ctx_enable(cpu, ctx);
}

/** Kernel: core.c:perf_sched_cb_dec(). */
export function perf_sched_cb_dec(cpu: Cpu): void {
  cpu.cpuctx.perf_sched_cb_usages--;
  cpu.cpuctx.sched_cb_usage--;
}

/** Kernel: core.c:perf_sched_cb_inc(). */
export function perf_sched_cb_inc(cpu: Cpu): void {
  cpu.cpuctx.sched_cb_usage++;
  cpu.cpuctx.perf_sched_cb_usages++;
}

/** Kernel: core.c:__perf_pmu_sched_task(). No context has an event for this CPU. */
function __perf_pmu_sched_task(cpu: Cpu, sched_in: boolean): void {
  perf_pmu_disable(cpu);
  cpu.kernel.lbr.intel_pmu_lbr_sched_task(cpu, null, sched_in);
  perf_pmu_enable(cpu);
}

/** Kernel: core.c:perf_pmu_sched_task(): the callback where no task context carries it. */
function perf_pmu_sched_task(cpu: Cpu, sched_in: boolean): void {
  const { task_ctx, task_epc, sched_cb_usage } = cpu.cpuctx;
  if (sched_cb_usage === 0 || (cpu.x86_pmu.pmuContexts ? task_epc : task_ctx) !== 0) return;
  __perf_pmu_sched_task(cpu, sched_in);
}

/** Kernel: core.c:__perf_event_task_sched_out(). */
export function __perf_event_task_sched_out(cpu: Cpu, task: number, next: number): void {
  if (cpu.cpuctx.perf_sched_cb_usages !== 0) perf_pmu_sched_task(cpu, false);
  perf_event_context_sched_out(cpu, task, next);
}

/** Kernel: core.c:merge_sched_in(). Returns false once a flexible event did not fit. */
function merge_sched_in(
  cpu: Cpu,
  event: perf_event,
  ctx: perf_event_context,
  can_add_hw: boolean,
  event_type: number,
): boolean {
  if (event.state <= PERF_EVENT_STATE_OFF || !event_filter_match(cpu, event)) return can_add_hw;
  if (cpu.cpuctx.guest_ctx_loaded !== 0 && (event_type & EVENT_GUEST) === 0) return can_add_hw;
  if (can_add_hw) group_sched_in(cpu, event, ctx);
  if (event.state !== PERF_EVENT_STATE_INACTIVE) return can_add_hw;
  // A pinned event that can't go on is not tried again before it is enabled anew.
  if (isPinned(event)) {
    perf_event_set_state(event, PERF_EVENT_STATE_ERROR);
  } else {
    ctx.rotate_necessary = 1;
    cpu.cpuctx.hrtimer_active = 1;
  }
  return false;
}

/** Kernel: core.c:__link_epc(), 6.2 and later: the context has an event for this CPU. */
function linkPmuContext(cpu: Cpu, ctx: perf_event_context, event: perf_event): void {
  if (ctx.task === 0 || !cpu.x86_pmu.pmuContexts || !event_filter_match(cpu, event)) return;
  cpu.cpuctx.task_epc = ctx.id + 1;
}

/**
 * Kernel: core.c:ctx_pinned_sched_in(), ctx_flexible_sched_in().
 *
 * @param event_type - EVENT_GUEST if KVM gives the PMU back.
 */
export function groupsSchedIn(
  cpu: Cpu,
  ctx: perf_event_context,
  pinned: boolean,
  event_type: number = 0,
): void {
  let can_add_hw = true;
  for (let i = 0; i < ctx.nr_events; i++) {
    const event = cpu.kernel.events[ctx.event(i)];
    if (isPinned(event) !== pinned) continue;
    linkPmuContext(cpu, ctx, event);
    can_add_hw = merge_sched_in(cpu, event, ctx, can_add_hw, event_type);
  }
}

/** Kernel: core.c:ctx_sched_in(). */
export function ctx_sched_in(cpu: Cpu, ctx: perf_event_context, event_type: number): void {
  if (ctx.nr_events === 0) return;
  const was_active = ctx.is_active;
  ctx.is_active |= event_type | EVENT_TIME;
  if (ctx.task !== 0 && was_active === 0) cpu.cpuctx.task_ctx = ctx.id + 1;
  const changed = was_active ^ ctx.is_active;
  if ((changed & EVENT_PINNED) !== 0) groupsSchedIn(cpu, ctx, true);
  if ((changed & EVENT_FLEXIBLE) !== 0) groupsSchedIn(cpu, ctx, false);
}

function hasPinned(cpu: Cpu, ctx: perf_event_context): boolean {
  for (let i = 0; i < ctx.nr_events; i++) {
    if (isPinned(cpu.kernel.events[ctx.event(i)])) return true;
  }
  return false;
}

/** Kernel: core.c:perf_event_context_sched_in(). */
function perf_event_context_sched_in(cpu: Cpu, ctx: perf_event_context): void {
  const { cpuctx } = cpu;
  if (cpuctx.task_ctx === ctx.id + 1) {
    if (cpu.x86_pmu.pmuContexts || cpuctx.sched_cb_usage !== 0) {
      perf_ctx_disable(cpu, ctx);
      perf_ctx_sched_task_cb(cpu, ctx, true);
      perf_ctx_enable(cpu, ctx);
    }
    return;
  }
  if (ctx.nr_events === 0) return;
  const pinned = hasPinned(cpu, ctx);
  perf_ctx_disable(cpu, ctx);
  if (pinned && cpu.x86_pmu.pmuContexts) perf_ctx_disable(cpu, cpu.ctx);
  if (pinned) ctx_sched_out(cpu, cpu.ctx, EVENT_FLEXIBLE);
  perf_event_sched_in(cpu, ctx);
  perf_ctx_sched_task_cb(cpu, ctx, true);
  if (pinned && cpu.x86_pmu.pmuContexts) perf_ctx_enable(cpu, cpu.ctx);
  perf_ctx_enable(cpu, ctx);
}

/** Kernel: core.c:__perf_event_task_sched_in(). */
export function __perf_event_task_sched_in(cpu: Cpu, task: number): void {
  const ctxp = cpu.kernel.tasks[task].perf_event_ctxp;
  if (ctxp !== 0) perf_event_context_sched_in(cpu, cpu.kernel.ctx(ctxp));
  if (cpu.cpuctx.perf_sched_cb_usages !== 0) perf_pmu_sched_task(cpu, true);
}

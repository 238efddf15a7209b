/**
 * Models what kernel/events/core.c does when a task exits or executes a program, at the timer's
 * tick, and when events take turns; and bpf_get_branch_snapshot().
 */
import * as core from './events_core.js';
import { free_event } from './events_syscall.js';
import type { Cpu } from './kernel.js';
import * as perf from './perf_event.js';
import { type perf_event, type perf_event_context, TASK_TOMBSTONE } from './perf_structs.js';
import { detach_task_ctx_data, drop } from './task_data.js';

/** The events of a context. */
function eventsOf(cpu: Cpu, ctx: perf_event_context): perf_event[] {
  return Array.from({ length: ctx.nr_events }, (_, i) => cpu.kernel.events[ctx.event(i)]);
}

/**
 * Kernel: core.c:perf_event_exit_task_context(). The callback of a task switch does not run, and no
 * record is saved.
 */
function exitContext(cpu: Cpu, task: number, ctx: perf_event_context): void {
  core.task_ctx_sched_out(cpu, ctx, perf.EVENT_ALL);
  cpu.kernel.tasks[task].perf_event_ctxp = 0;
  ctx.task = TASK_TOMBSTONE;
  core.unclone_ctx(cpu, ctx);
  for (const event of eventsOf(cpu, ctx)) {
    core.perf_remove_from_context(cpu, event, perf.PERF_EVENT_STATE_EXIT);
    // An event that was opened for the task stays until it is closed.
    if (event.parent !== 0) free_event(cpu, event);
  }
  drop(cpu);
}

/** Kernel: core.c:perf_event_exit_task(), of the current task. */
export function perf_event_exit_task(cpu: Cpu): void {
  const { kernel, cpuctx } = cpu;
  const task = cpuctx.current;
  const ctxp = kernel.tasks[task].perf_event_ctxp;
  if (ctxp !== 0) exitContext(cpu, task, kernel.ctx(ctxp));
  if (kernel.x86_pmu.perfCtxData) detach_task_ctx_data(cpu, task);
}

/** Kernel: core.c:event_enable_on_exec(). Returns whether the event is on now, and was not. */
function event_enable_on_exec(event: perf_event): boolean {
  if ((event.attr & perf.ATTR_ENABLE_ON_EXEC) === 0) return false;
  event.attr &= ~perf.ATTR_ENABLE_ON_EXEC;
  if (event.state >= perf.PERF_EVENT_STATE_INACTIVE) return false;
  core.perf_event_set_state(event, perf.PERF_EVENT_STATE_INACTIVE);
  return true;
}

/** Kernel: core.c:perf_event_exec(), perf_event_enable_on_exec(), of the current task. */
export function perf_event_exec(cpu: Cpu): void {
  const { kernel, cpuctx } = cpu;
  const ctxp = kernel.tasks[cpuctx.current].perf_event_ctxp;
  if (ctxp === 0) return;
  const ctx = kernel.ctx(ctxp);
  let enabled = false;
  let event_type = 0;
  for (const event of eventsOf(cpu, ctx)) {
    if (event_enable_on_exec(event)) enabled = true;
    event_type |= core.get_event_type(ctx, event);
  }
  if (!enabled) return;
  core.unclone_ctx(cpu, ctx);
  core.ctx_resched(cpu, ctx, event_type);
}

/** Kernel: core.c:perf_adjust_freq_unthr_context(). Equal counts leave the period alone. */
function adjustFrequencies(cpu: Cpu, ctx: perf_event_context): void {
  const inFreqMode = eventsOf(cpu, ctx).some(
    ({ state, attr }) => state === perf.PERF_EVENT_STATE_ACTIVE && (attr & perf.ATTR_FREQ) !== 0,
  );
  if (!inFreqMode) return;
  core.perf_pmu_disable(cpu);
  core.perf_pmu_enable(cpu);
}

/** Kernel: core.c:perf_event_task_tick(). */
export function perf_event_task_tick(cpu: Cpu): void {
  adjustFrequencies(cpu, cpu.ctx);
  const ctx = core.currentTaskCtx(cpu);
  if (ctx !== null) adjustFrequencies(cpu, ctx);
}

/** Kernel: core.c:ctx_event_to_rotate(). */
function ctx_event_to_rotate(cpu: Cpu, ctx: perf_event_context): perf_event | null {
  ctx.rotate_necessary = 0;
  const flexible = core.eventsByGroup(cpu.kernel, ctx, false);
  const active = eventsOf(cpu, ctx).find(
    (event) => !core.isPinned(event) && event.state === perf.PERF_EVENT_STATE_ACTIVE,
  );
  if (active !== undefined) return active;
  if (!cpu.x86_pmu.pmuContexts) return flexible.at(0) ?? null;
  return flexible.find((event) => core.event_filter_match(cpu, event)) ?? null;
}

/** Kernel: core.c:rotate_ctx(): the event is the last to be tried from now on. */
function rotate_ctx(ctx: perf_event_context, event: perf_event): void {
  let i = 0;
  while (ctx.event(i) !== event.id) i++;
  for (i++; i < ctx.nr_events; i++) ctx.setEvent(i - 1, ctx.event(i));
  ctx.setEvent(ctx.nr_events - 1, event.id);
}

/** Kernel: core.c:perf_mux_hrtimer_handler(), if the timer runs. */
export function perf_mux_hrtimer_handler(cpu: Cpu): void {
  if (cpu.cpuctx.hrtimer_active !== 0 && !perf_rotate_context(cpu)) cpu.cpuctx.hrtimer_active = 0;
}

/** Kernel: core.c:perf_rotate_context(). Returns whether an event waits for its turn. */
function perf_rotate_context(cpu: Cpu): boolean {
  const { kernel, cpuctx, x86_pmu } = cpu;
  const task = x86_pmu.pmuContexts ? cpuctx.task_epc : cpuctx.task_ctx;
  const task_ctx = task === 0 ? null : kernel.ctx(task);
  const taskTurns = task_ctx !== null && task_ctx.rotate_necessary !== 0;
  const cpuTurns = cpu.ctx.rotate_necessary !== 0;
  if (!cpuTurns && !taskTurns) return false;

  core.perf_pmu_disable(cpu);
  const task_event = taskTurns ? ctx_event_to_rotate(cpu, task_ctx) : null;
  const cpu_event = cpuTurns ? ctx_event_to_rotate(cpu, cpu.ctx) : null;
  // Events of the task give way to those of the CPU.
  const pops = task_ctx !== null && (task_event !== null || cpu_event !== null) ? task_ctx : null;
  const out = x86_pmu.pmuContexts ? core.__pmu_ctx_sched_out : core.ctx_sched_out;
  if (pops !== null) out(cpu, pops, perf.EVENT_FLEXIBLE);
  if (cpu_event !== null) out(cpu, cpu.ctx, perf.EVENT_FLEXIBLE);
  if (task_ctx !== null && task_event !== null) rotate_ctx(task_ctx, task_event);
  if (cpu_event !== null) rotate_ctx(cpu.ctx, cpu_event);
  if (!x86_pmu.pmuContexts) {
    core.perf_event_sched_in(cpu, task_ctx);
  } else {
    if (cpu_event !== null) core.groupsSchedIn(cpu, cpu.ctx, false);
    if (pops !== null) core.groupsSchedIn(cpu, pops, false);
  }
  core.perf_pmu_enable(cpu);
  return true;
}

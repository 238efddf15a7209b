/**
 * Models the part of kernel/events/core.c, Linux 7.0 and later, that gives the PMU of a CPU to KVM
 * for the time in the guest, and takes it back. Every event of the host's is scheduled out at the
 * load and in at the put. The callbacks of a task switch run at neither.
 *
 * The port has no clocks, so what is counted of the guest's time is left out.
 */
import { assert } from '../../hw/assert.js';
import * as core from './events_core.js';
import type { Cpu } from './kernel.js';
import * as perf from './perf_event.js';
import type { perf_event_context } from './perf_structs.js';

const { EVENT_ALL, EVENT_FLEXIBLE, EVENT_GUEST, EVENT_PINNED, EVENT_TIME } = perf;

/**
 * Kernel: core.c:ctx_sched_out(), for EVENT_GUEST: all events go, and the context stays active,
 * unless it was not.
 */
function guestSchedOut(cpu: Cpu, ctx: perf_event_context): void {
  if (ctx.nr_events === 0) return;
  if ((ctx.is_active & EVENT_ALL) === 0) {
    ctx.is_active = 0;
    if (ctx.task !== 0) {
      cpu.cpuctx.task_ctx = 0;
      cpu.cpuctx.task_epc = 0;
    }
  }
  core.__pmu_ctx_sched_out(cpu, ctx, EVENT_ALL);
}

/** Kernel: core.c:ctx_sched_in(), for EVENT_GUEST and events that are pinned, or that are not. */
function guestSchedIn(cpu: Cpu, ctx: perf_event_context, pinned: boolean): void {
  if (ctx.nr_events === 0) return;
  ctx.is_active |= (pinned ? EVENT_PINNED : EVENT_FLEXIBLE) | EVENT_TIME;
  core.groupsSchedIn(cpu, ctx, pinned, EVENT_GUEST);
}

/** Kernel: core.c:perf_load_guest_context(). Interrupts are off. */
export function perf_load_guest_context(cpu: Cpu): void {
  const { cpuctx, ctx, x86_pmu } = cpu;
  assert(x86_pmu.mediatedPmu, 'a kernel lends its PMU from 7.0 on');
  assert(cpuctx.guest_ctx_loaded === 0, 'a CPU has one guest at a time');
  core.perf_ctx_disable(cpu, ctx);
  guestSchedOut(cpu, ctx);
  const task_ctx = core.currentTaskCtx(cpu);
  if (task_ctx !== null) {
    core.perf_ctx_disable(cpu, task_ctx);
    guestSchedOut(cpu, task_ctx);
  }
  core.perf_ctx_enable(cpu, ctx);
  const left = core.currentTaskCtx(cpu);
  if (left !== null) core.perf_ctx_enable(cpu, left);
  cpuctx.guest_ctx_loaded = 1;
}

/** Kernel: core.c:perf_put_guest_context(). Interrupts are off. */
export function perf_put_guest_context(cpu: Cpu): void {
  const { cpuctx, ctx } = cpu;
  assert(cpuctx.guest_ctx_loaded !== 0, 'only a guest that has the PMU gives it back');
  const task_ctx = core.currentTaskCtx(cpu);
  core.perf_ctx_disable(cpu, ctx);
  if (task_ctx !== null) core.perf_ctx_disable(cpu, task_ctx);
  guestSchedIn(cpu, ctx, true);
  if (task_ctx !== null) guestSchedIn(cpu, task_ctx, true);
  guestSchedIn(cpu, ctx, false);
  if (task_ctx !== null) {
    guestSchedIn(cpu, task_ctx, false);
    core.perf_ctx_enable(cpu, task_ctx);
  }
  core.perf_ctx_enable(cpu, ctx);
  cpuctx.guest_ctx_loaded = 0;
}

/**
 * Models the parts of kernel/events/core.c, Linux 6.1, that allocate and free: opening, closing
 * and inheriting events. None of them accesses an MSR, so the host can't interrupt them.
 */
import { __perf_event_disable, __perf_event_enable } from './events_core.js';
import { eventsByGroup, list_add_event, perf_remove_from_context } from './events_core.js';
import { unclone_ctx } from './events_core.js';
import { intel_vlbr_constraints, needs_branch_stack } from './intel_core.js';
import type { Cpu, Kernel } from './kernel.js';
import * as perf from './perf_event.js';
import { perf_event, type perf_event_context, TASK_TOMBSTONE } from './perf_structs.js';
import * as data from './task_data.js';

/** First free event slot, or -1. */
export function freeEvent(kernel: Kernel): number {
  return kernel.events.findIndex((event) => event.used === 0);
}

/** First task slot that was never forked, or -1. */
export function freeTask(kernel: Kernel): number {
  return kernel.tasks.findIndex((task) => task.alive === 0);
}

/** Kernel: core.c:alloc_perf_context(). There is a context for every task slot. */
function alloc_perf_context(kernel: Kernel, task: number): perf_event_context {
  let id = 0;
  while (kernel.contexts[id].used !== 0) id++;
  const ctx = kernel.contexts[id];
  ctx.used = 1;
  ctx.task = task + 1;
  kernel.tasks[task].perf_event_ctxp = id + 1;
  return ctx;
}

/**
 * Puts an event into a context. Kernel: core.c:find_get_pmu_context(); what find_get_context() of
 * 6.1 does for its space comes to the same.
 */
function takeContext(kernel: Kernel, ctx: perf_event_context, event: perf_event): void {
  const { pmuContexts, perfCtxData } = kernel.x86_pmu;
  event.ctx = ctx.id + 1;
  if (ctx.task !== 0 && !perfCtxData && data.needsTaskData(event) && ctx.task_ctx_data === 0) {
    ctx.task_ctx_data = data.alloc_task_ctx_data(kernel);
  }
  if (!pmuContexts) return;
  // The part of a CPU's own context stays, once it is there (perf_pmu_free(), 6.15 and later).
  if (ctx.pmu_ctx_refs === 0 && ctx.task === 0 && perfCtxData) ctx.pmu_ctx_refs = 1;
  ctx.pmu_ctx_refs++;
}

/** Kernel: core.c:find_get_context(). */
function find_get_context(cpu: Cpu, task: number): perf_event_context {
  const { kernel } = cpu;
  const ctxp = kernel.tasks[task].perf_event_ctxp;
  const ctx = ctxp === 0 ? alloc_perf_context(kernel, task) : kernel.ctx(ctxp);
  if (ctxp !== 0) unclone_ctx(cpu, ctx);
  return ctx;
}

/**
 * Kernel: core.c:perf_copy_attr(), for branch_sample_type: who asks for no level gets all of them,
 * and who asks for nothing else is refused. Returns the type or -EINVAL.
 */
function perf_copy_attr(branch_sample_type: number): number {
  if ((branch_sample_type & ~perf.PERF_SAMPLE_BRANCH_PLM_ALL) === 0) return -perf.EINVAL;
  const asked = (branch_sample_type & perf.PERF_SAMPLE_BRANCH_PLM_ALL) !== 0;
  return asked ? branch_sample_type : branch_sample_type | perf.PERF_SAMPLE_BRANCH_PLM_ALL;
}

/** @param task - task to attach to, or -1. */
function perf_event_alloc(
  kernel: Kernel,
  id: number,
  task: number,
  attr: number,
  type: number,
): perf_event {
  const event = kernel.events[id];
  kernel.words.fill(0, event.o, event.o + perf_event.WORDS);
  event.used = 1;
  if (kernel.x86_pmu.perfCtxData) event.target = task + 1;
  event.attr = attr;
  event.branch_sample_type = type;
  event.cpu = -1;
  event.oncpu = -1;
  event.idx = perf.IDX_UNASSIGNED;
  const off = (attr & perf.ATTR_DISABLED) !== 0;
  event.state = off ? perf.PERF_EVENT_STATE_OFF : perf.PERF_EVENT_STATE_INACTIVE;
  return event;
}

/** Kernel: intel/core.c:intel_pmu_hw_config(), of which LBR is a part. Returns 0 or -errno. */
function intel_pmu_hw_config(kernel: Kernel, event: perf_event): number {
  if (!needs_branch_stack(event)) return 0;
  const ret = kernel.lbr.intel_pmu_setup_lbr_filter(kernel, event);
  // x86/events/core.c:x86_add_exclusive().
  return ret === 0 && kernel.statics.pt !== 0 ? -perf.EBUSY : ret;
}

/**
 * A use of Intel PT begins on some CPU, or the only one ends. Kernel: intel/pt.c:pt_event_init(),
 * x86/events/core.c:x86_add_exclusive(): LBR events and PT refuse each other, for all CPUs at once,
 * unless the CPU has both at a time. Then nothing is noted.
 */
export function togglePt({ statics, events, config }: Kernel): void {
  if (config.model.lbr_pt_coexist) return;
  const lbr = events.some((event) => event.used !== 0 && needs_branch_stack(event));
  statics.pt = statics.pt === 0 && !lbr ? 1 : 0;
}

/**
 * Kernel: core.c:sys_perf_event_open(), up to the installation in the context.
 *
 * @param id - a free event slot.
 * @param task - task to attach to, or -1 for a CPU event on `cpu`.
 * @param attr - ATTR_* bits.
 * @param branch_sample_type - of a counter it is not asked.
 *
 * Returns 0, or a negative errno when the PMU refuses branch_sample_type, or PT is in use; the slot
 * stays free.
 */
export function perf_event_open(
  cpu: Cpu,
  id: number,
  task: number,
  attr: number,
  branch_sample_type: number,
): number {
  const { kernel } = cpu;
  const isCounter = (attr & perf.ATTR_COUNTER) !== 0;
  const type = isCounter ? 0 : perf_copy_attr(branch_sample_type);
  if (type < 0) return type;
  const event = perf_event_alloc(kernel, id, task, attr, type);
  const ret = intel_pmu_hw_config(kernel, event);
  const byTask = kernel.x86_pmu.perfCtxData && data.needsTaskData(event);
  if (ret !== 0) {
    if (byTask) data.detachRefused(cpu, event);
    event.used = 0;
    return ret;
  }
  if (byTask) data.attach_perf_ctx_data(cpu, event);
  intel_vlbr_constraints(event);
  const ctx = task < 0 ? cpu.ctx : find_get_context(cpu, task);
  if (task < 0 || (attr & perf.ATTR_BOUND) !== 0) event.cpu = cpu.id;
  takeContext(kernel, ctx, event);
  return 0;
}

/** Calls `func` on an event and on every event inherited from it (perf_event_for_each_child). */
function forEachChild(cpu: Cpu, event: perf_event, func: (cpu: Cpu, e: perf_event) => void): void {
  func(cpu, event);
  for (const child of cpu.kernel.events) {
    if (child.used !== 0 && child.parent === event.id + 1) func(cpu, child);
  }
}

/** Kernel: core.c:perf_ioctl(), PERF_EVENT_IOC_ENABLE. */
export function enableFamily(cpu: Cpu, event: perf_event): void {
  forEachChild(cpu, event, __perf_event_enable);
}

/** Kernel: core.c:perf_ioctl(), PERF_EVENT_IOC_DISABLE. */
export function disableFamily(cpu: Cpu, event: perf_event): void {
  forEachChild(cpu, event, __perf_event_disable);
}

/** Kernel: core.c:_free_event(), put_pmu_ctx(), put_ctx(). */
export function free_event(cpu: Cpu, event: perf_event): void {
  const { kernel } = cpu;
  const { pmuContexts, perfCtxData } = kernel.x86_pmu;
  const ctx = kernel.ctx(event.ctx);
  event.used = 0;
  event.ctx = 0;
  if (perfCtxData && data.needsTaskData(event)) data.detach_perf_ctx_data(cpu, event);
  if (pmuContexts && --ctx.pmu_ctx_refs === 0) data.dropContextData(cpu, ctx);
  if (ctx.task === TASK_TOMBSTONE) data.drop(cpu);
}

/** Kernel: core.c:perf_event_release_kernel(): the event is removed, then its children go. */
export function perf_event_release_kernel(cpu: Cpu, event: perf_event): void {
  perf_remove_from_context(cpu, event, perf.PERF_EVENT_STATE_DEAD);
  for (const child of cpu.kernel.events) {
    if (child.used === 0 || child.parent !== event.id + 1) continue;
    perf_remove_from_context(cpu, child, perf.PERF_EVENT_STATE_OFF);
    free_event(cpu, child);
  }
  free_event(cpu, event);
}

/** Kernel: core.c:inherit_event(). A child inherits from the event at the head of the family. */
function inherit_event(cpu: Cpu, parent: perf_event, child: number, id: number): void {
  const { kernel } = cpu;
  const head = parent.parent === 0 ? parent : kernel.events[parent.parent - 1];
  const event = perf_event_alloc(kernel, id, child, parent.attr, parent.branch_sample_type);
  kernel.lbr.intel_pmu_setup_lbr_filter(kernel, event);
  if (kernel.x86_pmu.perfCtxData && data.needsTaskData(event))
    data.attach_perf_ctx_data(cpu, event);
  event.parent = head.id + 1;
  event.cpu = parent.cpu;
  event.state =
    parent.state >= perf.PERF_EVENT_STATE_INACTIVE
      ? perf.PERF_EVENT_STATE_INACTIVE
      : perf.PERF_EVENT_STATE_OFF;
  const ctxp = kernel.tasks[child].perf_event_ctxp;
  const ctx = ctxp === 0 ? alloc_perf_context(kernel, child) : kernel.ctx(ctxp);
  takeContext(kernel, ctx, event);
  list_add_event(event, ctx);
}

/** Number of events that a fork of `task` would add. */
export function inheritedEvents(kernel: Kernel, task: number): number {
  const ctxp = kernel.tasks[task].perf_event_ctxp;
  if (ctxp === 0) return 0;
  const ctx = kernel.ctx(ctxp);
  let n = 0;
  for (let i = 0; i < ctx.nr_events; i++) {
    if ((kernel.events[ctx.event(i)].attr & perf.ATTR_INHERIT) !== 0) n++;
  }
  return n;
}

/**
 * Kernel: core.c:perf_event_init_task(), perf_event_fork(): the current task forks, with the events
 * that are inherited. The child's context becomes a clone of the parent's, or of what that is a
 * clone of, if all of them are.
 *
 * @param child - a free task slot. There must be event slots for `inheritedEvents`.
 */
export function perf_event_init_task(cpu: Cpu, child: number): void {
  const { kernel } = cpu;
  const parent = cpu.cpuctx.current;
  kernel.tasks[child].alive = 1;
  inheritContext(cpu, parent, child);
  if (kernel.x86_pmu.perfCtxData) data.perf_event_alloc_task_data(cpu, child, parent);
}

/** Kernel: core.c:perf_event_init_context(). */
function inheritContext(cpu: Cpu, parent: number, child: number): void {
  const { kernel } = cpu;
  const ctxp = kernel.tasks[parent].perf_event_ctxp;
  if (ctxp === 0) return;
  const parent_ctx = kernel.ctx(ctxp);
  let inherited_all = true;
  for (const pinned of [true, false]) {
    for (const event of eventsByGroup(kernel, parent_ctx, pinned)) {
      if ((event.attr & perf.ATTR_INHERIT) === 0) inherited_all = false;
      else inherit_event(cpu, event, child, freeEvent(kernel));
    }
  }
  const child_ctxp = kernel.tasks[child].perf_event_ctxp;
  if (child_ctxp === 0 || !inherited_all) return;
  const child_ctx = kernel.ctx(child_ctxp);
  if (parent_ctx.parent_ctx !== 0) {
    child_ctx.parent_ctx = parent_ctx.parent_ctx;
    child_ctx.parent_gen = parent_ctx.parent_gen;
  } else {
    child_ctx.parent_ctx = parent_ctx.id + 1;
    child_ctx.parent_gen = parent_ctx.generation;
  }
}

/** Whether a kernel's counts of LBR users agree with the events that count: `balanced`. */
import type { Cpu, Kernel } from '../guest/perf/kernel.js';
import { isUserCallstack, PERF_EVENT_STATE_ACTIVE } from '../guest/perf/perf_event.js';
import {
  type perf_event,
  type perf_event_context,
  TASK_TOMBSTONE,
} from '../guest/perf/perf_structs.js';
import { taskData } from '../guest/perf/task_data.js';

/** Whether an event counts on a CPU, given by its number. */
export function countsOn(event: perf_event, cpu: number): boolean {
  return event.used !== 0 && event.state === PERF_EVENT_STATE_ACTIVE && event.oncpu === cpu;
}

/** LBR events that count; those of a guest's counters, which KVM makes, ask for no branches. */
export function countingEvents({ id, kernel }: Cpu): number {
  let n = 0;
  for (const event of kernel.events) {
    if (countsOn(event, id) && event.branch_sample_type !== 0) n++;
  }
  return n;
}

/** Whether the counts of a CPU agree; no kernel function may be under way on it. */
export function cpuBalanced(cpu: Cpu): boolean {
  const { cpuc, cpuctx } = cpu;
  const n = countingEvents(cpu);
  return (
    cpuc.lbr_users === n &&
    cpuctx.sched_cb_usage === n &&
    cpuctx.perf_sched_cb_usages === n &&
    cpuctx.pmu_disable_count === 0
  );
}

/** The block that goes with a task's context, plus one; or 0. */
function dataOf(kernel: Kernel, { task, task_ctx_data }: perf_event_context): number {
  return kernel.x86_pmu.perfCtxData && task !== 0 ? taskData(kernel, task - 1) : task_ctx_data;
}

/**
 * Whether every context of a task that is alive has as many call-stack users as it has such events
 * that count.
 *
 * @param inHand - bit mask of tasks that a function under way holds: theirs are left out.
 */
export function callstackUsersBalanced(kernel: Kernel, inHand = 0): boolean {
  for (const ctx of kernel.contexts) {
    if (ctx.task === TASK_TOMBSTONE) continue;
    const held = ctx.task !== 0 && (inHand & (1 << (ctx.task - 1))) !== 0;
    const data = dataOf(kernel, ctx);
    if (data === 0 || held) continue;
    let users = 0;
    for (let i = 0; i < ctx.nr_events; i++) {
      const event = kernel.events[ctx.event(i)];
      const counts = event.state === PERF_EVENT_STATE_ACTIVE;
      if (counts && isUserCallstack(event.branch_sample_type)) users++;
    }
    if (kernel.data[data - 1].lbr_callstack_users !== users) return false;
  }
  return true;
}

/**
 * Models what kernel/events/core.c, Linux 6.1 to 7.3, does for inherit_stat: where two tasks swap
 * their contexts, counts and times change sides, so that each task keeps its own. Of the times the
 * LBR goes by one, whether an event has ever run: the first user that has not resets the stack
 * (lbr.c:intel_pmu_lbr_add()). Left out: the counts, which nobody reads here.
 */
import type { Kernel } from './kernel.js';
import { ATTR_INHERIT_STAT, PERF_EVENT_STATE_ACTIVE } from './perf_event.js';
import type { perf_event, perf_event_context } from './perf_structs.js';

/** Kernel: core.c:__perf_event_sync_stat(). An event that is on has run by now. */
function __perf_event_sync_stat(event: perf_event, next_event: perf_event): void {
  if ((event.attr & ATTR_INHERIT_STAT) === 0) return;
  const ran = event.state === PERF_EVENT_STATE_ACTIVE ? 1 : event.total_time_running;
  event.total_time_running = next_event.total_time_running;
  next_event.total_time_running = ran;
}

/**
 * Kernel: core.c:perf_event_sync_stat(). Events are paired by their places in event_list, the
 * newest first. Those of a pair need not have been inherited from one another.
 */
export function perf_event_sync_stat(
  { events }: Kernel,
  ctx: perf_event_context,
  next_ctx: perf_event_context,
): void {
  const [n, next] = [ctx.nr_events, next_ctx.nr_events];
  for (let i = 1; i <= Math.min(n, next); i++) {
    __perf_event_sync_stat(events[ctx.listed(n - i)], events[next_ctx.listed(next - i)]);
  }
}

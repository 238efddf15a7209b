/**
 * Models arch/x86/events/core.c, Linux 6.1: the struct pmu callbacks. Left out: the counters' own
 * MSRs, so starting and stopping an event is an entry in cpuc.events (FIDELITY, "Guest kernel").
 */
import { perf_pmu_disable, perf_pmu_enable } from './events_core.js';
import * as intel from './intel_core.js';
import type { Cpu, Kernel } from './kernel.js';
import * as perf from './perf_event.js';
import type { perf_event } from './perf_structs.js';
import { NUM_COUNTERS, NUM_FIXED } from './cpu_structs.js';

/** Kernel: core.c:x86_pmu_disable(). */
export function x86_pmu_disable(cpu: Cpu): void {
  const { cpuc } = cpu;
  if (cpuc.enabled === 0) return;
  cpuc.n_added = 0;
  cpuc.enabled = 0;
  intel.intel_pmu_disable_all(cpu);
}

/**
 * Kernel: core.c:active_events, whether it is 0: perf_event_nmi_handler() then leaves an NMI alone,
 * though a counter may have overflowed before its event was closed.
 */
export function noActiveEvents({ events }: Kernel): boolean {
  return events.every(({ used }) => used === 0);
}

/** Whether every collected event can keep the counter that it had. */
function keepCounters({ cpuc, kernel }: Cpu): boolean {
  let used = 0;
  for (let i = 0; i < cpuc.n_events; i++) {
    const { idx } = kernel.events[cpuc.event_list(i)];
    if (idx === perf.IDX_UNASSIGNED) return false;
    // One event at the most asks for each of these.
    if (idx >= perf.INTEL_PMC_IDX_FIXED) continue;
    if ((used & (1 << idx)) !== 0) return false;
    used |= 1 << idx;
  }
  return true;
}

/**
 * Gives each collected event a counter, as core.c:x86_schedule_events() does: the one that it had,
 * if all can keep theirs, else one after the other. Every general counter can count every event
 * that has no counter of its own. One that runs stops on the counter that it leaves.
 *
 * @param running - number of the first events of the list, which have run since before.
 *
 * Returns whether all have kept theirs.
 */
function assignCounters(cpu: Cpu, running: number): boolean {
  const { cpuc, kernel } = cpu;
  const keep = keepCounters(cpu);
  if (!keep) for (let slot = 0; slot < NUM_COUNTERS; slot++) cpuc.setEvents(slot, 0);
  let next = 0;
  for (let i = 0; i < cpuc.n_events; i++) {
    const event = kernel.events[cpuc.event_list(i)];
    if ((event.attr & perf.ATTR_VLBR) !== 0) event.idx = perf.INTEL_PMC_IDX_FIXED_VLBR;
    else if (perf.fixedCounterOf(event.attr) >= 0) {
      event.idx = perf.INTEL_PMC_IDX_FIXED + perf.fixedCounterOf(event.attr);
      continue;
    } else if (!keep) {
      if (i < running && event.idx !== next) intel.intel_pmu_disable_event(cpu, event);
      event.idx = next++;
    }
    cpuc.setEvents(intel.counterSlot(event), event.id + 1);
  }
  return keep;
}

/** Kernel: core.c:x86_pmu_enable(), x86_pmu_start(). */
export function x86_pmu_enable(cpu: Cpu): void {
  const { cpuc, kernel } = cpu;
  if (cpuc.enabled !== 0) return;
  const added = cpuc.n_added;
  const running = cpuc.n_events - added;
  const kept = added === 0 || assignCounters(cpu, running);
  for (let i = kept ? running : 0; i < cpuc.n_events; i++) {
    intel.intel_pmu_enable_event(cpu, kernel.events[cpuc.event_list(i)]);
  }
  cpuc.n_added = 0;
  cpuc.enabled = 1;
  intel.enable_all(cpu, added);
}

/** Kernel: core.c:x86_schedule_events(). Returns 0, or -EINVAL when they don't all fit. */
function x86_schedule_events(cpu: Cpu, n: number): number {
  const { cpuc, kernel } = cpu;
  const n0 = cpuc.n_events - cpuc.n_txn;
  let unsched = false;
  let counters = 0;
  let guestEvents = 0;
  for (let i = 0; i < n; i++) {
    const event = kernel.events[cpuc.event_list(i)];
    if (i >= n0 && !intel.intel_get_event_constraints(cpu, event)) unsched = true;
    if ((event.attr & perf.ATTR_VLBR) !== 0) guestEvents++;
    else if (perf.fixedCounterOf(event.attr) < 0) counters++;
  }
  // There is one fake counter, as there are four real ones; no two ask for one fixed counter.
  if (!unsched && counters <= NUM_COUNTERS && guestEvents <= 1) return 0;
  for (let i = n0; i < n; i++) {
    intel.intel_put_event_constraints(cpu, kernel.events[cpuc.event_list(i)]);
  }
  return -perf.EINVAL;
}

/** Kernel: core.c:collect_event(): the fake counter of the guest LBR event adds nothing to it. */
const MAX_COLLECTED: number = NUM_COUNTERS + NUM_FIXED;

/**
 * Kernel: core.c:x86_pmu_add(), inside a transaction, as event_sched_in() always is: whether the
 * event fits a counter is only found out at the commit, after the LBR has been told of its user.
 */
export function x86_pmu_add(cpu: Cpu, event: perf_event): number {
  const { cpuc } = cpu;
  if (cpuc.n_events >= MAX_COLLECTED) return -perf.EINVAL;
  cpuc.setEventList(cpuc.n_events, event.id);
  cpuc.n_events++;
  cpuc.n_added++;
  cpuc.n_txn++;
  intel.intel_pmu_add_event(cpu, event);
  return 0;
}

/** Kernel: core.c:x86_pmu_stop(). */
function x86_pmu_stop(cpu: Cpu, event: perf_event): void {
  const { cpuc } = cpu;
  const slot = intel.counterSlot(event);
  if (slot < 0 || cpuc.events(slot) !== event.id + 1) return;
  intel.intel_pmu_disable_event(cpu, event);
  cpuc.setEvents(slot, 0);
}

/** Kernel: core.c:x86_pmu_del(). */
export function x86_pmu_del(cpu: Cpu, event: perf_event): void {
  const { cpuc } = cpu;
  if (cpuc.txn_flags === 0) {
    x86_pmu_stop(cpu, event);
    let i = 0;
    while (i < cpuc.n_events && cpuc.event_list(i) !== event.id) i++;
    // A deleted event that was added under the same disable has no counter yet.
    if (i >= cpuc.n_events - cpuc.n_added) cpuc.n_added--;
    intel.intel_put_event_constraints(cpu, event);
    for (i++; i < cpuc.n_events; i++) cpuc.setEventList(i - 1, cpuc.event_list(i));
    cpuc.n_events--;
  }
  intel.intel_pmu_del_event(cpu, event);
}

/** Kernel: core.c:x86_pmu_start_txn(). */
export function x86_pmu_start_txn(cpu: Cpu): void {
  cpu.cpuc.txn_flags = 1;
  perf_pmu_disable(cpu);
  cpu.cpuc.n_txn = 0;
}

/** Kernel: core.c:x86_pmu_cancel_txn(). */
export function x86_pmu_cancel_txn(cpu: Cpu): void {
  const { cpuc } = cpu;
  cpuc.txn_flags = 0;
  cpuc.n_added -= cpuc.n_txn;
  cpuc.n_events -= cpuc.n_txn;
  cpuc.n_txn = 0;
  perf_pmu_enable(cpu);
}

/** Kernel: core.c:x86_pmu_commit_txn(). Returns 0, or -EAGAIN when the group does not fit. */
export function x86_pmu_commit_txn(cpu: Cpu): number {
  const { cpuc } = cpu;
  if (x86_schedule_events(cpu, cpuc.n_events) !== 0) return -perf.EAGAIN;
  cpuc.txn_flags = 0;
  cpuc.n_txn = 0;
  perf_pmu_enable(cpu);
  return 0;
}

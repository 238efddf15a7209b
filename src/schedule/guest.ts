/** What several actions ask of a guest before they can happen. */
import { type Cpu, driverOf } from '../guest/perf/kernel.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import { PERF_EVENT_STATE_EXIT } from '../guest/perf/perf_event.js';
import type { Machine } from '../machine/machine.js';

/** Whether the vCPU runs and is not in the middle of something that has to go on first. */
export function ready(m: Machine, v: number): boolean {
  return m.vcpus[v].pcpu >= 0 && m.ports[v].suspended === 0 && !m.booting(v);
}

/** Whether a task could be switched to: alive, not running, and not held. */
export function canSwitchTo(m: Machine, v: number, task: number): boolean {
  const t = m.cpu(v).kernel.tasks[task];
  if (t === undefined || t.alive !== 1 || t.on_cpu !== 0) return false;
  return (m.lockedTasks(v) & (1 << task)) === 0;
}

/** Whether an event's task can be told of a change from this CPU: it runs here, or nowhere. */
function reachable(m: Machine, v: number, cpu: Cpu, event: perf_event): boolean {
  // Its task has gone. A function that is suspended may be the exit that has not ended.
  if (event.state === PERF_EVENT_STATE_EXIT) return m.lockedTasks(v) === 0;
  const { task } = cpu.kernel.ctx(event.ctx);
  if (task === 0) return event.cpu === cpu.id;
  if (task - 1 === cpu.cpuctx.current) return true;
  return canSwitchTo(m, v, task - 1);
}

/** Whether an event, and all inherited from it, can be changed from this CPU. */
export function familyReachable(m: Machine, v: number, id: number): boolean {
  const cpu = m.cpu(v);
  const event = cpu.kernel.events[id];
  if (event === undefined || event.used === 0 || event.parent !== 0) return false;
  for (const e of cpu.kernel.events) {
    const inFamily = e.id === id || e.parent === id + 1;
    if (e.used !== 0 && inFamily && !reachable(m, v, cpu, e)) return false;
  }
  return true;
}

/** Whether guests run as C code, and not as the port of it. */
export function runsImage(m: Machine): boolean {
  return driverOf(m.config).image !== undefined;
}

/** Slots of events that nothing takes. */
export function freeEvents(m: Machine, v: number): number {
  let free = -m.ports[v].unseenEvents;
  for (const { used } of m.cpu(v).kernel.events) if (used === 0) free++;
  return free;
}

/**
 * Whether a run with one family has the events of that: one, and where C runs another one once a
 * task has inherited the first, so that siblings differ.
 */
export function hasFamily(m: Machine, v: number): boolean {
  const { events } = m.cpu(v).kernel;
  let opened = 0;
  let inherited = 0;
  for (const { used, parent } of events) {
    if (used === 0) continue;
    if (parent === 0) opened++;
    else inherited++;
  }
  return opened > (runsImage(m) && inherited > 0 ? 1 : 0);
}

/**
 * The functions of a guest's kernel that access MSRs, as plain data: a number and arguments. A
 * function that the host interrupts is suspended as exactly that (ARCHITECTURE, "A context switch
 * inside a guest that is preempted inside it").
 */
import type { Cpu, Kernel } from '../guest/perf/kernel.js';
import * as core from '../guest/perf/events_core.js';
import * as syscall from '../guest/perf/events_syscall.js';
import * as taskEvents from '../guest/perf/events_task.js';
import {
  intel_pmu_cpu_starting,
  intel_pmu_handle_irq,
  intel_pmu_snapshot_branch_stack,
} from '../guest/perf/intel_core.js';
import { assert, ModelInvariantError } from '../hw/assert.js';

export const CALL_SWITCH = 1;
export const CALL_INSTALL = 2;
export const CALL_ENABLE = 3;
export const CALL_DISABLE = 4;
export const CALL_CLOSE = 5;
export const CALL_BOOT = 6;
export const CALL_RDMSR = 7;
export const CALL_WRMSR = 8;
export const CALL_PMI = 9;
export const CALL_EXIT = 10;
export const CALL_EXEC = 11;
export const CALL_TICK = 12;
export const CALL_ROTATE = 13;
export const CALL_SNAPSHOT = 14;
/** Only a guest that runs as C code has it. */
export const CALL_ATTACH = 15;

/** The second argument of CALL_INSTALL: the task, or -1 for an event of the CPU, and ATTR_*. */
export function opensWith(task: number, attr: number): number {
  return (attr << 8) | (task + 1);
}

export function openedBy(b: number): { readonly task: number; readonly attr: number } {
  return { task: (b & 0xff) - 1, attr: b >> 8 };
}

/** Bit mask of the tasks that an event and those inherited from it belong to. */
export function familyTasks(kernel: Kernel, event: number): number {
  let mask = 0;
  for (const e of kernel.events) {
    if (e.used === 0 || (e.id !== event && e.parent !== event + 1)) continue;
    const { task } = kernel.ctx(e.ctx);
    if (task > 0) mask |= 1 << (task - 1);
  }
  return mask;
}

/** Bit mask of the tasks that a function may touch, as it begins. */
export function tasksOf(cpu: Cpu, fn: number, a: number, b: number): number {
  const current = 1 << cpu.cpuctx.current;
  switch (fn) {
    case CALL_SWITCH:
    case CALL_EXIT:
      return (1 << a) | (1 << b);
    case CALL_INSTALL:
    case CALL_ENABLE:
    case CALL_DISABLE:
    case CALL_CLOSE:
      return current | familyTasks(cpu.kernel, a);
    default:
      return current;
  }
}

export const CALL_NAMES: readonly string[] = [
  '',
  'context_switch',
  'perf_install_in_context',
  'perf_event_enable',
  'perf_event_disable',
  'perf_event_release_kernel',
  'intel_pmu_cpu_starting',
  'rdmsr',
  'wrmsr',
  'intel_pmu_handle_irq',
  'do_exit',
  'perf_event_exec',
  'perf_event_task_tick',
  'perf_mux_hrtimer_handler',
  'bpf_get_branch_snapshot',
  'perf_cgroup_attach',
];

/** task_struct.alive of a task that has exited. */
const TASK_GONE = 2;

/** Kernel: sched/core.c:context_switch(), as far as perf is told of it. */
function context_switch(cpu: Cpu, prev: number, next: number): void {
  const { tasks } = cpu.kernel;
  assert(cpu.cpuctx.current === prev, 'the task that leaves is the one that runs');
  assert(tasks[next].on_cpu === 0, 'a task runs on one CPU at a time');
  core.__perf_event_task_sched_out(cpu, prev, next);
  cpu.cpuctx.current = next;
  tasks[prev].on_cpu = 0;
  tasks[next].on_cpu = cpu.id + 1;
  tasks[next].cpu = cpu.id;
  core.__perf_event_task_sched_in(cpu, next);
}

/** An upper bound of the MSR accesses of one function, on a stack of `lbr_nr` records. */
export function accessesMost(lbr_nr: number): number {
  return 6 * lbr_nr + 24;
}

/** Runs a function from its start. It throws only what its MSR port throws. */
export function runGuestCall(cpu: Cpu, fn: number, a: number, b: number, c: number): void {
  const { events } = cpu.kernel;
  switch (fn) {
    case CALL_SWITCH:
      context_switch(cpu, a, b);
      break;
    case CALL_INSTALL:
      // A system call that has refused the event installs none.
      if (events[a].used !== 0) core.perf_install_in_context(cpu, events[a]);
      break;
    case CALL_ENABLE:
      syscall.enableFamily(cpu, events[a]);
      break;
    case CALL_DISABLE:
      syscall.disableFamily(cpu, events[a]);
      break;
    case CALL_CLOSE:
      syscall.perf_event_release_kernel(cpu, events[a]);
      break;
    case CALL_BOOT:
      intel_pmu_cpu_starting(cpu);
      break;
    case CALL_RDMSR:
      cpu.rdmsrl(a);
      break;
    case CALL_WRMSR:
      cpu.wrmsrl(a, b, c);
      break;
    case CALL_PMI:
      intel_pmu_handle_irq(cpu);
      break;
    case CALL_EXIT:
      taskEvents.perf_event_exit_task(cpu);
      context_switch(cpu, a, b);
      cpu.kernel.tasks[a].alive = TASK_GONE;
      break;
    case CALL_EXEC:
      taskEvents.perf_event_exec(cpu);
      break;
    case CALL_TICK:
      taskEvents.perf_event_task_tick(cpu);
      break;
    case CALL_ROTATE:
      taskEvents.perf_mux_hrtimer_handler(cpu);
      break;
    case CALL_SNAPSHOT:
      intel_pmu_snapshot_branch_stack(cpu);
      break;
    default:
      throw new ModelInvariantError(`no guest function ${fn}`);
  }
}

/** Actions of a guest's scheduler. */
import { freeTask, inheritedEvents } from '../../guest/perf/events_syscall.js';
import { hasRoom } from '../../guest/perf/task_data.js';
import type { Machine } from '../../machine/machine.js';
import type { ActionKind } from '../action.js';
import { canSwitchTo, freeEvents } from '../guest.js';
import { task } from '../param.js';

type TaskAction = 'taskSwitch' | 'migrateTask' | 'fork';

/** Whether a vCPU can switch to a task, and whether that task would come from another vCPU. */
function canTaskSwitch(m: Machine, v: number, to: number, migrates: boolean): boolean {
  if (!canSwitchTo(m, v, to)) return false;
  const cpu = m.cpu(v);
  return (cpu.kernel.tasks[to].cpu !== cpu.id) === migrates;
}

function canFork(m: Machine, v: number): boolean {
  const { kernel, cpuctx } = m.cpu(v);
  if (freeTask(kernel) < 0) return false;
  return inheritedEvents(kernel, cpuctx.current) <= freeEvents(m, v) && hasRoom(kernel, 0);
}

export const TASK_ACTIONS: Readonly<Record<TaskAction, ActionKind>> = {
  taskSwitch: {
    code: 6,
    actor: 'vcpu',
    params: [task],
    weight: 8,
    says: 'context switch to a task that last ran on this vCPU, or never did',
    runsFunction: true,
    possible: (m, v, a) => canTaskSwitch(m, v, a, false),
    perform: (m, v, a) => m.switchTask(v, a),
    explored: [{ groups: ['tasks'], when: 'function', over: 'task' }],
  },
  migrateTask: {
    code: 7,
    actor: 'vcpu',
    params: [task],
    weight: 4,
    says: 'context switch to a task that last ran on another vCPU of the VM',
    runsFunction: true,
    possible: (m, v, a) => canTaskSwitch(m, v, a, true),
    perform: (m, v, a) => m.switchTask(v, a),
    explored: [{ groups: ['tasks'], when: 'function', over: 'task' }],
  },
  fork: {
    code: 8,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'fork of the current task',
    swarm: 'forks',
    possible: canFork,
    perform: (m, v) => m.fork(v),
    explored: [{ groups: ['fork'], when: 'at once' }],
  },
};

/** Actions of a guest's kernel that only a guest which runs as C code has. */
import type { ActionKind } from '../action.js';
import type { Explored } from '../explored.js';
import { canSwitchTo } from '../guest.js';
import { cgroup, task } from '../param.js';

const BY_IMAGE: readonly Explored[] = [{ groups: ['image'], when: 'function' }];

type KernelAction = 'taskExit' | 'exec' | 'tick' | 'rotate' | 'branchSnapshot' | 'moveTask';

export const KERNEL_ACTIONS: Readonly<Record<KernelAction, ActionKind>> = {
  taskExit: {
    code: 27,
    actor: 'vcpu',
    params: [task],
    weight: 1,
    says: 'the current task exits, and the vCPU goes on with another one',
    runsFunction: true,
    possible: canSwitchTo,
    perform: (m, v, a) => m.taskExit(v, a),
    explored: [{ groups: ['life', 'image'], when: 'function', over: 'task' }],
  },
  exec: {
    code: 28,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'the current task calls execve: its events with enable_on_exec are enabled',
    runsFunction: true,
    perform: (m, v) => m.exec(v),
    explored: BY_IMAGE,
  },
  tick: {
    code: 29,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: "the timer's tick: frequencies are adjusted, and events are no longer throttled",
    runsFunction: true,
    perform: (m, v) => m.tick(v),
    explored: BY_IMAGE,
  },
  rotate: {
    code: 30,
    actor: 'vcpu',
    params: [],
    weight: 2,
    says: 'the timer by which events take turns that cannot count together',
    runsFunction: true,
    perform: (m, v) => m.rotate(v),
    explored: BY_IMAGE,
  },
  branchSnapshot: {
    code: 31,
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'a BPF program calls bpf_get_branch_snapshot()',
    runsFunction: true,
    perform: (m, v) => m.branchSnapshot(v),
    explored: BY_IMAGE,
  },
  moveTask: {
    code: 32,
    actor: 'vcpu',
    params: [cgroup],
    weight: 2,
    says: 'the current task moves to a cgroup: the root, a in it, or b in a',
    needsImage: true,
    runsFunction: true,
    possible: (m, v) => m.cpu(v).kernel.hasCgroups,
    perform: (m, v, a) => m.moveTask(v, a),
  },
};

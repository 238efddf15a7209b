/** Who runs where, step by step: a lane for each pCPU, vCPU and task that takes part. */
import type { Story, StoryStep } from './story.js';
import { HOST_OWNS } from './stacks.js';

/** What a lane shows in a step. */
export interface Cell {
  /** `v1`, `p0`, `t0`; empty where there is nothing to show. */
  readonly label: string;
  /** The VM whose time it is; HOST_OWNS for the host's. */
  readonly vm: number;
  /** `guest`: the guest runs. `host`: its thread is there, and the host runs. `off`: neither. */
  readonly mode: 'guest' | 'host' | 'off';
}

export interface Lane {
  readonly kind: 'pCPU' | 'vCPU' | 'task';
  /** `p0`, `v1`, `t0`. */
  readonly name: string;
  /** The VM that it belongs to; HOST_OWNS for a pCPU. */
  readonly vm: number;
  /** A cell for each step, the boot included. */
  readonly cells: readonly Cell[];
}

const OFF: Cell = { label: '', vm: HOST_OWNS, mode: 'off' };

function pcpuCell({ state }: StoryStep, pcpu: number): Cell {
  const { vcpu, inGuest } = state.pcpus[pcpu];
  if (vcpu === null) return OFF;
  return { label: `v${vcpu}`, vm: state.vcpus[vcpu].vm, mode: inGuest ? 'guest' : 'host' };
}

function vcpuCell({ state }: StoryStep, vcpu: number): Cell {
  const { pcpu, vm, task } = state.vcpus[vcpu];
  if (pcpu === null) return OFF;
  return { label: `t${task}`, vm, mode: state.pcpus[pcpu].inGuest ? 'guest' : 'host' };
}

function taskCell({ state }: StoryStep, vm: number, task: number): Cell {
  const here = state.tasks.find((one) => one.vm === vm && one.task === task);
  const vcpu = here?.vcpu ?? null;
  const pcpu = vcpu === null ? null : state.vcpus[vcpu].pcpu;
  if (pcpu === null) return OFF;
  return { label: `p${pcpu}`, vm, mode: state.pcpus[pcpu].inGuest ? 'guest' : 'host' };
}

/** The lanes of a story: all pCPUs, and the vCPUs and tasks that are ever on one. */
export function lanesOf({ steps }: Story): Lane[] {
  const [{ state }] = steps;
  const pcpus = state.pcpus.map(({ pcpu }): Lane => ({
    kind: 'pCPU',
    name: `p${pcpu}`,
    vm: HOST_OWNS,
    cells: steps.map((step) => pcpuCell(step, pcpu)),
  }));
  const vcpus = state.vcpus.map(({ vcpu, vm }): Lane => ({
    kind: 'vCPU',
    name: `v${vcpu}`,
    vm,
    cells: steps.map((step) => vcpuCell(step, vcpu)),
  }));
  const tasks = tasksOf(steps).map(({ vm, task }): Lane => ({
    kind: 'task',
    name: `t${task}`,
    vm,
    cells: steps.map((step) => taskCell(step, vm, task)),
  }));
  const takesPart = ({ cells }: Lane): boolean => cells.some(({ mode }) => mode !== 'off');
  return [...pcpus, ...[...vcpus, ...tasks].filter(takesPart)];
}

/** Every task that there ever is, by VM and number. */
function tasksOf(steps: readonly StoryStep[]): { readonly vm: number; readonly task: number }[] {
  const all = steps.flatMap(({ state }) => state.tasks);
  const first = all.filter(
    ({ vm, task }, i) => all.findIndex((one) => one.vm === vm && one.task === task) === i,
  );
  return first.sort((a, b) => a.vm - b.vm || a.task - b.task);
}

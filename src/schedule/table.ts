/**
 * The table of actions. An action of a schedule is five integers: what, who, and at most three
 * parameters. All that handles actions goes by this table.
 */
import { assert } from '../hw/assert.js';
import type { Machine } from '../machine/machine.js';
import type { ActionKind } from './action.js';
import { BRANCH_ACTIONS } from './actions/branches.js';
import { EVENT_ACTIONS } from './actions/events.js';
import { HOST_ACTIONS } from './actions/host.js';
import { MSR_ACTIONS } from './actions/msrs.js';
import { TASK_ACTIONS } from './actions/tasks.js';
import { KERNEL_ACTIONS } from './actions/kernel.js';
import { THREAD_ACTIONS } from './actions/threads.js';
import { VCPU_ACTIONS } from './actions/vcpus.js';
import { ready, runsImage } from './guest.js';

export type ActionName =
  | keyof typeof BRANCH_ACTIONS
  | keyof typeof TASK_ACTIONS
  | keyof typeof EVENT_ACTIONS
  | keyof typeof MSR_ACTIONS
  | keyof typeof VCPU_ACTIONS
  | keyof typeof KERNEL_ACTIONS
  | keyof typeof HOST_ACTIONS
  | keyof typeof THREAD_ACTIONS;

export const ACTIONS: Readonly<Record<ActionName, ActionKind>> = {
  ...BRANCH_ACTIONS,
  ...TASK_ACTIONS,
  ...EVENT_ACTIONS,
  ...MSR_ACTIONS,
  ...VCPU_ACTIONS,
  ...HOST_ACTIONS,
  ...KERNEL_ACTIONS,
  ...THREAD_ACTIONS,
};

export const ACTION_NAMES: readonly ActionName[] = Object.keys(ACTIONS) as ActionName[];

/** The actions by number. */
export const KINDS: readonly ActionKind[] = ACTION_NAMES.map((name) => ACTIONS[name]);

/** Number of each action, its index in ACTION_NAMES: what a schedule stores. */
export const KIND: Readonly<Record<ActionName, number>> = Object.fromEntries(
  ACTION_NAMES.map((name, i) => [name, i]),
) as Record<ActionName, number>;

/** One action of a schedule: plain data, printable, replayable on its own. */
export interface Action {
  readonly kind: ActionName;
  /** Number of the vCPU or pCPU that the action belongs to. */
  readonly actor: number;
  /** Values of the parameters, in the order of the table; numbers are 32-bit. */
  readonly args: readonly number[];
}

/** Whether the actor of an action is a vCPU (1) or a pCPU (0), by number of the action. */
export const IS_VCPU: Uint8Array = Uint8Array.from(KINDS, ({ actor }) =>
  actor === 'vcpu' ? 1 : 0,
);

const NEEDS_READY = Uint8Array.from(KINDS, ({ actor, anyState }) =>
  actor === 'vcpu' && anyState !== true ? 1 : 0,
);

const ALWAYS = (): boolean => true;
const POSSIBLE = KINDS.map((kind): NonNullable<ActionKind['possible']> => {
  const { possible = ALWAYS } = kind;
  if (!needsTree(kind)) return possible;
  return (m, v, a, b) => has(m, kind) && possible(m, v, a, b);
});

/** Whether only the code of a tree can do an action. */
export function needsTree({ needsImage, needsKvm }: ActionKind): boolean {
  return needsImage === true || needsKvm === true;
}

function has(m: Machine, { needsImage, needsKvm }: ActionKind): boolean {
  if (needsKvm === true) return m.hypervisor.tree !== null;
  return needsImage !== true || runsImage(m);
}

/** Whether a machine can ever perform actions of a kind. */
export function isFor(m: Machine, kind: number): boolean {
  return has(m, KINDS[kind]);
}
const PERFORM = KINDS.map(({ perform: act }) => act);

/** Whether there is such an actor, and whether its state lets it begin an action of this kind. */
export function canBegin(m: Machine, kind: number, actor: number): boolean {
  const actors = IS_VCPU[kind] === 1 ? m.vcpus.length : m.pcpus.length;
  return actor >= 0 && actor < actors && (NEEDS_READY[kind] === 0 || ready(m, actor));
}

/** Whether the machine can perform this action now. */
export function canPerform(m: Machine, kind: number, actor: number, a: number, b: number): boolean {
  return canBegin(m, kind, actor) && POSSIBLE[kind](m, actor, a, b);
}

/** Performs an action that `canPerform` allows. */
export function perform(
  m: Machine,
  kind: number,
  actor: number,
  a: number,
  b: number,
  c: number,
): void {
  const act = PERFORM[kind];
  assert(act !== undefined, 'a schedule holds known actions');
  act(m, actor, a, b, c);
}

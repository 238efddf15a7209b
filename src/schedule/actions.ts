/**
 * A schedule is a list of actions, and an action is five integers: what, who, and at most three
 * parameters. The table says what the parameters mean, so that one description serves printing,
 * parsing, shrinking and the documentation.
 */

import { hex } from '../hw/u64.js';

/** Parameters of an action, as named in its printed form. `[min, max]` is what shrinks. */
export interface Param {
  readonly name: string;
  /** Smallest sensible value: shrinking goes towards it. */
  readonly min: number;
}

export interface ActionSpec {
  readonly name: string;
  /** Whether `actor` is a vCPU or a pCPU. */
  readonly actor: 'vcpu' | 'pcpu';
  readonly params: readonly Param[];
  /** How often it is drawn among the enabled ones. */
  readonly weight: number;
  readonly says: string;
}

const count: Param = { name: 'n', min: 1 };
const after: Param = { name: 'after', min: 0 };
const task: Param = { name: 'task', min: 0 };
const event: Param = { name: 'event', min: 0 };

export const ACTION_NAMES = [
  'call',
  'ret',
  'jmp',
  'jcc',
  'enter',
  'leave',
  'taskSwitch',
  'migrateTask',
  'fork',
  'open',
  'enable',
  'disable',
  'close',
  'pmi',
  'rdmsr',
  'wrmsr',
  'halt',
  'kexec',
  'boot',
  'resume',
  'run',
  'idle',
  'exit',
  'hostEvent',
  'hostWork',
  'cstate',
  'liveMigrate',
] as const;
export type ActionName = (typeof ACTION_NAMES)[number];

/** Number of each action kind, its index in ACTION_NAMES: what a schedule stores. */
export const KIND: Readonly<Record<ActionName, number>> = {
  call: 0,
  ret: 1,
  jmp: 2,
  jcc: 3,
  enter: 4,
  leave: 5,
  taskSwitch: 6,
  migrateTask: 7,
  fork: 8,
  open: 9,
  enable: 10,
  disable: 11,
  close: 12,
  pmi: 13,
  rdmsr: 14,
  wrmsr: 15,
  halt: 16,
  kexec: 17,
  boot: 18,
  resume: 19,
  run: 20,
  idle: 21,
  exit: 22,
  hostEvent: 23,
  hostWork: 24,
  cstate: 25,
  liveMigrate: 26,
};

const kind: Param = { name: 'kind', min: 0 };

/** One row for each action, by ACTION_NAMES. */
export const ACTIONS: Readonly<Record<ActionName, ActionSpec>> = {
  call: {
    name: 'call',
    actor: 'vcpu',
    params: [count, kind],
    weight: 10,
    says: 'n calls; kind 0 relative, 1 indirect, 2 to the next instruction',
  },
  ret: { name: 'ret', actor: 'vcpu', params: [count], weight: 6, says: 'n returns' },
  jmp: { name: 'jmp', actor: 'vcpu', params: [count, kind], weight: 2, says: 'n jumps' },
  jcc: { name: 'jcc', actor: 'vcpu', params: [count], weight: 2, says: 'n taken conditionals' },
  enter: {
    name: 'enter',
    actor: 'vcpu',
    params: [kind],
    weight: 1,
    says: 'into the kernel; kind 0 by syscall, 1 by interrupt',
  },
  leave: { name: 'leave', actor: 'vcpu', params: [], weight: 4, says: 'back to user mode' },
  taskSwitch: {
    name: 'taskSwitch',
    actor: 'vcpu',
    params: [task],
    weight: 8,
    says: 'context switch to a task that last ran on this vCPU, or never did',
  },
  migrateTask: {
    name: 'migrateTask',
    actor: 'vcpu',
    params: [task],
    weight: 4,
    says: 'context switch to a task that last ran on another vCPU of the VM',
  },
  fork: { name: 'fork', actor: 'vcpu', params: [], weight: 1, says: 'fork of the current task' },
  open: {
    name: 'open',
    actor: 'vcpu',
    params: [
      { name: 'task', min: -1 },
      { name: 'attr', min: 0 },
      { name: 'type', min: 0 },
    ],
    weight: 6,
    says: 'perf_event_open; task -1 is a CPU event; attr and branch_sample_type as bit masks',
  },
  enable: { name: 'enable', actor: 'vcpu', params: [event], weight: 3, says: 'ioctl ENABLE' },
  disable: { name: 'disable', actor: 'vcpu', params: [event], weight: 3, says: 'ioctl DISABLE' },
  close: { name: 'close', actor: 'vcpu', params: [event], weight: 2, says: 'close of an event' },
  pmi: {
    name: 'pmi',
    actor: 'vcpu',
    params: [event, after],
    weight: 8,
    says: 'its counter overflows; the NMI comes after so many more MSR accesses',
  },
  rdmsr: {
    name: 'rdmsr',
    actor: 'vcpu',
    params: [{ name: 'msr', min: 0 }],
    weight: 4,
    says: 'a raw RDMSR by the guest, perf aside',
  },
  wrmsr: {
    name: 'wrmsr',
    actor: 'vcpu',
    params: [
      { name: 'msr', min: 0 },
      { name: 'eax', min: 0 },
      { name: 'edx', min: 0 },
    ],
    weight: 2,
    says: 'a raw WRMSR by the guest, perf aside',
  },
  halt: { name: 'halt', actor: 'vcpu', params: [], weight: 1, says: 'HLT: the pCPU goes idle' },
  kexec: { name: 'kexec', actor: 'vcpu', params: [], weight: 1, says: 'a new kernel takes over' },
  boot: {
    name: 'boot',
    actor: 'vcpu',
    params: [],
    weight: 30,
    says: 'the CPU starts in the kernel that took over',
  },
  resume: {
    name: 'resume',
    actor: 'vcpu',
    params: [],
    weight: 30,
    says: 'goes on in the kernel function in which it was preempted',
  },
  run: {
    name: 'run',
    actor: 'pcpu',
    params: [{ name: 'vcpu', min: 0 }, after],
    weight: 12,
    says: 'switches to a vCPU, now or after so many more MSR accesses of the one that runs',
  },
  idle: {
    name: 'idle',
    actor: 'pcpu',
    params: [after],
    weight: 2,
    says: 'switches to the idle thread, now or after so many MSR accesses',
  },
  exit: {
    name: 'exit',
    actor: 'pcpu',
    params: [],
    weight: 2,
    says: 'a VM exit and re-entry for a reason of no interest',
  },
  hostEvent: {
    name: 'hostEvent',
    actor: 'pcpu',
    params: [
      { name: 'which', min: 0 },
      { name: 'op', min: 0 },
    ],
    weight: 2,
    says:
      "the host's own LBR event: which 0 CPU-pinned, 1 of the vCPU's thread, 2 CPU-flexible; " +
      'op 0 on, 1 off, 2 close',
  },
  hostWork: {
    name: 'hostWork',
    actor: 'pcpu',
    params: [count],
    weight: 2,
    says: 'n branches of host code; then the host event that counts takes a sample',
  },
  cstate: {
    name: 'cstate',
    actor: 'pcpu',
    params: [],
    weight: 1,
    says: 'an idle pCPU sleeps deeply enough to lose its records',
  },
  liveMigrate: {
    name: 'liveMigrate',
    actor: 'vcpu',
    params: [],
    weight: 1,
    says: 'the vCPU, while off, is saved and created anew',
  },
};

/** One action of a schedule: plain data, printable, replayable on its own. */
export interface Action {
  readonly kind: ActionName;
  /** Number of the vCPU or pCPU that the action belongs to. */
  readonly actor: number;
  /** Values of the parameters, in the order of the table; numbers are 32-bit. */
  readonly args: readonly number[];
}

/** Parameters that are printed in hexadecimal. */
const IN_HEX: readonly string[] = ['msr', 'eax', 'edx', 'type'];

/** An action in one line. */
export function actionText(action: Action): string {
  const spec = ACTIONS[action.kind];
  const who = spec.actor === 'vcpu' ? `v${action.actor}` : `p${action.actor}`;
  const args = spec.params.map((param, i) => {
    const value = action.args[i];
    return `${param.name}=${IN_HEX.includes(param.name) ? hex(value) : value}`;
  });
  return [`${who}:`, action.kind, ...args].join(' ');
}

/** How an exploration tries an action: with which parameters, when, and in which group. */
import type { Machine } from '../machine/machine.js';

/** What each group adds, in the order in which people read them. */
export const GROUPS = {
  calls: 'calls and returns, one at a time, while they are recorded',
  runs: 'calls and returns, several at a time, up to all that hardware can hold and one more',
  tasks: 'context switches of guests, to another vCPU as well',
  events: 'opening and closing call-stack events of tasks',
  pmi: 'overflows of counters that count',
  inside: 'vCPU switches inside guest kernel functions, before each MSR access',
  ioctl: 'enabling and disabling events',
  ring: 'events of tasks for all branches of user mode',
  cpu: 'call-stack events of CPUs',
  raw: 'RDMSR and WRMSR of LBR MSRs by guests, perf aside',
  idle: 'idle threads, and deep C-states below them',
  exit: 'VM exits and re-entries',
  host: "the host's own LBR events, and their samples",
  overflow: "overflows of the host's own counters while a guest runs",
  userspace: "returns of vCPUs' threads to userspace",
  kexec: 'kexec, and the start of CPUs after it',
  migrate: 'live migration of vCPUs that are off',
  fork: 'forks, with events that are inherited',
  life: 'exits of tasks, and memory that is handed out again',
  nmi: 'overflows whose NMI comes inside a guest kernel function',
  image: 'execve and exit of tasks, the tick, and turns of events',
} as const;
export type Group = keyof typeof GROUPS;
export const GROUP_NAMES = Object.keys(GROUPS) as readonly Group[];

/** What bounds an exploration, besides the machine. */
export interface Bounds {
  readonly groups: readonly Group[];
  /** Events that a VM may open. */
  readonly events: number;
  /** Calls that a task may be deep, in frames that hardware can know of. */
  readonly calls: number;
  /** Guest kernel functions that may be suspended at a time. */
  readonly suspended: number;
}

/** What an action may ask about the state that is explored. */
export interface Exploring {
  readonly machine: Machine;
  readonly bounds: Bounds;
  has(group: Group): boolean;
  /** Whether branches of a vCPU are recorded. */
  lbrOn(vcpu: number): boolean;
  /** How deep the call stack of a VM's task is. */
  frames(vm: number, task: number): number;
  /** Events that a VM has opened. */
  opened(vm: number): number;
}

/** Receives the parameters to try; those that are not possible are passed over. */
export type Try = (a: number, b: number, c: number) => void;

export interface Explored {
  /** Groups that bring the action: one of them suffices. */
  readonly groups: readonly Group[];
  /**
   * Whether it is a function of a guest's kernel, inside which the host may switch; something of a
   * guest that is over at once; of a pCPU; a switch of a pCPU; or of a vCPU that is off.
   */
  readonly when: 'function' | 'at once' | 'pcpu' | 'switch' | 'off';
  /** Calls `can` for each choice of parameters; by default once, with zeros. */
  each?(x: Exploring, actor: number, can: Try): void;
  /** Set where the first parameter goes over all tasks or events, in turns with other actions. */
  readonly over?: 'task' | 'event';
}

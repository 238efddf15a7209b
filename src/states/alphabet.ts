/**
 * The actions that an exploration tries, by group: which of the kinds that a schedule may have, and
 * with which parameters. What is left out is a bound, and is reported as one.
 */
import {
  PERF_SAMPLE_BRANCH_ANY,
  PERF_SAMPLE_BRANCH_CALL_STACK,
  PERF_SAMPLE_BRANCH_USER,
} from '../guest/perf/perf_event.js';
import { addressHigh, BRANCH_NONE } from '../hw/branch.js';
import * as msrs from '../hw/msr_index.js';
import { KIND } from '../schedule/actions.js';
import { accessesMost } from '../machine/guest_call.js';
import { HOST_EVENTS } from '../machine/host_perf.js';
import { canPerform, canSwitchTo } from '../schedule/perform.js';
import type { Machine } from '../machine/machine.js';

/** What each group adds. */
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
  kexec: 'kexec, and the start of CPUs after it',
  migrate: 'live migration of vCPUs that are off',
  fork: 'forks, with events that are inherited',
  nmi: 'overflows whose NMI comes inside a guest kernel function',
} as const;
export type Group = keyof typeof GROUPS;
export const GROUP_NAMES = Object.keys(GROUPS) as readonly Group[];

/** With these the sound policies have few enough states to be explored whole. */
export const DEFAULT_GROUPS: readonly Group[] = ['calls', 'tasks', 'events', 'pmi', 'inside'];

/** A value that no LBR register takes as an address. */
const NOT_CANONICAL_HI = 0x00ff0000;
/** What a raw write leaves as an address's low word: far above the numbers that branches get. */
export const RAW_VALUE = 0x1000;

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

/** Receives the actions: kind, actor and three parameters. */
export type Offer = (kind: number, actor: number, a: number, b: number, c: number) => void;

/** What a vCPU that is loaded can do next, in a fixed order. */
export class Alphabet {
  readonly bounds: Bounds;
  private readonly machine: Machine;
  private readonly lbrOn: (vcpu: number) => boolean;
  private readonly frames: (vm: number, task: number) => number;
  private readonly opened: Int32Array;
  private readonly types: readonly number[];

  /**
   * @param lbrOn - whether branches of a vCPU are recorded.
   * @param frames - how deep the call stack of a VM's task is.
   * @param opened - per VM: events that it has opened.
   */
  constructor(
    machine: Machine,
    bounds: Bounds,
    lbrOn: (vcpu: number) => boolean,
    frames: (vm: number, task: number) => number,
    opened: Int32Array,
  ) {
    this.machine = machine;
    this.bounds = bounds;
    this.lbrOn = lbrOn;
    this.frames = frames;
    this.opened = opened;
    const { callstack } = machine.config.model;
    const types: number[] = [];
    if (this.has('events') && callstack) {
      types.push(PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER);
    }
    // Without call-stack mode there is one way left to use LBR.
    if (this.has('ring') || (this.has('events') && !callstack)) {
      types.push(PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER);
    }
    this.types = types;
  }

  has(group: Group): boolean {
    return this.bounds.groups.includes(group);
  }

  /** Guest actions that access MSRs, or may: the host can come in between. */
  functions(v: number, offer: Offer): void {
    const { machine } = this;
    const can = (kind: number, a: number, b: number, c: number): void => {
      if (canPerform(machine, kind, v, a, b)) offer(kind, v, a, b, c);
    };
    can(KIND.resume, 0, 0, 0);
    can(KIND.boot, 0, 0, 0);
    const { tasks, events } = machine.cpu(v).kernel;
    if (this.has('tasks')) {
      for (let t = 0; t < tasks.length; t++) {
        can(KIND.taskSwitch, t, 0, 0);
        can(KIND.migrateTask, t, 0, 0);
      }
    }
    this.opens(v, can);
    for (const { id, used } of events) {
      if (used === 0) continue;
      can(KIND.close, id, 0, 0);
      if (this.has('ioctl')) {
        can(KIND.enable, id, 0, 0);
        can(KIND.disable, id, 0, 0);
      }
      if (this.has('pmi')) can(KIND.pmi, id, 0, 0);
    }
    if (this.has('raw')) this.raw(v, can);
    if (this.has('kexec')) can(KIND.kexec, 0, 0, 0);
  }

  private opens(v: number, can: (kind: number, a: number, b: number, c: number) => void): void {
    const { machine } = this;
    const { kernel, cpuctx } = machine.cpu(v);
    if (this.opened[machine.vcpus[v].vm] >= this.bounds.events) return;
    const inherit = this.has('fork') ? 2 : 0;
    for (const type of this.types) {
      for (let t = 0; t < kernel.tasks.length; t++) {
        const reachable = t === cpuctx.current || canSwitchTo(machine, v, t);
        if (reachable) can(KIND.open, t, inherit, type);
      }
    }
    if (this.has('cpu') && machine.config.model.callstack) {
      can(KIND.open, -1, 0, PERF_SAMPLE_BRANCH_CALL_STACK | PERF_SAMPLE_BRANCH_USER);
    }
  }

  private raw(v: number, can: (kind: number, a: number, b: number, c: number) => void): void {
    const { machine } = this;
    const { lbr_from, lbr_info, select } = machine.config.model;
    const { vm, cpu } = machine.vcpus[v];
    const own = addressHigh(false, BRANCH_NONE, vm, cpu, machine.cpu(v).cpuctx.current);
    for (const msr of [msrs.MSR_LBR_TOS, lbr_from, lbr_from + 1]) can(KIND.rdmsr, msr, 0, 0);
    if (lbr_info !== 0) can(KIND.rdmsr, lbr_info, 0, 0);
    can(KIND.wrmsr, lbr_from, RAW_VALUE, own);
    can(KIND.wrmsr, lbr_from, 0, NOT_CANONICAL_HI);
    can(KIND.wrmsr, msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR, 0);
    can(KIND.wrmsr, msrs.MSR_IA32_DEBUGCTLMSR, 0, 0);
    if (select !== 'none') can(KIND.wrmsr, msrs.MSR_LBR_SELECT, 1, 0);
  }

  /** Guest actions that are over at once. */
  atOnce(v: number, offer: Offer): void {
    const { machine } = this;
    const can = (kind: number, a: number, b: number): void => {
      if (canPerform(machine, kind, v, a, b)) offer(kind, v, a, b, 0);
    };
    // What is not recorded leaves no trace.
    if (this.has('calls') && this.lbrOn(v)) {
      const { vm } = machine.vcpus[v];
      const { current } = machine.cpu(v).cpuctx;
      const deepest = this.bounds.calls - this.frames(vm, current);
      const most = this.has('runs') ? machine.config.model.lbr_nr + 1 : 1;
      for (let n = 1; n <= Math.min(most, deepest); n++) can(KIND.call, n, 0);
      for (let n = 1; n <= most; n++) can(KIND.ret, n, 0);
    }
    if (this.has('fork')) can(KIND.fork, 0, 0);
    if (!this.has('nmi')) return;
    const most = accessesMost(machine.config.model.lbr_nr);
    for (const { id, used } of machine.cpu(v).kernel.events) {
      if (used === 0) continue;
      for (let after = 1; after <= most; after++) can(KIND.pmi, id, after);
    }
  }

  /** What happens to a pCPU, a switch to another vCPU aside. */
  onPcpu(p: number, offer: Offer): void {
    const { machine } = this;
    const can = (kind: number, a: number, b: number): void => {
      if (canPerform(machine, kind, p, a, b)) offer(kind, p, a, b, 0);
    };
    if (this.has('exit')) can(KIND.exit, 0, 0);
    if (this.has('idle')) can(KIND.cstate, 0, 0);
    if (!this.has('host')) return;
    for (let which = 0; which < HOST_EVENTS; which++) {
      for (let op = 0; op < 3; op++) can(KIND.hostEvent, which, op);
    }
    can(KIND.hostWork, 1, 0);
  }

  /** Whom a pCPU can switch to: vCPUs that run nowhere, and -1 for its idle thread. */
  successors(p: number): number[] {
    const { machine } = this;
    const list: number[] = [];
    const running = machine.pcpus.map((_, i) => machine.loaded(i)?.id ?? -1);
    for (const { id } of machine.vcpus) if (!running.includes(id)) list.push(id);
    if (this.has('idle') && machine.loaded(p) !== null) list.push(-1);
    return list;
  }
}

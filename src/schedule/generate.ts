/**
 * Draws schedules, one action at a time, from those that the machine can perform next: nothing is
 * drawn and then skipped. A run switches some kinds of action off ("swarm"), so that the others
 * get to meet each other.
 */
import type { Draw } from './draw.js';
import * as perf from '../guest/perf/perf_event.js';
import { addressHigh, BRANCH_NONE, branchCycles } from '../hw/branch.js';
import * as msrs from '../hw/msr_index.js';
import type { ActionName } from './actions.js';
import { ACTION_NAMES, ACTIONS, KIND } from './actions.js';
import { HOST_EVENTS } from '../machine/host_perf.js';
import type { Machine } from '../machine/machine.js';
import { canPerform, canSwitchTo, IS_VCPU } from './perform.js';

/** Until a run begins. */
const NO_DRAW: Draw = { below: () => 0 };

const KINDS = ACTION_NAMES.length;
const WEIGHTS = ACTION_NAMES.map((name) => ACTIONS[name].weight);
const VCPU_KINDS = Uint8Array.from(ACTION_NAMES.keys()).filter((kind) => IS_VCPU[kind] === 1);
const PCPU_KINDS = Uint8Array.from(ACTION_NAMES.keys()).filter((kind) => IS_VCPU[kind] === 0);

/** Draws after which the possible actions are listed: almost all draws need one or two. */
const TRIES = 32;

/** Kinds that a run goes without, half of the time each group. */
const SWARM: readonly (readonly ActionName[])[] = [
  ['hostEvent', 'hostWork'],
  ['kexec'],
  ['liveMigrate'],
  ['cstate', 'idle', 'halt'],
  ['wrmsr'],
  ['rdmsr'],
  ['fork'],
  ['disable', 'enable'],
  ['close'],
  ['enter', 'leave'],
];

/** What moves vCPUs: a recording has its own. */
const SWITCHES: readonly ActionName[] = ['run', 'idle', 'halt'];

const U = perf.PERF_SAMPLE_BRANCH_USER;
const K = perf.PERF_SAMPLE_BRANCH_KERNEL;

/** branch_sample_type values that perf users ask for; the first is drawn most often. */
export const BRANCH_TYPES: readonly number[] = [
  perf.PERF_SAMPLE_BRANCH_CALL_STACK | U,
  perf.PERF_SAMPLE_BRANCH_ANY | U,
  perf.PERF_SAMPLE_BRANCH_ANY | U | K,
  perf.PERF_SAMPLE_BRANCH_CALL_STACK | U | K,
  perf.PERF_SAMPLE_BRANCH_ANY_CALL | U,
  perf.PERF_SAMPLE_BRANCH_ANY_RETURN | K,
  perf.PERF_SAMPLE_BRANCH_COND | U | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE,
  perf.PERF_SAMPLE_BRANCH_IND_CALL | perf.PERF_SAMPLE_BRANCH_IND_JUMP | U,
  perf.PERF_SAMPLE_BRANCH_CALL | U | perf.PERF_SAMPLE_BRANCH_IN_TX,
  perf.PERF_SAMPLE_BRANCH_ANY |
    U |
    perf.PERF_SAMPLE_BRANCH_NO_FLAGS |
    perf.PERF_SAMPLE_BRANCH_NO_CYCLES,
  perf.PERF_SAMPLE_BRANCH_ANY | U | perf.PERF_SAMPLE_BRANCH_NO_CYCLES,
  perf.PERF_SAMPLE_BRANCH_ANY | U | perf.PERF_SAMPLE_BRANCH_NO_FLAGS,
  perf.PERF_SAMPLE_BRANCH_ANY_RETURN | U | K,
  perf.PERF_SAMPLE_BRANCH_ANY | U | perf.PERF_SAMPLE_BRANCH_TYPE_SAVE,
  // What `perf record --call-graph lbr` asks for since 5.7.
  perf.PERF_SAMPLE_BRANCH_CALL_STACK |
    U |
    perf.PERF_SAMPLE_BRANCH_NO_FLAGS |
    perf.PERF_SAMPLE_BRANCH_NO_CYCLES |
    perf.PERF_SAMPLE_BRANCH_HW_INDEX,
];

const FAMILY_FORK_WEIGHT = 6;

/** What a host does to a guest, and what a guest does beside its perf. */
const NOT_OF_A_KERNEL: readonly ActionName[] = [
  ...SWITCHES,
  'halt',
  'rdmsr',
  'wrmsr',
  'kexec',
  'exit',
  'hostEvent',
  'hostWork',
  'liveMigrate',
];

export class Generator {
  /** Parameters of the action drawn last. */
  kind = 0;
  actor = 0;
  a = 0;
  b = 0;
  c = 0;
  private readonly machine: Machine;
  private readonly off: Uint8Array = new Uint8Array(KINDS);
  /** Sums of the weights of the kinds that a run has, in the order of VCPU_KINDS, PCPU_KINDS. */
  private readonly vcpuSums: Int32Array = new Int32Array(VCPU_KINDS.length);
  private readonly pcpuSums: Int32Array = new Int32Array(PCPU_KINDS.length);
  private draw: Draw = NO_DRAW;
  /** Whether a run opens nothing but call-stack events of tasks. */
  private callstackOnly = false;
  private preemptive = true;
  /** Whether the guests are left alone on their pCPUs. */
  private guestsOnly = false;
  /** Whether each VM has one event at the most, with what is inherited from it. */
  private oneFamily = false;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  /** Begins a run: draws what it goes without. Without `switches`, they come from elsewhere. */
  begin(draw: Draw, switches: boolean): void {
    this.guestsOnly = false;
    this.oneFamily = false;
    this.beginWithout(draw, switches ? [] : SWITCHES);
  }

  /**
   * Begins a run in which nothing happens to a guest but what its own kernel does: it meets rare
   * situations of that kernel sooner. Every vCPU must have a pCPU.
   */
  beginGuestsOnly(draw: Draw): void {
    this.guestsOnly = true;
    this.oneFamily = draw.below(2) === 0;
    this.beginWithout(draw, NOT_OF_A_KERNEL);
    this.callstackOnly ||= this.oneFamily && this.machine.config.model.callstack;
    this.preemptive = false;
  }

  private beginWithout(draw: Draw, without: readonly ActionName[]): void {
    this.draw = draw;
    this.off.fill(0);
    for (const name of without) this.off[KIND[name]] = 1;
    for (const group of SWARM) {
      if (draw.below(2) === 0) for (const name of group) this.off[KIND[name]] = 1;
    }
    if (this.oneFamily) this.off[KIND.fork] = 0;
    this.sumWeights(VCPU_KINDS, this.vcpuSums);
    this.sumWeights(PCPU_KINDS, this.pcpuSums);
    this.callstackOnly = draw.below(2) === 0 && this.machine.config.model.callstack;
    this.preemptive = draw.below(4) !== 0;
  }

  private sumWeights(kinds: Uint8Array, sums: Int32Array): void {
    let sum = 0;
    for (let i = 0; i < kinds.length; i++) {
      if (this.off[kinds[i]] === 0) sum += this.weight(kinds[i]);
      sums[i] = sum;
    }
  }

  /** Families come of forks. */
  private weight(kind: number): number {
    return this.oneFamily && kind === KIND.fork ? FAMILY_FORK_WEIGHT : WEIGHTS[kind];
  }

  /** Takes an action that was not drawn. */
  set(kind: number, actor: number, a: number, b: number): void {
    this.kind = kind;
    this.actor = actor;
    this.a = a;
    this.b = b;
    this.c = 0;
  }

  /** A number of accesses after which a switch may come. */
  drawAfter(): number {
    return this.after(true);
  }

  /** Draws the next action into the fields. There always is one: a pCPU can do host work. */
  next(): void {
    const { machine, draw } = this;
    const pcpus = machine.pcpus.length;
    let pcpu = draw.below(pcpus);
    // On a large machine most pCPUs may be idle, and little happens there.
    if (machine.loaded(pcpu) === null) pcpu = draw.below(pcpus);
    const vcpu = machine.loaded(pcpu);
    if (this.guestsOnly && vcpu !== null && this.drawKind(vcpu.id, true, true)) return;
    if (draw.below(64) === 0 && this.drawKind(draw.below(machine.vcpus.length), true, false)) {
      return;
    }
    if (vcpu !== null && draw.below(4) !== 0 && this.drawKind(vcpu.id, true, true)) return;
    this.drawKind(pcpu, false, true);
  }

  /**
   * Draws one of the actions that an actor can perform. Drawing among all by weight until one is
   * possible gives each possible one its share, and asks far fewer questions than a list would.
   * Returns false if there is none.
   */
  private drawKind(actor: number, isVcpu: boolean, loaded: boolean): boolean {
    const kinds = isVcpu ? VCPU_KINDS : PCPU_KINDS;
    const sums = isVcpu ? this.vcpuSums : this.pcpuSums;
    const total = sums[sums.length - 1];
    for (let tries = loaded && total > 0 ? TRIES : 0; tries > 0; tries--) {
      const pick = this.draw.below(total);
      let i = 0;
      while (sums[i] <= pick) i++;
      if (this.offer(kinds[i], actor, loaded)) return this.take(kinds[i], actor);
    }
    const rare = kinds.filter((kind) => this.off[kind] === 0 && this.offer(kind, actor, loaded));
    if (rare.length > 0) return this.take(rare[this.draw.below(rare.length)], actor);
    return isVcpu ? false : this.hostWork(actor);
  }

  private take(kind: number, actor: number): boolean {
    this.kind = kind;
    this.actor = actor;
    this.drawArgs();
    return true;
  }

  private hostWork(actor: number): boolean {
    this.set(KIND.hostWork, actor, 1, 0);
    return true;
  }

  /** Whether some parameters make this kind possible; fills none in. */
  private offer(kind: number, actor: number, loaded: boolean): boolean {
    const { machine } = this;
    if (!loaded) return kind === KIND.liveMigrate && canPerform(machine, kind, actor, 0, 0);
    switch (kind) {
      case KIND.call:
      case KIND.ret:
      case KIND.jmp:
      case KIND.jcc:
      case KIND.hostWork:
        return canPerform(machine, kind, actor, 1, 0);
      case KIND.taskSwitch:
      case KIND.migrateTask:
        return this.someTask(kind, actor);
      case KIND.open:
        if (this.oneFamily && this.hasEvent(actor)) return false;
        return canPerform(machine, kind, actor, -1, 0);
      case KIND.enable:
      case KIND.disable:
      case KIND.close:
      case KIND.pmi:
        return this.someEvent(kind, actor);
      case KIND.run:
        return this.idleVcpu();
      case KIND.hostEvent:
        return true;
      default:
        return canPerform(machine, kind, actor, 0, 0);
    }
  }

  private hasEvent(actor: number): boolean {
    const { events } = this.machine.cpu(actor).kernel;
    for (let e = 0; e < events.length; e++) if (events[e].used !== 0) return true;
    return false;
  }

  private idleVcpu(): boolean {
    const { vcpus } = this.machine;
    for (let v = 0; v < vcpus.length; v++) if (vcpus[v].pcpu < 0) return true;
    return false;
  }

  private someTask(kind: number, actor: number): boolean {
    const { tasks } = this.machine.cpu(actor).kernel;
    for (let t = 0; t < tasks.length; t++) {
      if (canPerform(this.machine, kind, actor, t, 0)) return true;
    }
    return false;
  }

  private someEvent(kind: number, actor: number): boolean {
    const { events } = this.machine.cpu(actor).kernel;
    for (let e = 0; e < events.length; e++) {
      if (events[e].used !== 0 && canPerform(this.machine, kind, actor, e, 0)) return true;
    }
    return false;
  }

  /** The first acceptable value at or after a drawn one, cyclically, in [0, n). */
  private pick(n: number, accept: (i: number) => boolean): number {
    let i = this.draw.below(n);
    while (!accept(i)) i = (i + 1) % n;
    return i;
  }

  private drawArgs(): void {
    const { machine, draw, kind, actor } = this;
    this.a = 0;
    this.b = 0;
    this.c = 0;
    switch (kind) {
      case KIND.call:
        this.a = this.repeat();
        this.b = this.callKind();
        break;
      case KIND.jmp:
        this.a = this.repeat();
        this.b = draw.below(2);
        break;
      case KIND.ret:
      case KIND.jcc:
      case KIND.hostWork:
        this.a = this.repeat();
        break;
      case KIND.enter:
        this.a = draw.below(2);
        break;
      case KIND.taskSwitch:
      case KIND.migrateTask: {
        const n = machine.cpu(actor).kernel.tasks.length;
        this.a = this.pick(n, (t) => canPerform(machine, kind, actor, t, 0));
        break;
      }
      case KIND.enable:
      case KIND.disable:
      case KIND.close:
      case KIND.pmi:
        this.drawEvent();
        break;
      case KIND.open:
        this.drawOpen();
        break;
      case KIND.rdmsr:
        this.a = this.drawMsr();
        break;
      case KIND.wrmsr:
        this.drawWrite();
        break;
      case KIND.run:
        this.a = this.pick(machine.vcpus.length, (v) => machine.vcpus[v].pcpu < 0);
        this.b = this.after(machine.loaded(actor) !== null && !machine.isArmed(actor));
        break;
      case KIND.idle:
        this.a = this.after(!machine.isArmed(actor));
        break;
      case KIND.hostEvent:
        this.drawHostEvent();
        break;
    }
  }

  private drawEvent(): void {
    const { machine, draw, kind, actor } = this;
    const n = machine.cpu(actor).kernel.events.length;
    this.a = this.pick(n, (e) => canPerform(machine, kind, actor, e, 0));
    const inside = kind === KIND.pmi && !this.guestsOnly && draw.below(4) === 0;
    if (inside) this.b = 1 + draw.below(this.accesses());
  }

  /** Mostly relative. Zero-length calls, which no return matches, are left out of families. */
  private callKind(): number {
    const { draw } = this;
    if (draw.below(16) === 0 && !this.oneFamily) return 2;
    return draw.below(4) === 0 ? 1 : 0;
  }

  /** How often a branch repeats: mostly a few times, now and then around the whole stack. */
  private repeat(): number {
    const { draw } = this;
    if (draw.below(8) !== 0) return 1 + draw.below(3);
    return 1 + draw.below(this.machine.config.model.lbr_nr + 4);
  }

  /** An order of magnitude of the accesses that a context switch makes. */
  private accesses(): number {
    const { draw } = this;
    if (draw.below(2) === 0) return 12;
    return 6 * this.machine.config.model.lbr_nr + 12;
  }

  private after(possible: boolean): number {
    if (!possible || !this.preemptive || this.draw.below(2) === 0) return 0;
    return 1 + this.draw.below(this.accesses());
  }

  private drawOpen(): void {
    const { machine, draw, actor } = this;
    const cpu = machine.cpu(actor);
    const { current } = cpu.cpuctx;
    this.a = current;
    const which = draw.below(4);
    if (which === 0 && !this.callstackOnly) {
      this.a = -1;
    } else if (which === 1) {
      const n = cpu.kernel.tasks.length;
      this.a = this.pick(n, (t) => t === current || canSwitchTo(machine, actor, t));
    }
    if (draw.below(4) === 0) this.b |= perf.ATTR_PINNED;
    if (this.oneFamily || draw.below(2) === 0) this.b |= perf.ATTR_INHERIT;
    if (draw.below(8) === 0) this.b |= perf.ATTR_DISABLED;
    if (this.callstackOnly || draw.below(2) === 0) this.c = BRANCH_TYPES[0];
    else if (draw.below(8) !== 0) this.c = BRANCH_TYPES[draw.below(BRANCH_TYPES.length)];
    else this.c = draw.below(1 << perf.PERF_SAMPLE_BRANCH_MAX_SHIFT);
  }

  private drawMsr(): number {
    const { draw } = this;
    const { lbr_from, lbr_to, lbr_info, lbr_nr } = this.machine.config.model;
    switch (draw.below(8)) {
      case 0:
        return msrs.MSR_LBR_TOS;
      case 1:
        return msrs.MSR_LBR_SELECT;
      case 2:
        return msrs.MSR_IA32_DEBUGCTLMSR;
      case 3:
        return lbr_to + draw.below(lbr_nr);
      case 4:
        return (lbr_info === 0 ? lbr_from : lbr_info) + draw.below(lbr_nr);
      default:
        return lbr_from + draw.below(lbr_nr);
    }
  }

  /** A raw write: mostly a value that the register takes, its owner's address in it. */
  private drawWrite(): void {
    const { machine, draw, actor } = this;
    const { vm, cpu } = machine.vcpus[actor];
    this.a = this.drawMsr();
    const { lbr_info, lbr_nr } = machine.config.model;
    if (this.a === msrs.MSR_IA32_DEBUGCTLMSR) {
      this.b = draw.below(2) | (draw.below(2) === 0 ? 0 : msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    } else if (this.a === msrs.MSR_LBR_SELECT) {
      this.b = draw.below(2) === 0 ? 0 : draw.below(512);
    } else if (this.a === msrs.MSR_LBR_TOS) {
      this.b = draw.below(lbr_nr);
    } else if (lbr_info !== 0 && this.a >= lbr_info) {
      this.b = branchCycles(vm, draw.below(4096));
    } else if (draw.below(2) === 0) {
      const { current } = machine.cpu(actor).cpuctx;
      this.b = 1 + draw.below(0xffff);
      this.c = addressHigh(draw.below(2) === 0, BRANCH_NONE, vm, cpu, current);
    }
    if (draw.below(16) === 0) this.c = 0x00ff0000;
  }

  private drawHostEvent(): void {
    const { machine, kind, actor } = this;
    const i = this.pick(3 * HOST_EVENTS, (j) =>
      canPerform(machine, kind, actor, j % HOST_EVENTS, Math.trunc(j / HOST_EVENTS)),
    );
    this.a = i % HOST_EVENTS;
    this.b = Math.trunc(i / HOST_EVENTS);
  }
}

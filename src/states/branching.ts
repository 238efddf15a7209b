/**
 * A machine with its judge that goes through schedules depth first: after each action it can go
 * back, with all that the judge remembers, and do another one. Nothing is said here of what states
 * are, so a kernel may be anything that snapshots can hold.
 */
import { accessesOf } from '../campaign/alone.js';
import type { Monitor } from '../judge/monitor.js';
import type { Machine } from '../machine/machine.js';
import { Snapshot } from '../machine/snapshot.js';
import type { Bounds } from '../schedule/explored.js';
import { ACTION_WORDS, Schedule, step } from '../schedule/schedule.js';
import { KIND, perform } from '../schedule/table.js';
import { Alphabet } from './alphabet.js';

/** More accesses than any guest kernel function makes. */
const FAR = 1 << 20;

/** One state on the way from the boot, and what can follow it. */
class Level {
  /**
   * The actions that are possible, one after the other. A switch that comes inside a function is
   * two: it is armed, and the function runs.
   */
  readonly moves: Schedule = new Schedule();
  private readonly snapshot: Snapshot;
  private readonly words: readonly (Int32Array | Uint8Array)[];
  private readonly copies: readonly (Int32Array | Uint8Array)[];

  constructor(machine: Machine, words: readonly (Int32Array | Uint8Array)[]) {
    this.snapshot = new Snapshot(machine);
    this.words = words;
    this.copies = words.map((each) => each.slice());
  }

  take(): void {
    this.snapshot.take();
    for (let i = 0; i < this.words.length; i++) this.copies[i].set(this.words[i]);
  }

  put(): void {
    this.snapshot.put();
    for (let i = 0; i < this.words.length; i++) this.words[i].set(this.copies[i]);
  }
}

export class Branching {
  readonly machine: Machine;
  readonly monitor: Monitor;
  /** What has led from the boot to where the machine is. */
  readonly schedule: Schedule = new Schedule();
  private readonly alphabet: Alphabet;
  private readonly opened: Int32Array;
  private readonly remembered: readonly (Int32Array | Uint8Array)[];
  private readonly levels: Level[] = [];

  constructor(machine: Machine, monitor: Monitor, bounds: Bounds) {
    this.machine = machine;
    this.monitor = monitor;
    this.opened = new Int32Array(machine.config.shape.vms);
    this.alphabet = new Alphabet(
      machine,
      bounds,
      (vcpu) => monitor.reference.of(vcpu).recording,
      (vm, task) => monitor.samples.frames(vm, task),
      this.opened,
    );
    this.remembered = [...monitor.remembered, this.opened];
  }

  boot(): void {
    this.monitor.start(this.machine);
    this.machine.boot();
    this.opened.fill(0);
    this.schedule.clear();
  }

  /**
   * Notes where the machine is, as the state of this depth, and what can follow.
   *
   * @param left - actions that may still come: a switch inside a function needs two.
   */
  enter(depth: number, left: number): Schedule {
    this.levels[depth] ??= new Level(this.machine, this.remembered);
    const level = this.levels[depth];
    level.take();
    level.moves.clear();
    this.list(level, left);
    return level.moves;
  }

  /** Goes back to the state of a depth, to which a schedule of so many actions has led. */
  back(depth: number, length: number): void {
    this.levels[depth].put();
    this.schedule.length = length;
  }

  /** Performs the i-th of some moves, which is possible. Returns how many actions it is. */
  go(moves: Schedule, i: number): number {
    const actions = isArming(moves, i) ? 2 : 1;
    this.schedule.append(moves, i, i + actions);
    const kind = moves.words[(i + actions - 1) * ACTION_WORDS];
    if (kind === KIND.open) {
      const vcpu = moves.words[(i + actions - 1) * ACTION_WORDS + 1];
      this.opened[this.machine.vcpus[vcpu].vm]++;
    }
    for (let k = i; k < i + actions; k++) step(this.machine, moves, k);
    return actions;
  }

  private list(level: Level, left: number): void {
    const { alphabet, machine } = this;
    const { moves } = level;
    const offer = moves.push.bind(moves);
    for (let p = 0; p < machine.pcpus.length; p++) {
      const successors = alphabet.successors(p);
      for (const next of successors) {
        if (next >= 0) offer(KIND.run, p, next, 0, 0);
        else offer(KIND.idle, p, 0, 0, 0);
      }
      alphabet.onPcpu(p, offer);
      const vcpu = machine.loaded(p)?.id ?? -1;
      if (vcpu < 0) continue;
      alphabet.atOnce(vcpu, offer);
      const first = moves.length;
      alphabet.functions(vcpu, offer);
      if (left >= 2 && this.mayLeave(vcpu)) this.listInside(level, first, p, successors);
    }
    if (!alphabet.has('migrate')) return;
    for (const { id, pcpu } of machine.vcpus) if (pcpu < 0) alphabet.off(id, offer);
  }

  /** Whether one more function may be left, in which this vCPU is. */
  private mayLeave(vcpu: number): boolean {
    const { alphabet, machine } = this;
    let others = 0;
    for (const { id } of machine.vcpus) {
      if (id !== vcpu && machine.ports[id].suspended !== 0) others++;
    }
    return alphabet.has('inside') && others < alphabet.bounds.suspended;
  }

  /** Switches inside the functions that are moves from `first` on. */
  private listInside(
    level: Level,
    first: number,
    pcpu: number,
    successors: readonly number[],
  ): void {
    const { moves } = level;
    const end = moves.length;
    for (let i = first; i < end; i++) {
      const accesses = this.accesses(moves, i, pcpu);
      level.put();
      for (const next of successors) {
        for (let after = 1; after <= accesses; after++) {
          if (next >= 0) moves.push(KIND.run, pcpu, next, after, 0);
          else moves.push(KIND.idle, pcpu, after, 0, 0);
          moves.append(moves, i, i + 1);
        }
      }
    }
  }

  /** MSR accesses that a function makes from here on, until it returns or waits. */
  private accesses(moves: Schedule, i: number, pcpu: number): number {
    const { machine } = this;
    const [kind, vcpu, a, b, c] = moves.words.subarray(i * ACTION_WORDS);
    const before = accessesOf(machine, vcpu);
    machine.arm(pcpu, -1, FAR);
    perform(machine, kind, vcpu, a, b, c);
    const left = machine.disarm(pcpu);
    return left > 0 ? FAR + 1 - left : accessesOf(machine, vcpu) - before;
  }
}

/** Whether a move arms a switch for the function that follows. */
export function isArming({ words }: Schedule, i: number): boolean {
  const at = i * ACTION_WORDS;
  if (words[at] === KIND.run) return words[at + 3] > 0;
  return words[at] === KIND.idle && words[at + 2] > 0;
}

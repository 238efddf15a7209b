/**
 * Plays a recording on a machine: the vCPU switches are the recorded ones, and between two of them
 * each guest does what its profile says, for as long as the recording says that it ran. State is
 * carried from the first switch to the last.
 *
 * Guests do not touch each other but through the registers of a pCPU. So a guest's work is done
 * when its slice ends, all of it at once.
 */
import { CALLSTACK_USER } from '../../guest/perf/perf_event.js';
import { BRANCH_REL_CALL, BRANCH_RET } from '../../hw/branch.js';
import type { Machine } from '../../machine/machine.js';
import type { Steps } from '../../recording/recording.js';
import type { Draw } from '../../schedule/draw.js';
import { canPerform, KIND } from '../../schedule/table.js';
import type { Ledger } from './ledger.js';
import type { Profile } from './profile.js';

/** Tasks of each guest that are profiled, and then its idle task. */
const PROFILED = 2;
export const IDLE_TASK: number = PROFILED;
export const GUEST_TASKS: number = PROFILED + 1;

/** The task of the model that stands for one of a guest. @param seen - tasks seen before it. */
export function taskFor(pid: number, seen: number): number {
  return pid === 0 ? IDLE_TASK : seen % PROFILED;
}

const NS = 1e9;

/** What an MSR access takes a guest, for where inside of a function a switch falls. */
const ACCESS_NS = 33;

/** Calls between two samples, as far as LBR goes: what is below them does not change. */
const CALLS_AT_ONCE = 3;

/** Steps between two chances to stop. */
const STEPS_AT_ONCE = 64;

/** Task switches that a guest has recorded: when, by ascending time, and to which task. */
export interface TaskSwitches {
  readonly time: Float64Array;
  readonly task: Uint8Array;
}

/** VM exits that were recorded, and when the vCPU was entered again; Infinity for never. */
export interface Exits {
  /** Ascending. */
  readonly time: Float64Array;
  readonly entered: Float64Array;
}

/** What is played. Times are nanoseconds from the first event of the recording. */
export interface Played {
  readonly steps: Steps;
  readonly pcpus: number;
  /** The end. */
  readonly to: number;
  /** VM exits of each vCPU; null if none were recorded. */
  readonly exits: readonly Exits[] | null;
  /** Task switches of each vCPU's guest; null for a vCPU whose profile says them. */
  readonly tasks: readonly (TaskSwitches | null)[];
}

const NONE = new Float64Array(0);

/** Times that were recorded, and the first of them that is not over. */
class Cursor {
  i = 0;
  private readonly time: Float64Array;

  constructor(time: Float64Array = NONE) {
    this.time = time;
  }

  /** The next one at or after a time, or Infinity. */
  next(from: number): number {
    while (this.time[this.i] < from) this.i++;
    return this.time[this.i] ?? Infinity;
  }
}

/** The guest of a vCPU. Its clock, in nanoseconds, goes while the vCPU has a pCPU. */
class Guest {
  clock = 0;
  nextSample = 0;
  nextSwitch = 0;
  nextExit = 0;
  /** The exits and task switches that were recorded. */
  readonly exits: Cursor;
  readonly tasks: Cursor;
  /** Whether its tasks have their events. */
  using = false;
  /** Frames on the stack of each task, as far as they were called while there was an event. */
  readonly frames: Uint8Array = new Uint8Array(GUEST_TASKS);
  /** MSR accesses that the latest function of its kernel made. */
  accesses = 0;
  /** Whether its perf is to run, and until when on the clock of the recording. */
  wants = false;
  boundary = Infinity;

  constructor(exits: Cursor, tasks: Cursor) {
    this.exits = exits;
    this.tasks = tasks;
  }
}

/** A slice of a vCPU. */
interface Slice {
  readonly pcpu: number;
  readonly vcpu: number;
  /** The vCPU that comes after it, or -1. */
  readonly next: number;
  readonly from: number;
  readonly to: number;
}

export class Workload {
  private readonly ledger: Ledger;
  private readonly machine: Machine;
  private readonly profile: Profile;
  private readonly played: Played;
  private readonly guests: readonly Guest[];
  /** When the vCPU on each pCPU came there. */
  private readonly since: Float64Array;

  constructor(ledger: Ledger, profile: Profile, draw: Draw, played: Played) {
    this.ledger = ledger;
    this.machine = ledger.machine;
    this.profile = profile;
    this.played = played;
    this.since = new Float64Array(played.pcpus);
    const { share, period, switches } = profile;
    const exits = played.exits === null ? profile.exits : 0;
    // Above 0: no part of forever is a number.
    const part = (): number => (1 + draw.below(1000)) / 1000;
    // Spread evenly, and not by the seed: it would say how much of a short recording they meet.
    const { length } = this.machine.vcpus;
    this.guests = this.machine.vcpus.map((_, v) => {
      const guest = new Guest(
        new Cursor(played.exits?.[v].time),
        new Cursor(played.tasks[v]?.time),
      );
      guest.wants = share === 1;
      // Its first period begins here, and nothing was wanted before.
      if (share > 0 && share < 1) guest.boundary = ((v + 0.5) / length - 1) * period * NS;
      guest.nextSwitch = part() * between(played.tasks[v] === null ? switches : 0);
      guest.nextExit = part() * between(exits);
      return guest;
    });
  }

  /** Nanoseconds that each vCPU has run. */
  get ran(): number[] {
    return this.guests.map(({ clock }) => clock);
  }

  /** Plays it all. Yields the number of steps that are done, now and then: the caller may stop. */
  *play(): Generator<number> {
    const { machine } = this;
    const { steps, pcpus, to } = this.played;
    for (let p = 0; p < pcpus; p++) if (machine.loaded(p) !== null) machine.switchTo(p, -1);
    this.ledger.open();
    for (let i = 0; i < steps.length; i++) {
      this.step(steps.pcpu[i], steps.vcpu[i], steps.time[i]);
      if (i % STEPS_AT_ONCE === 0) yield i;
    }
    for (let p = 0; p < pcpus; p++) this.step(p, -1, to);
    yield steps.length;
  }

  /** The vCPU that was on the pCPU has run until now, and another one comes, or none. */
  private step(pcpu: number, next: number, time: number): void {
    const { machine } = this;
    const elsewhere = next < 0 ? -1 : machine.vcpus[next].pcpu;
    if (elsewhere === pcpu) return;
    // A gap has hidden that it left.
    if (elsewhere >= 0) this.step(elsewhere, -1, time);
    const vcpu = machine.loaded(pcpu)?.id ?? -1;
    if (vcpu >= 0) this.work({ pcpu, vcpu, next, from: this.since[pcpu], to: time });
    this.since[pcpu] = time;
    if ((machine.loaded(pcpu)?.id ?? -1) !== next) machine.switchTo(pcpu, next);
  }

  /** What a guest does in a slice. */
  private work(slice: Slice): void {
    const { pcpu, vcpu, from, to } = slice;
    const { machine, profile } = this;
    const guest = this.guests[vcpu];
    const began = guest.clock;
    const end = began + to - from;
    if (machine.ports[vcpu].suspended !== 0) machine.resume(vcpu);
    this.advance(guest, from);
    for (;;) {
      const changes = guest.wants !== guest.using;
      const toggle = changes ? guest.clock : began - from + guest.boundary;
      const exit = Math.min(guest.nextExit, began - from + guest.exits.next(from));
      const sample = guest.using ? guest.nextSample : Infinity;
      const task = Math.min(guest.nextSwitch, began - from + guest.tasks.next(from));
      const due = Math.min(toggle, exit, sample, task);
      if (due >= end) break;
      guest.clock = Math.max(guest.clock, due);
      if (changes) this.toggle(vcpu, guest);
      else if (due === toggle) this.pass(guest);
      else if (due === exit) {
        machine.exitAndEnter(pcpu);
        if (this.isEntered(slice, guest, exit)) machine.hypervisor.enter(machine.vcpus[vcpu]);
      } else {
        const next = due === sample ? -1 : this.nextTask(vcpu, guest, task);
        if (next < 0) guest.nextSample += between(profile.hz);
        this.runFunction(slice, guest, end - guest.clock, next);
        // The host's switch came inside of it.
        if (machine.loaded(pcpu)?.id !== vcpu) break;
      }
    }
    guest.clock = end;
    // Time that a switch has cut off is not made up for.
    guest.nextSample = Math.max(guest.nextSample, end);
    guest.nextSwitch = Math.max(guest.nextSwitch, end);
  }

  /** Brings a guest to a time of the recording, as far as it is to use perf. */
  private advance(guest: Guest, time: number): void {
    while (guest.boundary <= time) this.pass(guest);
  }

  /** The guest's perf is to start, or to end. */
  private pass(guest: Guest): void {
    const { share, period } = this.profile;
    guest.wants = !guest.wants;
    guest.boundary += (guest.wants ? share : 1 - share) * period * NS;
  }

  /** The task of the switch that is due. */
  private nextTask(vcpu: number, guest: Guest, due: number): number {
    if (due === guest.nextSwitch) {
      guest.nextSwitch += between(this.profile.switches);
      return (this.machine.cpu(vcpu).cpuctx.current + 1) % PROFILED;
    }
    return this.played.tasks[vcpu]?.task[guest.tasks.i++] ?? IDLE_TASK;
  }

  /** Goes on to the next exit. Returns whether the guest is entered again in this slice. */
  private isEntered({ vcpu, to }: Slice, guest: Guest, exit: number): boolean {
    if (exit === guest.nextExit) {
      guest.nextExit += between(this.profile.exits);
      return true;
    }
    const entered = this.played.exits?.[vcpu].entered[guest.exits.i++] ?? Infinity;
    return entered < to;
  }

  /** The guest's perf opens an event for each task, or closes them. */
  private toggle(vcpu: number, guest: Guest): void {
    const { machine, ledger } = this;
    guest.using = !guest.using;
    const { events } = machine.cpu(vcpu).kernel;
    if (guest.using) {
      // New events count from 0.
      guest.nextSample = guest.clock + between(this.profile.hz);
      guest.frames.fill(0);
      // What the host does while they are made is for them.
      if (machine.config.model.callstack) ledger.using[vcpu] = 1;
      for (let task = 0; task < PROFILED; task++) machine.open(vcpu, task, 0, CALLSTACK_USER);
    } else {
      for (const { id } of events) {
        if (canPerform(machine, KIND.close, vcpu, id, 0)) machine.close(vcpu, id);
      }
    }
    ledger.using[vcpu] = events.some(({ used }) => used !== 0) ? 1 : 0;
  }

  /**
   * A task switch of the guest, or a sample.
   *
   * @param left - nanoseconds until the slice ends.
   * @param task - that is switched to, or -1 for a sample.
   */
  private runFunction(slice: Slice, guest: Guest, left: number, task: number): void {
    const { machine, ledger } = this;
    const { pcpu, vcpu, next } = slice;
    if (task < 0) this.branches(vcpu, guest);
    const inside = Math.trunc(left / ACCESS_NS);
    if (inside < guest.accesses) machine.arm(pcpu, next, inside);
    const before = ledger.guestAccesses;
    if (task < 0) this.sample(vcpu);
    else if (canPerform(machine, KIND.taskSwitch, vcpu, task, 0)) machine.switchTask(vcpu, task);
    machine.disarm(pcpu);
    guest.accesses = ledger.guestAccesses - before;
  }

  /** A few returns and as many calls, once the stack has as many frames as the profile says. */
  private branches(vcpu: number, guest: Guest): void {
    const { current } = this.machine.cpu(vcpu).cpuctx;
    const down = guest.frames[current] < this.profile.depth ? 0 : CALLS_AT_ONCE;
    this.machine.branches(vcpu, BRANCH_RET, down);
    this.machine.branches(vcpu, BRANCH_REL_CALL, CALLS_AT_ONCE);
    guest.frames[current] += CALLS_AT_ONCE - down;
  }

  private sample(vcpu: number): void {
    const { machine } = this;
    for (const { id } of machine.cpu(vcpu).kernel.events) {
      if (!canPerform(machine, KIND.pmi, vcpu, id, 0)) continue;
      machine.pmi(vcpu, id, 0);
      return;
    }
  }
}

/** Nanoseconds from one to the next, of so many a second. */
function between(rate: number): number {
  return rate === 0 ? Infinity : NS / rate;
}

/**
 * Runs whose vCPU switches are recorded ones. A recording is cut into windows; each run begins
 * with the vCPUs where the recording has them, takes its switches from it in order, and has the
 * guests' work generated in between. A recorded switch may land inside a guest function.
 *
 * If a machine can hold all of a recording, it is the machine of every window. Otherwise a window
 * has the switches of a few neighbouring pCPUs, since what is on one pCPU meets there what was
 * there before. Each window then gets a machine that holds what takes part in it, under numbers of
 * its own, and ends before a switch that would need more than a machine can have.
 */
import type { HostSchedule } from '../recording/recording.js';
import { KIND, perform } from './table.js';
import { type Shape, shapeProblem } from '../machine/config.js';
import type { Draw } from './draw.js';
import type { Generator } from './generate.js';
import type { Machine } from '../machine/machine.js';
import type { Schedule } from './schedule.js';

/** The most recorded switches in one run. */
export const WINDOW_STEPS = 24;

/** pCPUs whose switches share windows where no machine holds all of a recording. */
export const WINDOW_PCPUS = 4;

/** One run's share of a recording. */
export interface RecordedWindow {
  readonly shape: Shape;
  /** vCPU of the machine on each pCPU at the beginning, or -1. */
  readonly residents: readonly number[];
  readonly steps: readonly { readonly pcpu: number; readonly vcpu: number }[];
}

/** Sizes that machines of windows have, so that windows of about one size share a machine. */
const SIZES: readonly number[] = [1, 2, 3, 4, 6, 8];

function sizeFor(n: number): number {
  return SIZES.find((size) => size >= n) ?? n;
}

/** A machine of this many; each vCPU of a VM has a task, and there is one more. */
function shapeOf(vms: number, vcpus: number, pcpus: number): Shape {
  return { vms, vcpus, tasks: vcpus + 1, pcpus };
}

/** What takes part in a window, in the order in which it is met. */
class Party {
  readonly pcpus: Map<number, number> = new Map();
  /** Number of each VM, and of each vCPU in its VM. */
  readonly vms: Map<number, number> = new Map();
  readonly vcpus: Map<number, number> = new Map();
  private readonly perVm: number[] = [];
  private readonly vmOf: (vcpu: number) => number;

  constructor(vmOf: (vcpu: number) => number) {
    this.vmOf = vmOf;
  }

  addPcpu(pcpu: number): void {
    if (!this.pcpus.has(pcpu)) this.pcpus.set(pcpu, this.pcpus.size);
  }

  addVcpu(vcpu: number): void {
    if (vcpu < 0 || this.vcpus.has(vcpu)) return;
    const vm = this.vmOf(vcpu);
    let number = this.vms.get(vm);
    if (number === undefined) {
      number = this.perVm.push(0) - 1;
      this.vms.set(vm, number);
    }
    this.vcpus.set(vcpu, this.perVm[number]++);
  }

  get shape(): Shape {
    const { vms, pcpus, perVm } = this;
    const most = perVm.reduce((max, n) => Math.max(max, n), 1);
    return shapeOf(sizeFor(Math.max(1, vms.size)), sizeFor(most), sizeFor(pcpus.size));
  }

  /** Number of a vCPU in the machine; -1 for none. */
  number(vcpu: number, { vcpus }: Shape): number {
    if (vcpu < 0) return -1;
    return (this.vms.get(this.vmOf(vcpu)) ?? 0) * vcpus + (this.vcpus.get(vcpu) ?? 0);
  }
}

/** The windows of a recording. They are made when they are asked for: there may be many. */
export class RecordedWindows {
  /** Where each window begins in `order`. */
  private readonly starts: number[] = [];
  /** The steps in the order of windows; null if that is their own. */
  private readonly order: Uint32Array | null;
  private readonly schedule: HostSchedule;
  /** The machine that holds all of the recording, with the numbers of its vCPUs; or null. */
  private readonly whole: { readonly shape: Shape; readonly numbers: readonly number[] } | null;
  /** Where the latest window that was made begins and ends, with the residents at its end. */
  private cursor = 0;
  private residents: Int16Array;

  constructor(schedule: HostSchedule) {
    this.schedule = schedule;
    this.residents = new Int16Array(schedule.pcpus.length).fill(-1);
    this.whole = wholeMachine(schedule);
    this.order = this.whole === null ? byPcpus(schedule) : null;
    let start = 0;
    while (start < schedule.steps.length) {
      this.starts.push(start);
      start = this.endOf(start);
      this.advance(start);
    }
    this.rewind();
  }

  /** Number of windows: the runs that it takes to run all of the recording. */
  get length(): number {
    return this.starts.length;
  }

  /** The machines that the windows need. */
  shapes(): Shape[] {
    if (this.whole !== null) return this.length === 0 ? [] : [this.whole.shape];
    const shapes = new Map<string, Shape>();
    for (let i = 0; i < this.length; i++) {
      const { shape } = this.at(i);
      shapes.set(JSON.stringify(shape), shape);
    }
    return [...shapes.values()];
  }

  at(i: number): RecordedWindow {
    const from = this.starts[i];
    const to = this.starts[i + 1] ?? this.schedule.steps.length;
    if (from < this.cursor) this.rewind();
    this.advance(from);
    return this.whole === null ? this.ownMachine(from, to) : this.onWhole(from, to, this.whole);
  }

  private rewind(): void {
    this.cursor = 0;
    this.residents.fill(-1);
  }

  private advance(to: number): void {
    const { pcpu, vcpu } = this.schedule.steps;
    for (; this.cursor < to; this.cursor++) {
      const step = this.stepAt(this.cursor);
      this.residents[pcpu[step]] = vcpu[step];
    }
  }

  private stepAt(i: number): number {
    return this.order === null ? i : this.order[i];
  }

  private groupAt(i: number): number {
    return groupOf(this.schedule.steps.pcpu[this.stepAt(i)]);
  }

  /** The step behind a window. */
  private endOf(from: number): number {
    const most = Math.min(from + WINDOW_STEPS, this.schedule.steps.length);
    if (this.whole !== null) return most;
    this.advance(from);
    const party = this.party();
    for (let i = from; i < most; i++) {
      if (this.groupAt(i) !== this.groupAt(from)) return i;
      this.join(party, this.stepAt(i));
      // One switch fits on every machine.
      if (i > from && shapeProblem(party.shape) !== null) return i;
    }
    return most;
  }

  private party(): Party {
    const { vcpus } = this.schedule;
    return new Party((vcpu) => vcpus[vcpu].vm);
  }

  private join(party: Party, i: number): void {
    const { pcpu, vcpu } = this.schedule.steps;
    if (!party.pcpus.has(pcpu[i])) party.addVcpu(this.residents[pcpu[i]]);
    party.addPcpu(pcpu[i]);
    party.addVcpu(vcpu[i]);
  }

  private ownMachine(from: number, to: number): RecordedWindow {
    const { pcpu, vcpu } = this.schedule.steps;
    const party = this.party();
    for (let i = from; i < to; i++) this.join(party, this.stepAt(i));
    const { shape } = party;
    const residents = Array.from({ length: shape.pcpus }, () => -1);
    for (const [one, place] of party.pcpus) {
      residents[place] = party.number(this.residents[one], shape);
    }
    const steps = Array.from({ length: to - from }, (_, i) => {
      const step = this.stepAt(from + i);
      return { pcpu: party.pcpus.get(pcpu[step]) ?? 0, vcpu: party.number(vcpu[step], shape) };
    });
    return { shape, residents, steps };
  }

  private onWhole(
    from: number,
    to: number,
    { shape, numbers }: { readonly shape: Shape; readonly numbers: readonly number[] },
  ): RecordedWindow {
    const { pcpu, vcpu } = this.schedule.steps;
    const number = (one: number): number => (one < 0 ? -1 : numbers[one]);
    const steps = Array.from({ length: to - from }, (_, i) => ({
      pcpu: pcpu[from + i],
      vcpu: number(vcpu[from + i]),
    }));
    return { shape, residents: Array.from(this.residents, number), steps };
  }
}

function groupOf(pcpu: number): number {
  return Math.floor(pcpu / WINDOW_PCPUS);
}

/** The steps of a recording by groups of pCPUs, and in their order within each. */
function byPcpus({ steps, pcpus }: HostSchedule): Uint32Array {
  const next = Array.from({ length: groupOf(pcpus.length - 1) + 1 }, () => 0);
  for (let i = 0; i < steps.length; i++) next[groupOf(steps.pcpu[i])]++;
  let before = 0;
  for (const [group, count] of next.entries()) {
    next[group] = before;
    before += count;
  }
  const order = new Uint32Array(steps.length);
  for (let i = 0; i < steps.length; i++) order[next[groupOf(steps.pcpu[i])]++] = i;
  return order;
}

/** The machine that holds all of a recording, if there can be one, with its numbers of vCPUs. */
export function wholeMachine({
  vcpus,
  vms,
  pcpus,
}: HostSchedule): { readonly shape: Shape; readonly numbers: readonly number[] } | null {
  // vCPUs are numbered in their VM as they come: one that was not seen takes no part.
  const perVm = vms.map(() => 0);
  const places = vcpus.map(({ vm }) => perVm[vm]++);
  const most = perVm.reduce((max, n) => Math.max(max, n), 1);
  const shape = shapeOf(vms.length, most, pcpus.length);
  if (shapeProblem(shape) !== null) return null;
  return { shape, numbers: vcpus.map(({ vm }, i) => vm * most + places[i]) };
}

/** Most actions between two recorded switches. */
const WORK_MAX = 4;

export class RecordedRun {
  private readonly window: RecordedWindow;
  private readonly draw: Draw;
  private cursor = 0;
  private work = 0;

  constructor(window: RecordedWindow, draw: Draw) {
    this.window = window;
    this.draw = draw;
  }

  /** Puts the vCPUs where the recording has them, as actions of the schedule. */
  begin(machine: Machine, schedule: Schedule): void {
    this.window.residents.forEach((vcpu, pcpu) => {
      if (machine.loaded(pcpu) === null || machine.loaded(pcpu)?.id === vcpu) return;
      schedule.push(KIND.idle, pcpu, 0, 0, 0);
      perform(machine, KIND.idle, pcpu, 0, 0, 0);
    });
    this.window.residents.forEach((vcpu, pcpu) => {
      if (vcpu < 0 || machine.vcpus[vcpu].pcpu >= 0) return;
      schedule.push(KIND.run, pcpu, vcpu, 0, 0);
      perform(machine, KIND.run, pcpu, vcpu, 0, 0);
    });
  }

  /** Fills in the next action. Returns false when the window is over. */
  next(machine: Machine, generator: Generator): boolean {
    if (this.work > 0) {
      this.work--;
      generator.next();
      return true;
    }
    for (;;) {
      const step = this.window.steps[this.cursor];
      if (step === undefined) return false;
      const current = machine.loaded(step.pcpu)?.id ?? -1;
      // The armed switch of this step may have come already.
      if (current === step.vcpu) this.cursor++;
      else return this.switchTo(machine, generator, step.pcpu, step.vcpu);
    }
  }

  private switchTo(machine: Machine, generator: Generator, pcpu: number, vcpu: number): boolean {
    const elsewhere = vcpu < 0 ? -1 : machine.vcpus[vcpu].pcpu;
    if (elsewhere >= 0) {
      generator.set(KIND.idle, elsewhere, 0, 0);
      return true;
    }
    const can = machine.loaded(pcpu) !== null && !machine.isArmed(pcpu);
    const later = can && this.draw.below(2) === 0;
    const after = later ? generator.after(true) : 0;
    if (vcpu < 0) generator.set(KIND.idle, pcpu, after, 0);
    else generator.set(KIND.run, pcpu, vcpu, after);
    this.work = 1 + this.draw.below(WORK_MAX);
    if (after === 0) this.cursor++;
    return true;
  }
}

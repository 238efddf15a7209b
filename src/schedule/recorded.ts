/**
 * Runs whose vCPU switches are recorded ones. A recording is cut into windows; each run begins
 * with the vCPUs where the recording has them, takes its switches from it in order, and has the
 * guests' work generated in between. A recorded switch may land inside a guest function.
 */
import type { HostSchedule } from './host_schedule.js';
import { KIND, perform } from './table.js';
import type { Shape } from '../machine/config.js';
import type { Draw } from './draw.js';
import type { Generator } from './generate.js';
import type { Machine } from '../machine/machine.js';
import type { Schedule } from './schedule.js';

/** Recorded switches in one run. */
export const WINDOW_STEPS = 24;

/** Number of windows that a recording is cut into: the runs that it takes to run all of it. */
export function windowsIn(schedule: HostSchedule): number {
  return Math.ceil(schedule.steps.length / WINDOW_STEPS);
}

/** The machine that a recording needs. @param schedule - a recording with at least one vCPU. */
export function recordedShape(schedule: HostSchedule): Shape {
  const vms = new Set(schedule.vcpus.map((v) => v.vm)).size;
  const vcpus = Math.max(...schedule.vcpus.map((v) => v.index)) + 1;
  return { vms, vcpus, tasks: vcpus + 1, pcpus: schedule.pcpus.length };
}

/** One run's share of a recording. */
export interface RecordedWindow {
  readonly shape: Shape;
  /** vCPU of the machine on each pCPU at the beginning, or -1. */
  readonly residents: readonly number[];
  readonly steps: readonly { readonly pcpu: number; readonly vcpu: number }[];
}

export function recordedWindows(schedule: HostSchedule): RecordedWindow[] {
  const shape = recordedShape(schedule);
  const order = [...new Set(schedule.vcpus.map((v) => v.vm))];
  const number = schedule.vcpus.map((v) => order.indexOf(v.vm) * shape.vcpus + v.index);
  const windows: RecordedWindow[] = [];
  const residents = schedule.pcpus.map(() => -1);
  for (let from = 0; from < schedule.steps.length; from += WINDOW_STEPS) {
    const steps = schedule.steps
      .slice(from, from + WINDOW_STEPS)
      .map(({ pcpu, vcpu }) => ({ pcpu, vcpu: vcpu < 0 ? -1 : number[vcpu] }));
    windows.push({ shape, residents: [...residents], steps });
    for (const { pcpu, vcpu } of steps) residents[pcpu] = vcpu;
  }
  return windows;
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

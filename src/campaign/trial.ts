import type { MachineConfig } from '../machine/config.js';
import { Machine } from '../machine/machine.js';
import type { Schedule } from '../schedule/schedule.js';
import { step } from '../schedule/schedule.js';
import { Monitor } from '../judge/monitor.js';

/** A machine with its monitor, to be used for any number of runs. */
export class Bench {
  readonly monitor: Monitor;
  readonly machine: Machine;
  private readonly alive: () => void;

  /** @param alive - is called at each boot: a sign that the work goes on. */
  constructor(config: MachineConfig, alive: () => void = () => {}) {
    this.alive = alive;
    this.monitor = new Monitor(config);
    this.machine = new Machine(config, this.monitor);
  }

  /** Brings machine and monitor to their first state. Reach counters go on counting. */
  boot(): void {
    this.alive();
    this.monitor.start(this.machine);
    this.machine.boot();
  }

  /** Performs the i-th action of a schedule, if it is possible. Returns whether it was. */
  step(schedule: Schedule, i: number): boolean {
    return step(this.machine, schedule, i);
  }

  /**
   * Runs a schedule from the boot, passing over actions that are not possible.
   *
   * Returns the number of actions up to and with the one in which the property broke, or -1.
   */
  breaksAt(schedule: Schedule, property: number): number {
    this.boot();
    for (let i = 0; i < schedule.length; i++) {
      step(this.machine, schedule, i);
      if (this.monitor.verdicts.broken[property] !== 0) return i + 1;
    }
    return -1;
  }

  /** As `breaksAt`, for what the guest's kernel breaks by itself. */
  guestBreaksAt(schedule: Schedule, property: number): number {
    this.boot();
    for (let i = 0; i < schedule.length; i++) {
      this.step(schedule, i);
      if (this.monitor.verdicts.own[property] !== 0) return i + 1;
    }
    return -1;
  }
}

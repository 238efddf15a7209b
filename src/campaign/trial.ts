import type { MachineConfig } from '../machine/config.js';
import { Machine } from '../machine/machine.js';
import { type Schedule, step } from '../schedule/schedule.js';
import { configAlone, stepBoth } from './alone.js';
import { Monitor } from '../judge/monitor.js';

/** A machine with its monitor, to be used for any number of runs. */
export class Bench {
  readonly monitor: Monitor;
  readonly machine: Machine;
  private readonly config: MachineConfig;
  /** As in `CampaignOptions`. */
  readonly alive: () => boolean;
  /** Made when they are needed: the machine once more, and the one that has no host. */
  private pair: { readonly met: Bench; readonly alone: Bench } | null = null;

  constructor(config: MachineConfig, alive: () => boolean = () => true) {
    this.config = config;
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

  /**
   * As `breaksAt`, for what the guest's kernel breaks by itself: it must break it without a host,
   * too. See `breaksAlone`.
   */
  guestBreaksAt(schedule: Schedule, property: number): number {
    this.boot();
    for (let i = 0; i < schedule.length; i++) {
      this.step(schedule, i);
      if (this.monitor.verdicts.own[property] === 0) continue;
      return this.breaksAlone(schedule, i + 1, property) ? i + 1 : -1;
    }
    return -1;
  }

  /**
   * Whether the guest's kernel breaks the property in the first `actions` actions of a schedule on
   * a machine without a host as well (alone.ts). Leaves this machine and what it has reached as is.
   */
  breaksAlone(schedule: Schedule, actions: number, property: number): boolean {
    const { config } = this;
    this.pair ??= { met: new Bench(config, this.alive), alone: new Bench(configAlone(config)) };
    const { met, alone } = this.pair;
    met.boot();
    alone.boot();
    for (let i = 0; i < actions; i++) stepBoth(met, alone, schedule, i);
    return alone.monitor.verdicts.own[property] !== 0;
  }
}

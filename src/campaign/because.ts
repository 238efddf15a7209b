/** Why a property breaks: where the machine parts from the reference machine. */
import { tee } from '../host/observer.js';
import { assert } from '../hw/assert.js';
import { causeKey } from '../judge/cause.js';
import { Monitor } from '../judge/monitor.js';
import { type Breach, type Parting, PartingWatch } from '../judge/parting.js';
import { tellingConfig } from '../judge/running.js';
import type { Register } from '../judge/view.js';
import type { MachineConfig } from '../machine/config.js';
import { Machine } from '../machine/machine.js';
import { type Schedule, step } from '../schedule/schedule.js';

/** A machine on which any number of failing schedules are explained. */
export class PartingBench {
  private readonly monitor: Monitor;
  private readonly watch: PartingWatch;
  private readonly machine: Machine;

  constructor(config: MachineConfig) {
    this.monitor = new Monitor(config);
    this.watch = new PartingWatch(this.monitor, config.policy);
    this.machine = new Machine(tellingConfig(config, this.watch), tee(this.monitor, this.watch));
  }

  /**
   * Runs a schedule in which a property breaks twice: to see which register is read wrong, and to
   * watch that register.
   */
  partingOf(schedule: Schedule, breach: Breach): Parting {
    const first = this.run(schedule, breach, null);
    return first.wrong === null ? first : this.run(schedule, breach, first.wrong);
  }

  /** The key of the cause of such a failure (judge/cause.ts). */
  causeOf(schedule: Schedule, breach: Breach): string {
    return causeKey(this.partingOf(schedule, breach));
  }

  private run(schedule: Schedule, breach: Breach, target: Register | null): Parting {
    const { machine, monitor, watch } = this;
    watch.start(machine, breach, target);
    monitor.start(machine);
    machine.boot();
    for (let i = 0; i < schedule.length && watch.parting === null; i++) {
      watch.begins(i);
      step(machine, schedule, i);
      watch.ends();
    }
    assert(watch.parting !== null, 'the property breaks as it did before');
    return watch.parting;
  }
}

/** One of the two machines that are compared, with all that is looked at. */
import { tee } from '../../../host/observer.js';
import { Monitor } from '../../../judge/monitor.js';
import type { MachineConfig } from '../../../machine/config.js';
import { Machine } from '../../../machine/machine.js';
import { type Schedule, step } from '../../../schedule/schedule.js';
import { State } from './state.js';
import { Trace } from './trace.js';

export class Side {
  readonly machine: Machine;
  readonly trace: Trace;
  readonly state: State;
  readonly monitor: Monitor;

  /** @param hearsHost - whether accesses of the host are compared as well. */
  constructor(config: MachineConfig, hearsHost = false) {
    this.trace = new Trace(hearsHost);
    this.monitor = new Monitor(config);
    this.machine = new Machine(config, tee(this.monitor, this.trace));
    this.trace.attach(this.machine);
    this.state = new State(this.machine, this.monitor.verdicts);
  }

  boot(): void {
    this.trace.begin();
    this.monitor.start(this.machine);
    this.machine.boot();
    this.close();
  }

  /** Performs the i-th action of a schedule. Returns whether it was possible. */
  step(schedule: Schedule, i: number): boolean {
    this.trace.begin();
    const possible = step(this.machine, schedule, i);
    this.close();
    return possible;
  }

  private close(): void {
    this.trace.end();
    this.state.look();
  }
}

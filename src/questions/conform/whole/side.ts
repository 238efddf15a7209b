/** One of the two machines that are compared, with all that is looked at. */
import { tee } from '../../../host/observer.js';
import { Monitor } from '../../../judge/monitor.js';
import type { MachineConfig } from '../../../machine/config.js';
import { Machine } from '../../../machine/machine.js';
import { toggleWatchdog } from '../../../machine/threads.js';
import { type Schedule, step } from '../../../schedule/schedule.js';
import { State } from './state.js';
import { Trace } from './trace.js';

export class Side {
  readonly machine: Machine;
  readonly trace: Trace;
  readonly state: State;
  readonly monitor: Monitor;

  /** Whether the host's NMI watchdog counts from the boot on, as it always does in the model. */
  private readonly watched: boolean;

  /** @param hearsHost - whether accesses of the host are compared as well, as where KVM is. */
  constructor(config: MachineConfig, hearsHost = false) {
    this.watched = hearsHost;
    this.trace = new Trace(hearsHost);
    this.monitor = new Monitor(config);
    this.machine = new Machine(config, tee(this.monitor, this.trace));
    this.trace.attach(this.machine);
    this.state = new State(this.machine, this.monitor.verdicts);
  }

  boot(): void {
    const { machine } = this;
    this.trace.begin();
    this.monitor.start(machine);
    machine.boot();
    if (this.watched) for (const { id } of machine.host.kernel.cpus) toggleWatchdog(machine, id);
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

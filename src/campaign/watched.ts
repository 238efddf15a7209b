/** A machine that somebody watches beside the judge. */
import { type Observer, tee } from '../host/observer.js';
import type { Monitor } from '../judge/monitor.js';
import type { MachineConfig } from '../machine/config.js';
import { Machine } from '../machine/machine.js';

/**
 * Boots a machine.
 *
 * @param watcher - hears of each event after the monitor, the boot's as well, and is first given
 * the machine if it wants that.
 */
export function bootWatched(
  config: MachineConfig,
  monitor: Monitor,
  watcher: Observer & { attach?(machine: Machine): void },
): Machine {
  const machine = new Machine(config, tee(monitor, watcher));
  watcher.attach?.(machine);
  monitor.start(machine);
  machine.boot();
  return machine;
}

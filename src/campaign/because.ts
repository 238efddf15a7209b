/** Why the property of a case breaks: where its machine parts from the reference machine. */
import { Monitor } from '../judge/monitor.js';
import { type Parting, PartingWatch } from '../judge/parting.js';
import { tellingConfig } from '../judge/running.js';
import type { Register } from '../judge/view.js';
import { step } from '../schedule/schedule.js';
import type { Breaker, ReplayCase } from './replay_file.js';
import { bootWatched } from './watched.js';

/**
 * Runs a case twice: to see which register is read wrong, and to watch that register.
 *
 * @param breaker - who breaks the property (`breakerOf`).
 * Returns null if nobody does.
 */
export function partingOf(replay: ReplayCase, breaker: Breaker): Parting | null {
  if (breaker === 'nobody') return null;
  const first = watch(replay, breaker, null);
  return first === null || first.wrong === null ? first : watch(replay, breaker, first.wrong);
}

/** What decides a failure, as one word that tells causes apart. */
export function causeKey(parting: Parting | null): string {
  if (parting === null) return 'unknown';
  const { by, within } = parting.point;
  return [within?.name, by.who === 'hardware' ? by.who : by.name].filter(Boolean).join(' > ');
}

function watch(
  { config, property, schedule }: ReplayCase,
  by: 'policy' | 'kernel',
  target: Register | null,
): Parting | null {
  const monitor = new Monitor(config);
  const watcher = new PartingWatch(monitor, config.policy, { property, by }, target);
  const machine = bootWatched(tellingConfig(config, watcher), monitor, watcher);
  for (let i = 0; i < schedule.length && watcher.parting === null; i++) {
    watcher.begins(i);
    step(machine, schedule, i);
  }
  return watcher.parting;
}

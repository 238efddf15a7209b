/** A schedule that is run again, action by action, to the moment at which its property breaks. */
import { type Breaker, breakerOf, type ReplayCase } from '../campaign/replay_file.js';
import { bootWatched } from '../campaign/watched.js';
import { ascii } from '../console/text.js';
import { Monitor } from '../judge/monitor.js';
import type { Machine } from '../machine/machine.js';
import { step } from '../schedule/schedule.js';
import { type Action, ACTIONS } from '../schedule/table.js';
import { actionLine } from './action_line.js';
import { type Because, becauseOf } from './because.js';
import { nameMsrs } from './msr_name.js';
import { narrate } from './narrative.js';
import { type Watch, type Watcher, watchOf } from './watcher.js';

/** An action that was performed, in words. */
export interface ToldAction {
  /** Counted from 1. */
  readonly number: number;
  readonly action: Action;
  /** Who does what, as things were before: `v0 (VM 0, task 0, p0): call 3 times`. */
  readonly head: string;
  /** Whether it was possible. What is not is passed over. */
  readonly possible: boolean;
  /** VM exits in it. */
  readonly exits: number;
  /** What happens in it, in words, in its order. */
  readonly lines: readonly string[];
}

/** How a run has ended. */
export interface Ending {
  /** What broke, in a line; empty if nothing did. */
  readonly text: string;
  /** Why it broke; null if nothing did. */
  readonly because: Because | null;
}

/** A machine on which a case is run again, with somebody who watches it. */
export class Retelling<W extends Watcher> {
  readonly breaker: Breaker;
  readonly monitor: Monitor;
  readonly watcher: W;
  /** It has booted. */
  readonly machine: Machine;
  private readonly replay: ReplayCase;

  /** @param watcherOf - makes who watches; the boot is not told. */
  constructor(replay: ReplayCase, watcherOf: (monitor: Monitor, watch: Watch | null) => W) {
    this.replay = replay;
    this.breaker = breakerOf(replay);
    this.monitor = new Monitor(replay.config);
    this.watcher = watcherOf(this.monitor, watchOf(replay, this.breaker));
    this.machine = bootWatched(replay.config, this.monitor, this.watcher);
    this.watcher.take();
  }

  /**
   * Performs the actions, one whenever the next is asked for, and ends with that in which the
   * property breaks.
   *
   * @param full - whether each action's lines have all accesses and all records.
   */
  *actions(full: boolean): Generator<ToldAction> {
    const { machine, watcher } = this;
    const { schedule } = this.replay;
    for (let i = 0; i < schedule.length && watcher.failure === null; i++) {
      const action = schedule.action(i);
      const head = actionLine(machine, action);
      const possible = step(machine, schedule, i);
      const { entries, exits } = watcher.take();
      const about = ACTIONS[action.kind].about ?? 'anything';
      const lines = narrate(machine, entries, { about, full });
      yield { number: i + 1, action, head, possible, exits, lines };
    }
  }

  /** What has broken, once the actions are over. */
  ending(): Ending {
    const { failure } = this.watcher;
    if (failure === null) return { text: '', because: null };
    const text = ascii(nameMsrs(this.replay.config.model, failure.text));
    return { text, because: becauseOf(this.replay, this.breaker, text) };
  }
}

/** What an action may ask when its parameters are drawn. */
import type { Draw } from './draw.js';
import type { Machine } from '../machine/machine.js';

/** The style of a run, drawn at its start. */
export interface RunStyle {
  /** Whether it opens nothing but call-stack events of tasks. */
  readonly callstackOnly: boolean;
  /** Whether switches may come inside guest kernel functions. */
  readonly preemptive: boolean;
  /** Whether the guests are left alone on their pCPUs. */
  readonly guestsOnly: boolean;
  /** Whether each VM has one event at the most, with what is inherited from it. */
  readonly oneFamily: boolean;
}

export interface Drawing {
  readonly machine: Machine;
  readonly draw: Draw;
  readonly style: RunStyle;
  /** The parameters, filled in by an action's `draw`. */
  a: number;
  b: number;
  c: number;
  /** The first acceptable value at or after a drawn one, cyclically, in [0, n). */
  pick(n: number, accept: (i: number) => boolean): number;
  /** A value of the first parameter with which the action is possible. */
  pickPossible(actor: number): number;
  /** How often a branch repeats: mostly a few times, now and then around the whole stack. */
  repeat(): number;
  /** An order of magnitude of the accesses that a context switch makes. */
  accesses(): number;
  /** Number of the access before which a switch comes, or 0 for a switch at once. */
  after(possible: boolean): number;
}

/**
 * What an action is: one object that says everything there is to say about it. Drawing, replay,
 * shrinking, exploration, replay files and `--help` follow from the table of these objects.
 */
import type { Machine } from '../machine/machine.js';
import type { Drawing } from './drawing.js';
import type { Explored } from './explored.js';
import type { Param } from './param.js';

export interface ActionKind {
  /** Its number in replay tokens. It never changes, and a new action takes the next free one. */
  readonly code: number;
  /** Whether the action belongs to a vCPU or to a pCPU. */
  readonly actor: 'vcpu' | 'pcpu';
  /** At most three. */
  readonly params: readonly Param[];
  /** How often it is drawn among those that are possible. */
  readonly weight: number;
  readonly says: string;
  /**
   * Set for what happens to a guest from outside of its kernel. Runs that leave the guests alone go
   * without. A `switch` moves vCPUs: where a recording does that, it is not drawn.
   */
  readonly outside?: 'switch' | 'other';
  /** Runs leave out all actions of one group together, half of the time ("swarm"). */
  readonly swarm?: Swarm;
  /** What it is about, where that is one thing. */
  readonly about?: 'branch' | 'msr';
  /** Whether it runs a function of a guest's kernel, which the host may interrupt. */
  readonly runsFunction?: true;
  /** Whether only a guest that runs as C code can do it. */
  readonly needsImage?: true;
  /** Whether it is only possible where the KVM of a tree runs. */
  readonly needsKvm?: true;
  /** A vCPU's action needs a vCPU that runs and is in the middle of nothing, unless this is set. */
  readonly anyState?: true;
  /** Whether the actor can perform it with these parameters; always, if there is no such method. */
  possible?(m: Machine, actor: number, a: number, b: number): boolean;
  /** Performs it; only called when it is possible. */
  perform(m: Machine, actor: number, a: number, b: number, c: number): void;
  /** Whether some parameters make it possible, where the first parameter alone does not tell. */
  offer?(d: Drawing, actor: number): boolean;
  /** Draws the parameters, all 0 so far, where each parameter does not draw itself. */
  draw?(d: Drawing, actor: number): void;
  /** How an exploration tries it; not at all, if this is missing. */
  readonly explored?: readonly Explored[];
}

/** Groups of actions that runs leave out together, in the order in which they are drawn. */
export const SWARMS = [
  'host events',
  'kexec',
  'migration',
  'idleness',
  'raw writes',
  'raw reads',
  'forks',
  'ioctls',
  'closing',
  'kernel entries',
] as const;
export type Swarm = (typeof SWARMS)[number];

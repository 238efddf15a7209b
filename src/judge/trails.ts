/** What is watched of a guest and of the host, to see since when it is not as it should be. */
import type { Actor } from './running.js';
import type { Register, Value } from './view.js';

/** What a guest has read from a register, and what it reads on the reference machine. */
export interface WrongValue extends Register {
  readonly expected: Value;
  readonly found: Value;
}

/** Code that ran, and when. */
export interface Point {
  /** Index of the action. */
  readonly step: number;
  /** Grows with each call of a hook or a function, and with each access of C code of a tree. */
  readonly order: number;
  readonly by: Actor;
  /** The hook, or the function of the tree's KVM, that has called it; null if none has. */
  readonly within: Actor | null;
}

/** Something that is to be the same on both machines, and when it last ceased to be. */
export class Trail {
  parted: Point | null = null;

  /** @param point - what has run since the last look. */
  look(same: boolean, point: Point): void {
    if (same) this.parted = null;
    else this.parted ??= point;
  }
}

/** What is watched of a vCPU. */
export class VcpuTrail {
  readonly stack: Trail = new Trail();
  readonly filter: Trail = new Trail();
  readonly target: Trail = new Trail();
  /** The thread has come to a pCPU and has not entered its guest. */
  arriving = true;
  /** The policy has given up its event of perf's for the guest, while there were records. */
  dropped: Point | null = null;
  hadEvent = false;
  /** The policy takes the guest to have stopped while there are records. */
  stopped: Point | null = null;
  wasInUse = false;
  /** The last VM entry. */
  entry: Point | null = null;
  /** The first wrong read since the guest's PMI handler read the status. */
  wrong: { readonly value: WrongValue; readonly point: Point } | null = null;
}

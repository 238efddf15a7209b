import { Machine } from '../machine/machine.js';

/** Nothing is to come. */
export const NONE = -2;

/**
 * A machine whose vCPU switches stop half way, when the old thread has gone and the new one has not
 * come: each half is about one VM, so what it does can be known for that VM alone.
 */
export class SteppedMachine extends Machine {
  /** The thread that is to come: a vCPU, -1 for idle, or NONE. */
  pending: number = NONE;
  pendingPcpu = 0;

  override switchTo(pcpu: number, next: number): void {
    this.switchOut(pcpu, next);
    this.pending = next;
    this.pendingPcpu = pcpu;
  }
}

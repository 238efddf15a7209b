import { Machine } from '../machine/machine.js';

/** No thread is to arrive. */
export const NONE = -2;

/**
 * A machine whose vCPU switches stop half way, after the old thread has left and before the new one
 * arrives. Each half touches one VM only, so its effect can be cached per VM.
 */
export class SteppedMachine extends Machine {
  /** The thread that is to arrive: a vCPU, -1 for idle, or NONE. */
  pending: number = NONE;
  pendingPcpu = 0;

  override switchTo(pcpu: number, next: number): void {
    this.switchOut(pcpu, next);
    this.pending = next;
    this.pendingPcpu = pcpu;
  }
}

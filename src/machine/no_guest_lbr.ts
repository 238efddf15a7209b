import type { CpuModel } from '../hw/cpu_models.js';

/** What ends a machine before it starts: the tree's KVM gives its guests no LBR on this CPU. */
export class NoGuestLbr extends Error {
  constructor({ name }: CpuModel) {
    super(`this tree's KVM gives guests no LBR on ${name}: take another CPU, or an older tree`);
  }
}

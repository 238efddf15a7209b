/** States of a machine to which it goes back. */
import { InstanceSnapshot } from '../guest/image/instance.js';
import type { KernelImage } from './kernel_image.js';
import type { Machine } from './machine.js';

/**
 * The block of one machine and the memories of its kernels that run as C code, to be taken between
 * two actions, and put back as often as needed.
 */
export class Snapshot {
  private readonly block: Int32Array;
  private readonly words: Int32Array;
  private readonly images: readonly KernelImage[];
  private readonly instances: readonly InstanceSnapshot[];

  constructor({ memory, kernels, host }: Machine) {
    this.block = memory.words;
    this.words = new Int32Array(memory.words.length);
    this.images = [...kernels.images, ...host.images];
    this.instances = this.images.map(() => new InstanceSnapshot());
  }

  take(): void {
    this.words.set(this.block);
    for (let i = 0; i < this.images.length; i++) this.images[i].snapshot(this.instances[i]);
  }

  /** An instance in which nothing has run since is left as it is. */
  put(): void {
    this.block.set(this.words);
    for (let i = 0; i < this.images.length; i++) this.images[i].restore(this.instances[i]);
  }
}

import { assert } from './assert.js';

/**
 * A machine's whole state: one block of 32-bit words, so that a snapshot is one copy and
 * equality is one loop. Structs are accessor classes over fixed word offsets into it.
 *
 * 64-bit registers are two words, low word first, and travel through the model as the pair
 * (eax, edx) that RDMSR and WRMSR themselves use: no BigInt is allocated on a hot path.
 */
export class Memory {
  readonly words: Int32Array;

  constructor(layout: Layout) {
    this.words = new Int32Array(layout.size);
  }
}

/** Hands out word offsets before the block is allocated. */
export class Layout {
  size = 0;

  /** Reserves `count` words and returns the offset of the first. */
  take(count: number): number {
    assert(count >= 0, 'a region has a size');
    const offset = this.size;
    this.size += count;
    return offset;
  }
}

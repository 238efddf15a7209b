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

  /** @param words - the block; by default a new array. */
  constructor(layout: Layout, words: Int32Array = new Int32Array(layout.size)) {
    assert(words.length === layout.size, 'the block has the size of its layout');
    this.words = words;
  }
}

/**
 * Byte address of the block for compiled code. The code's static data and one stack per CPU lie
 * below the block.
 */
export const BLOCK_ADDRESS = 0x50000;

/** Address of the word at an offset in the block; never 0, which is the null pointer. */
export function addressOf(offset: number): number {
  return BLOCK_ADDRESS + 4 * offset;
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

/** What the kernel's structures are made of here: words of the block, and references. */
import { addressOf } from '../../hw/memory.js';

/** An object at a word offset of the block. */
export abstract class Struct {
  readonly id: number;
  protected readonly w: Int32Array;
  readonly o: number;

  constructor(w: Int32Array, o: number, id: number) {
    this.w = w;
    this.o = o;
    this.id = id;
  }

  /** Where C code finds it. */
  get address(): number {
    return addressOf(this.o);
  }
}

/** Where all objects of a kind lie, one after the other. */
export class ObjectTable {
  private readonly first: number;
  private readonly bytes: number;

  /** @param first - word offset of the first; `words` is the size of each. */
  constructor(first: number, words: number) {
    this.first = addressOf(first);
    this.bytes = 4 * words;
  }

  /** The number plus one of the object at an address; 0 for the null pointer. */
  plusOne(address: number): number {
    return address === 0 ? 0 : Math.trunc((address - this.first) / this.bytes) + 1;
  }

  address(plusOne: number): number {
    return plusOne === 0 ? 0 : this.first + (plusOne - 1) * this.bytes;
  }
}

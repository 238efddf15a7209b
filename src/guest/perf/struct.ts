/** References between the kernel's structures. */
import { addressOf } from '../../hw/memory.js';

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

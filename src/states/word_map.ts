/** A map from a few words to a few words: what is known is looked up and not worked out again. */
export class WordMap {
  count = 0;
  private readonly keyWords: number;
  private readonly stride: number;
  /** Open addressing; each slot holds a flag, a key and a value. */
  private slots: Int32Array;
  private mask: number;

  constructor(keyWords: number, valueWords: number) {
    this.keyWords = keyWords;
    this.stride = 1 + keyWords + valueWords;
    this.mask = (1 << 10) - 1;
    this.slots = new Int32Array((this.mask + 1) * this.stride);
  }

  get bytes(): number {
    return 4 * this.slots.length;
  }

  /** Where the value of a key starts in `words`, or -1. It is there until the next `add`. */
  find(key: Int32Array): number {
    const at = this.seek(key, 0);
    return this.slots[at] === 0 ? -1 : at + 1 + this.keyWords;
  }

  get words(): Int32Array {
    return this.slots;
  }

  add(key: Int32Array, value: Int32Array): void {
    if (2 * this.count > this.mask) this.grow();
    const at = this.seek(key, 0);
    this.slots[at] = 1;
    for (let i = 0; i < this.keyWords; i++) this.slots[at + 1 + i] = key[i];
    const to = at + 1 + this.keyWords;
    for (let i = 0; to + i < at + this.stride; i++) this.slots[to + i] = value[i];
    this.count++;
  }

  /** The slot that holds the key at `from` in `key`, or the free one where it belongs. */
  private seek(key: Int32Array, from: number): number {
    const { slots, stride, keyWords, mask } = this;
    let h = 0;
    for (let i = 0; i < keyWords; i++) {
      h = Math.imul(h ^ key[from + i], 0x2c1b3c6d);
      h ^= h >>> 15;
    }
    h = Math.imul(h, 0x297a2d39);
    h ^= h >>> 16;
    for (let i = h & mask; ; i = (i + 1) & mask) {
      const at = i * stride;
      if (slots[at] === 0) return at;
      let same = true;
      for (let k = 0; same && k < keyWords; k++) same = slots[at + 1 + k] === key[from + k];
      if (same) return at;
    }
  }

  private grow(): void {
    const old = this.slots;
    const { stride } = this;
    this.mask = 2 * this.mask + 1;
    this.slots = new Int32Array((this.mask + 1) * stride);
    for (let at = 0; at < old.length; at += stride) {
      if (old[at] === 0) continue;
      const to = this.seek(old, at + 1);
      for (let i = 0; i < stride; i++) this.slots[to + i] = old[at + i];
    }
  }
}

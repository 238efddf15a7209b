/**
 * Rows of words, each kept once and known by its number. A part of a machine takes few forms over a
 * search, so states that are tuples of such numbers are small, and compare exactly.
 */

/** Words that one mask word covers. */
const GROUP = 32;
/** Most of a machine is zero: a group of zeros costs its mask alone. */
const GROWTH = 2;

/** Spreads the bits of a word over all of it. */
function mix(h: number, word: number): number {
  const k = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d);
  return Math.imul((h ^ k) + ((h << 13) | (h >>> 19)), 0x297a2d39) ^ (h >>> 7);
}

/** A set of rows: equal rows have one number, and a number gives its row back. */
export class PartStore {
  count = 0;
  private readonly meta: number;
  /** Rows one after the other: their length, what is said of them, masks and non-zero words. */
  private arena: Int32Array = new Int32Array(1 << 16);
  private end = 0;
  private starts: Int32Array = new Int32Array(1 << 10);
  /** Open addressing; a slot holds the number of a row plus one. */
  private table: Int32Array = new Int32Array(1 << 11);
  private readonly packed: Int32Array;

  /**
   * @param longest - most words of a row.
   * @param meta - words that are kept beside each row, and are no part of what it is.
   */
  constructor(longest: number, meta: number) {
    this.meta = meta;
    this.packed = new Int32Array(longest + Math.ceil(longest / GROUP) + 1);
  }

  get bytes(): number {
    return 4 * (this.arena.length + this.starts.length + this.table.length);
  }

  /** The number of a row, in [0, count). A row that is new is added, its meta words zero. */
  intern(row: Int32Array, length: number): number {
    const n = this.pack(row, length);
    const { packed } = this;
    let h = n;
    for (let i = 0; i < n; i++) h = mix(h, packed[i]);
    h ^= h >>> 16;
    const mask = this.table.length - 1;
    let slot = h & mask;
    for (; this.table[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.same(this.table[slot] - 1, n)) return this.table[slot] - 1;
    }
    return this.add(slot, n, h);
  }

  /** Copies a row into `into`. Returns its length. */
  load(id: number, into: Int32Array): number {
    const { arena } = this;
    const from = this.starts[id] + 2 + this.meta;
    const length = arena[from];
    let at = from + 1;
    for (let base = 0; base < length; base += GROUP) {
      const mask = arena[at++];
      const n = Math.min(GROUP, length - base);
      for (let i = 0; i < n; i++) into[base + i] = (mask & (1 << i)) !== 0 ? arena[at++] : 0;
    }
    return length;
  }

  metaOf(id: number, i: number): number {
    return this.arena[this.starts[id] + 2 + i];
  }

  copyMeta(from: number, to: number): void {
    for (let i = 0; i < this.meta; i++) this.setMeta(to, i, this.metaOf(from, i));
  }

  setMeta(id: number, i: number, value: number): void {
    this.arena[this.starts[id] + 2 + i] = value;
  }

  /** Length, then for each group a mask and the words that are not zero. Returns the words. */
  private pack(row: Int32Array, length: number): number {
    const { packed } = this;
    packed[0] = length;
    let at = 1;
    for (let base = 0; base < length; base += GROUP) {
      const maskAt = at++;
      const n = Math.min(GROUP, length - base);
      let mask = 0;
      for (let i = 0; i < n; i++) {
        const word = row[base + i];
        if (word === 0) continue;
        mask |= 1 << i;
        packed[at++] = word;
      }
      packed[maskAt] = mask;
    }
    return at;
  }

  private same(id: number, n: number): boolean {
    const { arena, packed } = this;
    const start = this.starts[id];
    if (arena[start + 1] !== n) return false;
    const from = start + 2 + this.meta;
    for (let i = 0; i < n; i++) if (arena[from + i] !== packed[i]) return false;
    return true;
  }

  private add(slot: number, n: number, hash: number): number {
    const id = this.count++;
    const size = 2 + this.meta + n;
    if (this.end + size > this.arena.length) this.arena = grown(this.arena, this.end + size);
    if (id >= this.starts.length) this.starts = grown(this.starts, id + 1);
    this.starts[id] = this.end;
    this.arena[this.end] = hash;
    this.arena[this.end + 1] = n;
    this.arena.set(this.packed.subarray(0, n), this.end + 2 + this.meta);
    this.end += size;
    this.table[slot] = id + 1;
    if (2 * this.count > this.table.length) this.rehash();
    return id;
  }

  private rehash(): void {
    const mask = GROWTH * this.table.length - 1;
    this.table = new Int32Array(mask + 1);
    for (let id = 0; id < this.count; id++) {
      let slot = this.arena[this.starts[id]] & mask;
      while (this.table[slot] !== 0) slot = (slot + 1) & mask;
      this.table[slot] = id + 1;
    }
  }
}

/** Returns a copy of at least `least` words. */
export function grown(words: Int32Array, least: number): Int32Array {
  const copy = new Int32Array(Math.max(GROWTH * words.length, least));
  copy.set(words);
  return copy;
}

/**
 * The states that a search has found, numbered in the order of their finding, and from which state
 * each was reached.
 *
 * A hash table of numbers over the rows of all states. As a number takes no more bits than a
 * position in the table does, the bits of a slot above them hold more of the hash: nearly every
 * state that is not the one looked for is told apart without a look at its row.
 */
import { assert } from '../hw/assert.js';
import { RowChunks } from './row_chunks.js';

const CAPACITY_MIN = 1 << 10;
/** Twice this many slots would be more than a typed array may have on every engine. */
const CAPACITY_MAX = 1 << 30;
/** Words of a state's fingerprint. */
const PRINT_WORDS = 2;
const NO_SLOTS: Int32Array = new Int32Array(0);

const P1 = 0x9e3779b1;
const P2 = 0x85ebca6b;
const P3 = 0xc2b2ae35;
const P4 = 0x27d4eb2f;

/** Two chains, each over every other word, so that neither waits for the other. */
function hashOf(words: Int32Array, from: number, count: number): number {
  const end = from + count;
  let a = P1;
  let b = P3;
  let i = from;
  for (; i + 1 < end; i += 2) {
    a = Math.imul(a ^ words[i], P2);
    b = Math.imul(b ^ words[i + 1], P4);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  if (i < end) a = Math.imul(a ^ words[i], P2);
  const h = Math.imul(a ^ (a >>> 14) ^ ((b << 16) | (b >>> 16)), P3);
  return h ^ (h >>> 15);
}

/**
 * 64 bits for a state: two chains over all of its words with different multipliers. Each step folds
 * the upper bits of the product down, since two states that differ in the top bits of two words
 * would collide otherwise.
 */
export function fingerprint(state: Int32Array, into: Int32Array): void {
  const words = state.length;
  let a = P1;
  let b = P2;
  for (let i = 0; i < words; i++) {
    const word = state[i];
    a = Math.imul(a ^ word, P3);
    b = Math.imul(b ^ ((word << 11) | (word >>> 21)), P4);
    a ^= a >>> 15;
    b ^= b >>> 14;
  }
  a = Math.imul(a ^ (b >>> 7), P2);
  b = Math.imul(b ^ (a >>> 9), P1);
  into[0] = a ^ (a >>> 16);
  into[1] = b ^ (b >>> 16);
}

/**
 * Upper bound of the probability that two of `states` different states share a 64-bit fingerprint.
 */
export function collisionOdds(states: number): number {
  return (states * (states - 1)) / 2 / 2 ** 64;
}

/** How many states a table of `capacity` slots may hold. */
const limitOf = (capacity: number): number => (capacity >> 3) * 5;

function capacityFor(count: number, capacity: number): number {
  let slots = capacity;
  while (count > limitOf(slots)) slots *= 2;
  return slots;
}

/**
 * The set of states found so far. With fingerprints, 64 bits stand for a state: two states may then
 * be taken for one, and the rows of states that were read can be forgotten.
 */
export class Visited {
  readonly fingerprints: boolean;
  count = 0;
  /** States that there is room for without an allocation. */
  room = 0;
  private slots: Int32Array = new Int32Array(CAPACITY_MIN);
  /** What tells states apart: their words, or their fingerprints. */
  private readonly keys: RowChunks;
  /** The states themselves; with fingerprints, only those that the search has yet to read. */
  private readonly states: RowChunks;
  private readonly preds: RowChunks;
  private readonly print: Int32Array = new Int32Array(PRINT_WORDS);
  /** What `probe` leaves behind for `insert`: the hash, and the slot that is free for it. */
  private hash = 0;
  private at = 0;

  constructor(stateWords: number, fingerprints: boolean) {
    this.fingerprints = fingerprints;
    this.states = new RowChunks(stateWords);
    this.keys = fingerprints ? new RowChunks(PRINT_WORDS) : this.states;
    this.preds = new RowChunks(1);
  }

  get bytes(): number {
    return this.bytesFor(this.count);
  }

  /** Bytes that this number of states takes, if none is forgotten until then. */
  bytesFor(count: number): number {
    const slots = capacityFor(count, this.slots.length) * 4;
    const states = this.fingerprints ? this.states.bytesFor(count) : 0;
    return slots + this.keys.bytesFor(count) + this.preds.bytesFor(count) + states;
  }

  /** Adds a state, reached from state `pred`. Returns its number, or ~number if it was there. */
  insert(state: Int32Array, pred: number): number {
    const found = this.probe(state);
    if (found >= 0) return ~found;
    const index = this.count;
    if (index === this.room) this.grow();
    const mask = this.slots.length - 1;
    this.slots[this.at] = (this.hash & ~mask) | (index + 1);
    if (this.fingerprints) this.keys.write(index, this.print);
    this.states.write(index, state);
    const { preds } = this;
    preds.chunks[index >> preds.shift][preds.offset(index)] = pred;
    this.count = index + 1;
    return index;
  }

  find(state: Int32Array): number {
    return this.probe(state);
  }

  read(index: number, into: Int32Array): void {
    this.states.read(index, into);
  }

  /** The state from which this one was found; -1 for the first. */
  pred(index: number): number {
    const { preds } = this;
    return preds.chunks[index >> preds.shift][preds.offset(index)];
  }

  /** With fingerprints: states below this one will not be read again. */
  forget(below: number): void {
    if (this.fingerprints) this.states.drop(below);
  }

  private probe(state: Int32Array): number {
    const { keys, slots, fingerprints } = this;
    const { chunks, shift, words } = keys;
    let key = state;
    if (fingerprints) {
      key = this.print;
      fingerprint(state, key);
    }
    const hash = fingerprints ? key[0] : hashOf(key, 0, words);
    const mask = slots.length - 1;
    let at = hash & mask;
    for (let slot = slots[at]; slot !== 0; slot = slots[at]) {
      if (((slot ^ hash) & ~mask) === 0) {
        const index = (slot & mask) - 1;
        const chunk = chunks[index >> shift];
        const offset = keys.offset(index);
        let k = 0;
        while (k < words && chunk[offset + k] === key[k]) k++;
        if (k === words) return index;
      }
      at = (at + 1) & mask;
    }
    this.hash = hash;
    this.at = at;
    return -1;
  }

  /** Makes room for one more state at least. */
  private grow(): void {
    const index = this.count;
    for (const rows of [this.states, this.keys, this.preds]) if (rows.room === index) rows.grow();
    const capacity = capacityFor(index + 1, this.slots.length);
    if (capacity !== this.slots.length) {
      assert(capacity <= CAPACITY_MAX, 'a search ends before its table is too large for Node');
      this.rehash(capacity);
    }
    const rows = Math.min(this.states.room, this.keys.room, this.preds.room);
    this.room = Math.min(rows, limitOf(capacity));
  }

  /** The old table goes first: all that it says can be had from the rows. */
  private rehash(capacity: number): void {
    const { keys, count, fingerprints } = this;
    const { words } = keys;
    this.slots = NO_SLOTS;
    const slots = new Int32Array(capacity);
    const mask = capacity - 1;
    for (let index = 0; index < count; index++) {
      const chunk = keys.chunks[index >> keys.shift];
      const offset = keys.offset(index);
      const hash = fingerprints ? chunk[offset] : hashOf(chunk, offset, words);
      let at = hash & mask;
      while (slots[at] !== 0) at = (at + 1) & mask;
      slots[at] = (hash & ~mask) | (index + 1);
    }
    this.slots = slots;
    let at = this.hash & mask;
    while (slots[at] !== 0) at = (at + 1) & mask;
    this.at = at;
  }
}

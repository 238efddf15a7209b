/** Structures whose accessors are made from a table of fields. */
import { describe, expect, it } from 'vitest';
import { addressOf } from '../../src/hw/memory.js';
import { struct, type StructClass, wordOf } from '../../src/hw/struct.js';

const TABLE = { count: 'int', live: 'flag', next: 'int' } as const;
const Words: StructClass<typeof TABLE> = struct(TABLE);

/** `next` is kept plus one, so that a zeroed word means none. */
class Sample extends Words {
  override get next(): number {
    return this.w[this.o + wordOf(TABLE, 'next')] - 1;
  }
  override set next(v: number) {
    this.w[this.o + wordOf(TABLE, 'next')] = v + 1;
  }
}

describe('struct', () => {
  it('each field always has the word of its place in the table', () => {
    const w = new Int32Array(8);
    const object = new Words(w, 2, 0);
    Object.assign(object, { count: -7, live: true, next: 9 });
    expect([...w]).toEqual([0, 0, -7, 1, 9, 0, 0, 0]);
    expect([object.count, object.live, object.next]).toEqual([-7, true, 9]);
    object.live = false;
    expect([w[3], object.live]).toEqual([0, false]);
    expect([Words.FIELDS, Words.WORDS]).toEqual([['count', 'live', 'next'], 3]);
    expect([wordOf(TABLE, 'count'), wordOf(TABLE, 'next')]).toEqual([0, 2]);
  });

  it('a flag is always written as 1, and any other word than 0 is read as true', () => {
    const w = new Int32Array([0, -4, 0]);
    const object = new Words(w, 0, 0);
    expect(object.live).toBe(true);
    object.live = true;
    expect(w[1]).toBe(1);
  });

  it('an accessor that a class writes itself always takes the place of the one made', () => {
    const w = new Int32Array(3);
    const object = new Sample(w, 0, 0);
    expect(object.next).toBe(-1);
    object.next = 4;
    expect([...w, object.next]).toEqual([0, 0, 5, 4]);
    expect([Sample.WORDS, Sample.FIELDS]).toEqual([3, Words.FIELDS]);
  });

  it('an object never has an accessor of its own, and knows its number and its address', () => {
    const object = new Words(new Int32Array(3), 0, 5);
    expect(Object.keys(object).toSorted()).toEqual(['id', 'o', 'w']);
    expect([object.id, object.o, object.address]).toEqual([5, 0, addressOf(0)]);
  });

  it('two tables never share their accessors', () => {
    const table = { next: 'int', count: 'int' } as const;
    const w = new Int32Array([1, 2, 3]);
    const swapped = new (struct(table))(w, 0, 0);
    const object = new Words(w, 0, 0);
    expect([swapped.next, swapped.count, object.count, object.next]).toEqual([1, 2, 1, 3]);
  });
});

/** A module with a table of 64-bit indices, as clang 19 and later make it, and without one. */
import { describe, expect, it } from 'vitest';
import { WebAssembly } from '../../../src/guest/image/webassembly.js';
import { withNarrowTable } from '../../../src/tree/image/narrow_table.js';

const I32 = 0x7f;
const I64 = 0x7e;
const MAGIC: readonly number[] = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

const section = (id: number, ...bytes: readonly number[]): number[] => [id, bytes.length, ...bytes];

/**
 * A module whose exported `f` calls the function at a place of the table, which gives 7 or 8.
 *
 * @param wide - whether places are 64-bit numbers.
 * @param before - instructions of `f` before the call.
 */
function moduleOf(wide: boolean, before: readonly number[] = []): Uint8Array {
  const place = wide ? I64 : I32;
  const constant = wide ? 0x42 : 0x41;
  const call = [0x20, 0, 0x11, 0x80, 0, 0x80, 0, 0x0b];
  const f = [1, 1, I32, ...before, ...call];
  const code = [3, 4, 0, 0x41, 7, 0x0b, 4, 0, 0x41, 8, 0x0b, f.length].concat(f);
  return Uint8Array.from([
    ...MAGIC,
    ...section(1, 2, 0x60, 0, 1, I32, 0x60, 1, place, 1, I32),
    ...section(3, 3, 0, 0, 1),
    ...section(4, 1, 0x70, wide ? 5 : 1, 2, 2),
    ...section(7, 1, 1, 0x66, 0, 2),
    ...section(9, 1, 0, constant, 0, 0x0b, 2, 0, 1),
    ...section(10, ...code),
  ]);
}

/** Instructions of each form that hold the bytes of a call in their numbers. */
const FORMS: readonly (readonly [form: string, bytes: readonly number[]])[] = [
  ['nothing', []],
  ['a number of 32 bits', [0x41, 0x11, 0x1a]],
  ['a number of 64 bits', [0x42, 0x91, 0x11, 0x1a]],
  ['a float', [0x43, 0x11, 0x11, 0x11, 0x11, 0x1a]],
  ['a double', [0x44, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1a]],
  ['a block', [0x02, 0x40, 0x0c, 0, 0x0b]],
  ['a table of branches', [0x02, 0x40, 0x41, 0, 0x0e, 2, 0, 0, 0, 0x0b]],
  ['a variable', [0x41, 0x11, 0x21, 1]],
  ['a sign extension', [0x41, 0x11, 0xc0, 0x1a]],
];

describe('a table of functions', () => {
  it.each(FORMS)('is made narrow behind %s, and calls stay what they were', (_form, before) => {
    const narrow = withNarrowTable(moduleOf(true, before));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(narrow), {});
    const f = (exports as unknown as { f(place: bigint): number }).f;
    expect([f(0n), f(1n)]).toEqual([7, 8]);
    expect(() => f(2n)).toThrow(/table index is out of bounds/);
  });
  it('is left as it is when it is narrow', () => {
    const module = moduleOf(false);
    expect(withNarrowTable(module)).toBe(module);
  });
  it('is never made narrow around an instruction whose length is not known', () => {
    expect(() => withNarrowTable(moduleOf(true, [0xfc, 0]))).toThrow(
      'an instruction 0xfc was not asked for',
    );
  });
});

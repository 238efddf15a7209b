/** Types of a module's functions, read from its bytes. */
import { describe, expect, it } from 'vitest';
import { moduleTypes } from '../../../src/guest/image/module_types.js';

const [I32, I64] = [0x7f, 0x7e];

function name(text: string): number[] {
  return [text.length, ...Buffer.from(text)];
}

function section(id: number, ...items: readonly (readonly number[])[]): number[] {
  const body = [items.length, ...items.flat()];
  // The size in two bytes of LEB128, as a linker may write it.
  return [id, (body.length & 0x7f) | 0x80, body.length >> 7, ...body];
}

/** The magic number, and version 1. */
const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

const MODULE = Uint8Array.from([
  ...HEADER,
  ...section(1, [0x60, 2, I32, I64, 0], [0x60, 0, 1, I64], [0x60, 1, I32, 1, I32]),
  ...section(
    2,
    [...name('env'), ...name('memory'), 2, 1, 1, 2],
    [...name('env'), ...name('wide'), 0, 1],
    [...name('env'), ...name('table'), 1, 0x70, 0, 1],
    [...name('env'), ...name('flag'), 3, I32, 1],
    [...name('env'), ...name('write'), 0, 0],
  ),
  ...section(3, [2], [0]),
  ...section(7, [...name('id'), 0, 2], [...name('put'), 0, 3], [...name('m'), 2, 0]),
  ...section(10, [4, 0, 0x20, 0, 0x0b], [2, 0, 0x0b]),
]);

describe('moduleTypes', () => {
  it('the types are those by which the module runs', () => {
    const { imports, exports } = moduleTypes(MODULE);
    expect([...imports]).toEqual([
      ['wide', { wide: [], wideResult: true }],
      ['write', { wide: [false, true], wideResult: false }],
    ]);
    expect([...exports]).toEqual([
      ['id', { wide: [false], wideResult: false }],
      ['put', { wide: [false, true], wideResult: false }],
    ]);
  });
});

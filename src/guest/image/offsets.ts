/** Where the fields of a tree's structures lie: the table of c/guest.c, made by the compiler. */
import { assert } from '../../hw/assert.js';

/** What reads memory of an instance. */
interface Reading {
  readInt(address: number): number;
  text(address: number): string;
}

export class Offsets {
  private readonly rows: ReadonlyMap<string, number>;

  constructor(rows: ReadonlyMap<string, number>) {
    this.rows = rows;
  }

  /** Bytes to a field, as `cpu_hw_events.lbr_users`; of a constant, its value. */
  at(name: string): number {
    const at = this.rows.get(name);
    assert(at !== undefined, `the image has no offset of ${name}`);
    return at;
  }
}

/** @param wide - whether pointers have 8 bytes. */
export function readOffsets(kernel: Reading, table: number, wide: boolean): Offsets {
  const pointer = wide ? 8 : 4;
  const rows = new Map<string, number>();
  // A name, and a number that is padded to the size of a pointer.
  for (let row = table; kernel.readInt(row) !== 0; row += 2 * pointer) {
    const name = kernel.text(kernel.readInt(row)).replaceAll(' ', '');
    rows.set(name, kernel.readInt(row + pointer));
  }
  return new Offsets(rows);
}

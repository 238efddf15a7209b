/** Where the fields of a tree's structures lie: the table of c/guest.c, made by the compiler. */
import { assert } from '../../hw/assert.js';

/** What reads memory of an instance. */
interface Reading {
  readInt(address: number): number;
  text(address: number): string;
}

export interface Field {
  /** Bytes from the start of the structure. */
  readonly at: number;
  readonly bytes: number;
}

export class Offsets {
  private readonly fields: ReadonlyMap<string, Field>;

  constructor(fields: ReadonlyMap<string, Field>) {
    this.fields = fields;
  }

  /** A field by structure and name, as `cpu_hw_events.lbr_users`. */
  field(name: string): Field {
    const field = this.fields.get(name);
    assert(field !== undefined, `the image has no offset of ${name}`);
    return field;
  }

  /** Where a field lies; of a constant, its value. */
  at(name: string): number {
    return this.field(name).at;
  }
}

/** @param wide - whether pointers have 8 bytes. */
export function readOffsets(kernel: Reading, table: number, wide: boolean): Offsets {
  const pointer = wide ? 8 : 4;
  const fields = new Map<string, Field>();
  for (let row = table; kernel.readInt(row) !== 0; row += pointer + 8) {
    const [at, bytes] = [kernel.readInt(row + pointer), kernel.readInt(row + pointer + 4)];
    fields.set(kernel.text(kernel.readInt(row)).replaceAll(' ', ''), { at, bytes });
  }
  return new Offsets(fields);
}

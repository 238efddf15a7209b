/** Structures over words of the block, whose accessors are made from a table of fields. */
import { addressOf } from './memory.js';

/**
 * The fields of a structure, in the order of their words, one word each. An `int` is read and
 * written as it stands; a `flag` is a boolean, kept as 0 or 1. Where a class reads a word in a way
 * of its own, it overrides the accessor.
 */
type Fields = Readonly<Record<string, 'int' | 'flag'>>;

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

/** A class of objects that have the fields of a table. */
export interface StructClass<Table extends Fields> {
  /** Names of the fields; the index of each is the number of its word. */
  readonly FIELDS: readonly string[];
  readonly WORDS: number;
  new (
    w: Int32Array,
    o: number,
    id: number,
  ): Struct & { -readonly [Name in keyof Table]: Table[Name] extends 'flag' ? boolean : number };
}

type Accessor = PropertyDescriptor & ThisType<{ readonly w: Int32Array; readonly o: number }>;

/** The accessor of the word `at`. V8 inlines it as it inlines one that is written by hand. */
function accessor(kind: 'int' | 'flag', at: number): Accessor {
  if (kind === 'int') {
    return {
      get() {
        return this.w[this.o + at];
      },
      set(v: number) {
        this.w[this.o + at] = v;
      },
    };
  }
  return {
    get() {
      return this.w[this.o + at] !== 0;
    },
    set(v: boolean) {
      this.w[this.o + at] = v ? 1 : 0;
    },
  };
}

/** Makes the class of a table, with an accessor for each field on its prototype. */
export function struct<Table extends Fields>(table: Table): StructClass<Table> {
  const made = class extends Struct {
    static readonly FIELDS: readonly string[] = Object.keys(table);
    static readonly WORDS: number = this.FIELDS.length;
  };
  made.FIELDS.forEach((name, at) => {
    Object.defineProperty(made.prototype, name, accessor(table[name], at));
  });
  // The compiler does not see what defineProperty adds.
  return made as unknown as StructClass<Table>;
}

/** Number of a field's word, counted from the start of its structure. */
export function wordOf<Table extends Fields>(table: Table, name: keyof Table & string): number {
  return Object.keys(table).indexOf(name);
}

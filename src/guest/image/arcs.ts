/**
 * Which code has run: the counters of a build that counts, as src/tree/gcov/gcov.c notes where they
 * lie. Each function has counters of two words, one for each arc of its control flow that clang
 * counts.
 */

/** A function, by the numbers that the compiler gave it. */
export interface FunctionCounts {
  readonly ident: number;
  readonly funcChecksum: number;
  readonly cfgChecksum: number;
  /** How often each counted arc was taken. */
  readonly arcs: readonly number[];
}

/** A file that was compiled to count. */
export interface FileCounts {
  /** That of its counts, as the compiler was told. */
  readonly name: string;
  /** The compiler's number of the format's version. */
  readonly version: number;
  readonly checksum: number;
  readonly functions: readonly FunctionCounts[];
}

/** Memory of an instance. */
interface Reading {
  ints(): Int32Array;
  text(address: number): string;
}

/** Where counters lie: byte address, and how many. */
interface Range {
  readonly at: number;
  readonly counters: number;
}

type CountedFunction = Omit<FunctionCounts, 'arcs'> & Range;
type CountedFile = Omit<FileCounts, 'functions'> & { readonly functions: CountedFunction[] };

const HEAD_WORDS = 2;
const FILE_WORDS = 4;
const FUNCTION_WORDS = 5;
/** FILES_MAX of gcov.c. */
const FILES_MAX = 32;

const COUNTER_WORDS = 2;
const COUNTER_BYTES = 8;

/** Where the counters of a build lie. */
export class ArcTable {
  private readonly files: readonly CountedFile[];
  /** Ranges without a gap between them are one. */
  readonly ranges: readonly Range[];

  /** @param table - address of the table that gcov.c has made in some instance. */
  constructor(of: Reading, table: number) {
    this.files = readFiles(of, table);
    const functions = this.files.flatMap((file) => file.functions).sort((a, b) => a.at - b.at);
    const ranges: Range[] = [];
    for (const { at, counters } of functions) {
      const last = ranges.at(-1);
      if (last === undefined || last.at + COUNTER_BYTES * last.counters !== at) {
        ranges.push({ at, counters });
      } else {
        ranges[ranges.length - 1] = { at: last.at, counters: last.counters + counters };
      }
    }
    this.ranges = ranges;
  }

  /** @param shift - words from where the table says that counters lie to where they do. */
  counts(words: Int32Array, shift = 0): FileCounts[] {
    return this.files.map(({ functions, ...file }) => ({
      ...file,
      functions: functions.map(({ at, counters, ...numbers }) => ({
        ...numbers,
        arcs: Array.from({ length: counters }, (_, i) => {
          const word = (at >> 2) + COUNTER_WORDS * i + shift;
          return (words[word] >>> 0) + (words[word + 1] >>> 0) * 2 ** 32;
        }),
      })),
    }));
  }
}

/** The counters of one instance of an image. */
export class Arcs {
  private readonly of: Reading;
  private readonly table: ArcTable;
  private readonly kept: Int32Array;

  constructor(of: Reading, table: number) {
    this.of = of;
    this.table = new ArcTable(of, table);
    const counters = this.table.ranges.reduce((sum, range) => sum + range.counters, 0);
    this.kept = new Int32Array(COUNTER_WORDS * counters);
  }

  /** Keeps the counters while a change of memory is made which would undo them. */
  across(change: () => void): void {
    const { kept } = this;
    const { ranges } = this.table;
    let to = 0;
    const before = this.of.ints();
    for (const { at, counters } of ranges) {
      const from = at >> 2;
      for (let i = 0; i < COUNTER_WORDS * counters; i++) kept[to++] = before[from + i];
    }
    change();
    const after = this.of.ints();
    let from = 0;
    for (const { at, counters } of ranges) {
      const end = from + COUNTER_WORDS * counters;
      after.set(kept.subarray(from, end), at >> 2);
      from = end;
    }
  }

  counts(): FileCounts[] {
    return this.table.counts(this.of.ints());
  }
}

function readFiles(of: Reading, table: number): CountedFile[] {
  const words = new Uint32Array(of.ints().buffer).subarray(table >> 2);
  const [files, functions] = words;
  const row = (i: number): Uint32Array => words.subarray(HEAD_WORDS + FILE_WORDS * i);
  const first = (i: number): number => (i < files ? row(i)[3] : functions);
  const functionAt = (i: number): CountedFunction => {
    const at = HEAD_WORDS + FILE_WORDS * FILES_MAX + FUNCTION_WORDS * i;
    const [ident, funcChecksum, cfgChecksum, counters, address] = words.subarray(at);
    return { ident, funcChecksum, cfgChecksum, counters, at: address };
  };
  return Array.from({ length: files }, (_, i) => {
    const [name, version, checksum] = row(i);
    const own = Array.from({ length: first(i + 1) - first(i) }, (__, j) =>
      functionAt(first(i) + j),
    );
    return { name: of.text(name), version, checksum, functions: own };
  });
}

/** All that has run of an image that counts, in all of its instances. */
export class Counted {
  private readonly instances: Arcs[] = [];

  add(instance: Arcs): void {
    this.instances.push(instance);
  }

  counts(): readonly FileCounts[] {
    return sumOf(this.instances.map((arcs) => arcs.counts()));
  }
}

/** Sums of counts that were made of the same build; none for no counts. */
export function sumOf(all: readonly (readonly FileCounts[])[]): readonly FileCounts[] {
  const [first, ...rest] = all.filter((files) => files.length > 0);
  if (first === undefined) return [];
  return first.map((file, f) => ({
    ...file,
    functions: file.functions.map((one, i) => ({
      ...one,
      arcs: one.arcs.map((count, arc) =>
        rest.reduce((sum, files) => sum + files[f].functions[i].arcs[arc], count),
      ),
    })),
  }));
}

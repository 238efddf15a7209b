/**
 * What is kept of a recording while it is read, as columns of numbers. An object for each row
 * would be ten times as large, and a text of 1 GB has some ten million rows.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Rows of a block; a full block is never moved again. */
const ROWS = 262_144;

/** Times are kept as 32 bits of nanoseconds from the first row of their block. */
const SPAN_MAX = 0xffffffff;

/** A column of a block. */
export type Numbers = Uint8Array | Uint16Array | Uint32Array;

/** Bits of the numbers of a column. */
export type Width = 8 | 16 | 32;

/** Rows that are full. */
export interface Block {
  readonly rows: number;
  readonly time: number;
  readonly offsets: Uint32Array;
  /** What the numbers of each column count from. */
  readonly bases: readonly number[];
  readonly columns: readonly Numbers[];
}

/** The number of a row in a column. */
export function numberAt({ bases, columns }: Block, column: number, i: number): number {
  return bases[column] + columns[column][i];
}

/** How a column of a block is kept. */
interface Packing {
  readonly base: number;
  readonly width: Width;
}

/** A 32-bit column is kept as narrow as its numbers allow; the others as they are. */
function packingOf(column: Numbers, rows: number): Packing {
  if (!(column instanceof Uint32Array)) return { base: 0, width: widthOf(column) };
  let [least, most] = [Infinity, 0];
  for (let i = 0; i < rows; i++) {
    if (column[i] < least) least = column[i];
    if (column[i] > most) most = column[i];
  }
  const range = most - least;
  if (range > 0xffff) return { base: 0, width: 32 };
  return { base: least, width: range > 0xff ? 16 : 8 };
}

function widthOf(column: Numbers): Width {
  return (8 * column.BYTES_PER_ELEMENT) as Width;
}

/** A column within the one buffer of its block. */
function view(buffer: ArrayBuffer, at: number, rows: number, width: Width): Numbers {
  if (width === 8) return new Uint8Array(buffer, at, rows);
  return width === 16 ? new Uint16Array(buffer, at, rows) : new Uint32Array(buffer, at, rows);
}

/** Ends at a multiple of four. */
function aligned(bytes: number): number {
  return (bytes + 3) & ~3;
}

/**
 * Puts the rows into one buffer: it is so large that the system gets it back as soon as it is
 * collected.
 */
function packed(
  time: number,
  rows: number,
  offsets: Uint32Array,
  columns: readonly Numbers[],
): Block {
  const packings = columns.map((column) => packingOf(column, rows));
  const bytes = packings.reduce((sum, { width }) => sum + aligned((rows * width) / 8), rows * 4);
  const buffer = new ArrayBuffer(bytes);
  const kept = new Uint32Array(buffer, 0, rows);
  kept.set(offsets.subarray(0, rows));
  let at = rows * 4;
  const views = packings.map(({ base, width }, c) => {
    const into = view(buffer, at, rows, width);
    at += aligned((rows * width) / 8);
    for (let i = 0; i < rows; i++) into[i] = columns[c][i] - base;
    return into;
  });
  return { rows, time, offsets: kept, bases: packings.map(({ base }) => base), columns: views };
}

function columnOf(width: Width): Numbers {
  if (width === 8) return new Uint8Array(ROWS);
  return width === 16 ? new Uint16Array(ROWS) : new Uint32Array(ROWS);
}

/** Bytes of released blocks at which they are collected. */
const COLLECTED = 16_000_000;

/**
 * Has V8 collect what was let go of. It would do so when memory is asked for, and whoever fills
 * columns that are there already asks for none: rows and columns would both be in memory at the
 * end. Recordings of less than a million switches never come here.
 */
function collect(): void {
  setFlagsFromString('--expose-gc');
  const gc: unknown = runInNewContext('gc');
  setFlagsFromString('--no-expose-gc');
  if (typeof gc === 'function') Reflect.apply(gc, undefined, []);
}

/** Rows of a time and up to six numbers; the oldest can be let go. */
export class TimedRows {
  /** Number of all rows that were ever added. */
  protected added = 0;
  private readonly most: number;
  private readonly blocks: (Block | null)[] = [];
  /** Number of the row that each block begins with. */
  private readonly starts: number[] = [];
  private firstBlock = 0;
  private closedRows = 0;
  private base = 0;
  private open = 0;
  private readonly offsets: Uint32Array = new Uint32Array(ROWS);
  private readonly columns: readonly Numbers[];

  /** @param most - how many rows to keep; older ones are dropped. */
  constructor(widths: readonly Width[], most: number = Infinity) {
    this.columns = widths.map(columnOf);
    this.most = most;
  }

  /** Number of rows that are kept. */
  get length(): number {
    return Math.min(this.most, this.closedRows + this.open);
  }

  /** @param time - nanoseconds; not before that of the row before, but within 4 s of it. */
  add(time: number, a: number, b = 0, c = 0, d = 0, e = 0, f = 0): void {
    const offset = time - this.base;
    if (this.open === ROWS || offset > SPAN_MAX || offset < 0) this.close();
    if (this.open === 0) this.base = time;
    const { columns } = this;
    const i = this.open++;
    this.added++;
    this.offsets[i] = time - this.base;
    columns[0][i] = a;
    if (columns.length > 1) columns[1][i] = b;
    if (columns.length > 2) columns[2][i] = c;
    if (columns.length > 3) columns[3][i] = d;
    if (columns.length > 4) columns[4][i] = e;
    if (columns.length > 5) columns[5][i] = f;
  }

  private close(): void {
    const { open } = this;
    if (open === 0) return;
    this.starts.push(this.added - open);
    this.blocks.push(packed(this.base, open, this.offsets, this.columns));
    this.closedRows += open;
    this.open = 0;
    for (;;) {
      const first = this.blocks[this.firstBlock];
      if (first === null || first === undefined) return;
      if (this.closedRows - first.rows < this.most) return;
      this.closedRows -= first.rows;
      this.blocks[this.firstBlock++] = null;
    }
  }

  /** Sets bits of a number in a row that is still there; not in a column of 32 bits. */
  protected setBits(row: number, column: number, bits: number): void {
    const open = row - (this.added - this.open);
    if (open >= 0) {
      this.columns[column][open] |= bits;
      return;
    }
    let [low, high] = [this.firstBlock, this.starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts[middle] <= row) low = middle;
      else high = middle - 1;
    }
    const block = this.blocks[low];
    if (block === null || block === undefined || row < this.starts[low]) return;
    block.columns[column][row - this.starts[low]] |= bits;
  }

  /** A cursor before the first row that is kept; rows of `most` that are too old may come first. */
  cursor(): RowCursor {
    this.close();
    return new RowCursor(this.blocks.filter((block) => block !== null));
  }

  /**
   * Calls `see` for each row that is kept, with the place of its numbers.
   *
   * @param release - lets go of each block that has been seen; to be done once, and last.
   */
  forEach(see: (time: number, block: Block, i: number) => void, release = false): void {
    this.close();
    let skip = Math.max(0, this.closedRows - this.most);
    let released = 0;
    for (let b = this.firstBlock; b < this.blocks.length; b++) {
      const block = this.blocks[b];
      if (block === null) continue;
      for (let i = skip; i < block.rows; i++) {
        see(block.time + block.offsets[i], block, i);
      }
      skip = 0;
      if (!release) continue;
      this.blocks[b] = null;
      released += block.columns[0].buffer.byteLength;
      if (released < COLLECTED) continue;
      collect();
      released = 0;
    }
  }
}

/** Reads rows one after the other, beside other columns. */
export class RowCursor {
  /** Nanoseconds from the first event of the recording. */
  time = 0;
  /** The place of the row in its block. */
  private i = -1;
  private block: Block | null = null;
  private readonly blocks: Iterator<Block>;

  constructor(blocks: Iterable<Block>) {
    this.blocks = blocks[Symbol.iterator]();
  }

  /** The number of the row in a column. */
  number(column: number): number {
    return this.block === null ? 0 : numberAt(this.block, column, this.i);
  }

  /** Goes to the next row. Returns false behind the last one. */
  next(): boolean {
    while (this.block === null || ++this.i >= this.block.rows) {
      const { value, done } = this.blocks.next();
      if (done === true) return false;
      this.block = value as Block;
      this.i = -1;
    }
    this.time = this.block.time + this.block.offsets[this.i];
    return true;
  }
}

/** Bit of the CPU: events of this CPU were lost between this switch and its next event. */
const GAP_FOLLOWS = 0x8000;
const CPU_MASK = 0x7fff;

/** The greatest number of a CPU; the kernel's own limit. */
export const CPU_MAX = 8191;

/** One sched_switch; the object is filled anew for each row. */
export interface SwitchRow {
  /** Nanoseconds from the first event of the recording. */
  time: number;
  line: number;
  cpu: number;
  prevPid: number;
  nextPid: number;
  gapFollows: boolean;
}

/** The sched_switch events of a recording, in order. */
export class SwitchRows extends TimedRows {
  /** Per CPU the number of its latest row. */
  private readonly latest: Map<number, number> = new Map();
  private readonly pids: readonly number[];

  /** @param pids - the pid of each thread by its number: rows have numbers, which are smaller. */
  constructor(pids: readonly number[], most: number = Infinity) {
    super([32, 16, 32, 32], most);
    this.pids = pids;
  }

  override add(time: number, line: number, cpu: number, prev: number, next: number): void {
    super.add(time, line, cpu, prev, next);
    this.latest.set(cpu, this.added - 1);
  }

  /** Events were lost before this point of the text; a CPU of -1 means any. */
  noteLoss(cpu: number): void {
    for (const [one, row] of this.latest) {
      if (cpu === one || cpu === -1) this.setBits(row, 1, GAP_FOLLOWS);
    }
  }

  /** As forEach(), with a row in place of columns. */
  forEachRow(see: (row: SwitchRow) => void, release = false): void {
    const row = { time: 0, line: 0, cpu: 0, prevPid: 0, nextPid: 0, gapFollows: false };
    const { pids } = this;
    this.forEach((time, block, i) => {
      const cpu = block.columns[1][i];
      row.time = time;
      row.line = numberAt(block, 0, i);
      row.cpu = cpu & CPU_MASK;
      row.gapFollows = cpu >= GAP_FOLLOWS;
      row.prevPid = pids[numberAt(block, 2, i)];
      row.nextPid = pids[numberAt(block, 3, i)];
      see(row);
    }, release);
  }
}

/** A column of `length` 64-bit numbers that worker threads see without a copy. */
export function sharedFloats(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * 8));
}

export function sharedWords(length: number): Uint32Array {
  return new Uint32Array(new SharedArrayBuffer(length * 4));
}

/** A column of numbers from -1 to `most`. */
export function sharedIndices(length: number, most: number): Int8Array | Int16Array {
  if (most < 128) return new Int8Array(new SharedArrayBuffer(length));
  return new Int16Array(new SharedArrayBuffer(length * 2));
}

export function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}

/**
 * From version 19 on, clang and wasm-ld give a module of 64-bit addresses a table of functions with
 * 64-bit indices. Binaryen of Debian 12 can't read one. The table is made one of 32-bit indices, as
 * older versions make it: there are never so many functions.
 * Source: WebAssembly Core Specification, "Binary Format".
 */

const HEADER_BYTES = 8;
const SECTION = { table: 4, element: 9, code: 10 } as const;
/** A flag of the limits of a table. */
const IS_64 = 4;
const OP = { callIndirect: 0x11, i32Const: 0x41, i64Const: 0x42, wrap: 0xa7 } as const;

/** Opcodes that have this many LEB128 numbers behind them: first, last, how many. */
const NUMBERS: readonly (readonly [from: number, to: number, count: number])[] = [
  [0x02, 0x04, 1], // block, loop, if
  [0x0c, 0x0d, 1], // br, br_if
  [0x10, 0x10, 1], // call
  [0x11, 0x11, 2], // call_indirect
  [0x20, 0x24, 1], // local and global variables
  [0x28, 0x3e, 2], // loads and stores
  [0x3f, 0x42, 1], // memory.size, memory.grow, i32.const, i64.const
];
const BR_TABLE = 0x0e;
const F32_CONST = 0x43;
const F64_CONST = 0x44;
/** The last opcode of the first edition and of its sign extensions. */
const LAST = 0xc4;

/** Reads bytes of a module, and writes what becomes of them. */
class Rewriter {
  readonly out: number[] = [];
  at: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  take(): number {
    return this.bytes[this.at++];
  }

  copy(count: number): void {
    for (let i = 0; i < count; i++) this.out.push(this.take());
  }

  /** A LEB128 number, which is not copied. */
  number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.take();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  /** Copies a LEB128 number, in the length that it has. */
  copyNumber(): number {
    const from = this.at;
    const value = this.number();
    this.at = from;
    while (this.bytes[this.at] >= 0x80) this.copy(1);
    this.copy(1);
    return value;
  }

  write(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.out.push((rest & 0x7f) | 0x80);
    this.out.push(rest);
  }

  /** Copies a part that begins with its size. */
  sized(rewrite: (part: Rewriter, end: number) => void): void {
    const size = this.number();
    const part = new Rewriter(this.bytes, this.at);
    this.at += size;
    rewrite(part, this.at);
    this.write(part.out.length);
    for (const byte of part.out) this.out.push(byte);
  }
}

/** The module with a narrow table; the module itself, if its table is narrow. */
export function withNarrowTable(bytes: Uint8Array): Uint8Array {
  const module = new Rewriter(bytes);
  let wide = false;
  module.copy(HEADER_BYTES);
  while (module.at < bytes.length) {
    const section = module.take();
    module.out.push(section);
    module.sized((part, end) => {
      if (section === SECTION.table) wide = tables(part);
      if (section === SECTION.element && wide) elements(part);
      if (section === SECTION.code && wide) functions(part);
      part.copy(end - part.at);
    });
  }
  return wide ? Uint8Array.from(module.out) : bytes;
}

/** Whether the table, of which there is one, was wide. */
function tables(part: Rewriter): boolean {
  part.copyNumber();
  part.copy(1);
  const flags = part.take();
  part.out.push(flags & ~IS_64);
  return (flags & IS_64) !== 0;
}

/** Where in the table its elements lie. */
function elements(part: Rewriter): void {
  const segments = part.copyNumber();
  for (let i = 0; i < segments; i++) {
    if (part.copyNumber() !== 0 || part.take() !== OP.i64Const) {
      throw new Error('a table of functions has a form that wasm-ld does not give it');
    }
    part.out.push(OP.i32Const);
    part.copyNumber();
    part.copy(1);
    const count = part.copyNumber();
    for (let j = 0; j < count; j++) part.copyNumber();
  }
}

function functions(part: Rewriter): void {
  const count = part.copyNumber();
  for (let i = 0; i < count; i++) part.sized(body);
}

function body(part: Rewriter, end: number): void {
  const kinds = part.copyNumber();
  for (let i = 0; i < kinds; i++) {
    part.copyNumber();
    part.copy(1);
  }
  while (part.at < end) instruction(part);
}

function instruction(part: Rewriter): void {
  const op = part.take();
  if (op === OP.callIndirect) part.out.push(OP.wrap);
  part.out.push(op);
  if (op > LAST) throw new Error(`an instruction 0x${op.toString(16)} was not asked for`);
  if (op === F32_CONST || op === F64_CONST) part.copy(op === F32_CONST ? 4 : 8);
  const labels = op === BR_TABLE ? part.copyNumber() + 1 : 0;
  const numbers = NUMBERS.find(([from, to]) => op >= from && op <= to)?.[2] ?? 0;
  for (let i = 0; i < labels + numbers; i++) part.copyNumber();
}

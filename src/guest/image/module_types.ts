/**
 * The types of a module's functions, which WebAssembly's interface for JavaScript does not tell: an
 * i64 crosses as a BigInt and anything else as a number, so who calls has to know.
 * Source: WebAssembly Core Specification, "Binary Format", "Modules".
 */

export interface FunctionType {
  /** Which parameters are i64. */
  readonly wide: readonly boolean[];
  /** Whether the result is i64; false if there is none. */
  readonly wideResult: boolean;
}

export interface ModuleTypes {
  /** By name, whatever the module that they are imported from. */
  readonly imports: ReadonlyMap<string, FunctionType>;
  readonly exports: ReadonlyMap<string, FunctionType>;
}

const HEADER_BYTES = 8;
const SECTION = { type: 1, import: 2, function: 3, export: 7 } as const;
const KIND = { func: 0, table: 1, memory: 2, global: 3 } as const;
const I64 = 0x7e;

class Reader {
  at: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  get ended(): boolean {
    return this.at >= this.bytes.length;
  }

  byte(): number {
    return this.bytes[this.at++];
  }

  /** LEB128. */
  number(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  name(): string {
    const length = this.number();
    this.at += length;
    return new TextDecoder().decode(this.bytes.subarray(this.at - length, this.at));
  }

  list<T>(item: () => T): T[] {
    return Array.from({ length: this.number() }, item);
  }

  limits(): void {
    const hasMost = (this.byte() & 1) !== 0;
    this.number();
    if (hasMost) this.number();
  }
}

/** Reads the types of what a module imports and exports. */
export function moduleTypes(bytes: Uint8Array): ModuleTypes {
  const reader = new Reader(bytes, HEADER_BYTES);
  const types: FunctionType[] = [];
  const functions: FunctionType[] = [];
  const imports = new Map<string, FunctionType>();
  const exports = new Map<string, FunctionType>();
  while (!reader.ended) {
    const section = reader.byte();
    const end = reader.number() + reader.at;
    if (section === SECTION.type) types.push(...reader.list(() => functionType(reader)));
    if (section === SECTION.import) {
      reader.list(() => {
        reader.name();
        const name = reader.name();
        const type = importedType(reader, types);
        if (type === null) return;
        imports.set(name, type);
        functions.push(type);
      });
    }
    if (section === SECTION.function) functions.push(...reader.list(() => types[reader.number()]));
    if (section === SECTION.export) {
      reader.list(() => {
        const name = reader.name();
        const kind = reader.byte();
        const index = reader.number();
        if (kind === KIND.func) exports.set(name, functions[index]);
      });
    }
    reader.at = end;
  }
  return { imports, exports };
}

function functionType(reader: Reader): FunctionType {
  reader.byte();
  const wide = reader.list(() => reader.byte() === I64);
  const wideResult = reader.list(() => reader.byte() === I64).includes(true);
  return { wide, wideResult };
}

/** The type of an imported function; null for what is none. */
function importedType(reader: Reader, types: readonly FunctionType[]): FunctionType | null {
  switch (reader.byte()) {
    case KIND.func:
      return types[reader.number()];
    case KIND.table:
      reader.byte();
      reader.limits();
      return null;
    case KIND.memory:
      reader.limits();
      return null;
    default:
      reader.at += 2;
      return null;
  }
}

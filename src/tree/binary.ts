/** A compiled lbr.c. It carries a note of its origin, and of where its functions are. */
import type { Definitions } from '../guest/perf/lbr_driver.js';
import { STATICS_END } from './driver.js';
import type {
  WasmExports,
  WasmGlobal,
  WasmMemory,
  WasmModule,
} from '../guest/image/webassembly.js';
import { WebAssembly } from '../guest/image/webassembly.js';

/** Origin of a C file. */
export interface KernelInfo {
  /** Version in the kernel's Makefile, such as `6.1.192`; `unknown` for a file without a tree. */
  readonly version: string;
  /** Hash of lbr.c or of the files of an image, in hexadecimal. */
  readonly sha256: string;
  /** Set for an image. */
  readonly whole?: true;
}

export interface KernelBinary {
  readonly bytes: Uint8Array;
  readonly module: WasmModule;
  readonly info: KernelInfo;
  readonly definitions: Definitions;
  /** Byte address of the static data, and its size in words. */
  readonly staticsFrom: number;
  readonly staticWords: number;
}

/** The bytes are no compiled lbr.c. */
export class KernelBinaryError extends Error {
  override readonly name: string = 'KernelBinaryError';
}

/** Custom sections that hold a KernelInfo as JSON: of a compiled lbr.c, and of an image. */
const SECTION = 'vlbr.kernel';
export const IMAGE_SECTION = 'vlbr.image';
/** That of either which holds its definitions, as JSON: a name with its place after the other. */
const DEFINITIONS_SECTION = 'vlbr.definitions';

/** A number in the form in which WebAssembly writes sizes: LEB128. */
function leb128(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const more = rest > 127 ? 128 : 0;
    bytes.push((rest & 127) | more);
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

/** A module with a note of its origin, under a name. */
export function withInfo(
  wasm: Uint8Array,
  info: KernelInfo,
  section: string = SECTION,
): Uint8Array {
  return withNote(wasm, section, info);
}

/** A module with a note of where its functions are defined. */
export function withDefinitions(wasm: Uint8Array, definitions: Definitions): Uint8Array {
  return withNote(wasm, DEFINITIONS_SECTION, [...definitions]);
}

/** Adds a custom section, which engines pass over. */
function withNote(wasm: Uint8Array, section: string, note: unknown): Uint8Array {
  const name = Buffer.from(section);
  const content = Buffer.from(JSON.stringify(note));
  const body = Buffer.concat([Uint8Array.from(leb128(name.length)), name, content]);
  return Buffer.concat([wasm, Uint8Array.from([0, ...leb128(body.length)]), body]);
}

function none(): number {
  return 0;
}

/** An instance without a machine: reads of MSRs give 0, writes do nothing. */
export function inertInstance(module: WasmModule, memory: WasmMemory): WasmExports {
  const vlbr = { rdmsr: none, rdmsr_edx: none, wrmsr: none };
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory },
    vlbr: { ...vlbr, perf_sched_cb_inc: none, perf_sched_cb_dec: none },
  });
  return exports;
}

/** @throws KernelBinaryError if `vlbr kernel build` did not make this module. */
export function kernelBinary(bytes: Uint8Array): KernelBinary {
  const module = compiled(bytes);
  const info = infoOf(module);
  if (info === null) {
    throw new KernelBinaryError('this WebAssembly module was not made by vlbr kernel build');
  }
  const exports = inertInstance(module, new WebAssembly.Memory({ initial: 2 }));
  const [from, end] = ['__global_base', '__data_end'].map(
    (name) => (exports[name] as WasmGlobal).value,
  );
  if (end > STATICS_END) {
    throw new KernelBinaryError(`its static data takes ${end - from} bytes; there is room for 60k`);
  }
  const definitions = definitionsOf(module);
  const staticWords = Math.ceil((end - from) / 4);
  return { bytes, module, info, definitions, staticsFrom: from, staticWords };
}

/** The note of a module's origin under a name, or null. */
export function infoOf(module: WasmModule, name: string = SECTION): KernelInfo | null {
  return noteOf(module, name) as KernelInfo | null;
}

/** Where the functions of a module are defined; nothing for one that does not say. */
export function definitionsOf(module: WasmModule): Definitions {
  const note = noteOf(module, DEFINITIONS_SECTION) as readonly [string, string][] | null;
  return new Map(note ?? []);
}

function noteOf(module: WasmModule, name: string): unknown {
  const [section] = WebAssembly.Module.customSections(module, name);
  return section === undefined ? null : JSON.parse(Buffer.from(section).toString());
}

/** @throws KernelBinaryError if the bytes are no WebAssembly. */
export function compiled(bytes: Uint8Array): WasmModule {
  try {
    return new WebAssembly.Module(bytes);
  } catch {
    throw new KernelBinaryError('this is no WebAssembly module');
  }
}

/** A compiled lbr.c, which carries a note of its origin. */
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
  const name = Buffer.from(section);
  const body = Buffer.concat([Uint8Array.from(leb128(name.length)), name, json(info)]);
  return Buffer.concat([wasm, Uint8Array.from([0, ...leb128(body.length)]), body]);
}

function json(info: KernelInfo): Uint8Array {
  return Buffer.from(JSON.stringify(info));
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
  return { bytes, module, info, staticsFrom: from, staticWords: Math.ceil((end - from) / 4) };
}

/** The note of a module under a name, or null. */
export function infoOf(module: WasmModule, name: string = SECTION): KernelInfo | null {
  const [section] = WebAssembly.Module.customSections(module, name);
  return section === undefined ? null : (JSON.parse(Buffer.from(section).toString()) as KernelInfo);
}

/** @throws KernelBinaryError if the bytes are no WebAssembly. */
export function compiled(bytes: Uint8Array): WasmModule {
  try {
    return new WebAssembly.Module(bytes);
  } catch {
    throw new KernelBinaryError('this is no WebAssembly module');
  }
}

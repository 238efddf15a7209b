/**
 * The parts of WebAssembly that are used here. Node has it, but its types come with those of the
 * DOM, which neither this code nor a program that uses the library should need.
 */

export interface WasmModule {
  readonly [Symbol.toStringTag]?: string;
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

export interface WasmGlobal {
  value: number;
}

/** Exports of an instance, by name. */
export type WasmExports = Readonly<Record<string, unknown>>;

interface WasmInstance {
  readonly exports: WasmExports;
}

interface WebAssemblyApi {
  readonly Module: {
    /** @throws if the bytes are no module. */
    new (bytes: Uint8Array): WasmModule;
    customSections(module: WasmModule, name: string): ArrayBuffer[];
  };
  readonly Instance: new (
    module: WasmModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
  /** Sizes are in pages of 64 KiB. */
  readonly Memory: new (size: { readonly initial: number }) => WasmMemory;
}

export const WebAssembly: WebAssemblyApi = (
  globalThis as unknown as { readonly WebAssembly: WebAssemblyApi }
).WebAssembly;

/** The text at an address, up to its zero byte. */
export function textAt({ buffer }: WasmMemory, address: number): string {
  const bytes = new Uint8Array(buffer);
  return new TextDecoder().decode(bytes.subarray(address, bytes.indexOf(0, address)));
}

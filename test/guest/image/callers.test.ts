/** The functions of C that are under way: test/tell/because_tree.test.ts has them of a tree. */
import { describe, expect, it } from 'vitest';
import { callers } from '../../../src/guest/image/callers.js';
import { type WasmModule, WebAssembly } from '../../../src/guest/image/webassembly.js';

/** A section of a module: its number, and its content with the size of that. */
const section = (id: number, ...content: readonly number[]): number[] => [
  id,
  content.length,
  ...content,
];
const text = (name: string): number[] => [name.length, ...Buffer.from(name)];

const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

/** `outer()` calls `inner.1()`, which calls the import `env.hook`. */
const MODULE: WasmModule = new WebAssembly.Module(
  Uint8Array.from([
    ...HEADER,
    ...section(1, 1, 0x60, 0, 0),
    ...section(2, 1, ...text('env'), ...text('hook'), 0, 0),
    ...section(3, 2, 0, 0),
    ...section(7, 1, ...text('outer'), 0, 2),
    ...section(10, 2, 4, 0, 0x10, 0, 0x0b, 4, 0, 0x10, 1, 0x0b),
    ...section(0, ...text('name'), 1, 17, 2, 1, ...text('inner.1'), 2, ...text('outer')),
  ]),
);

function instance(hook: () => void): () => void {
  const { exports } = new WebAssembly.Instance(MODULE, { env: { hook } });
  return exports['outer'] as () => void;
}

describe('callers', () => {
  it('names the functions that have led to an import, the innermost first', () => {
    let found: string[] = [];
    instance(() => (found = callers()))();
    expect(found).toEqual(['inner', 'outer']);
  });

  it('ends where JavaScript has called, whoever waits behind it', () => {
    let found: string[] = [];
    const nested = instance(() => (found = callers()));
    instance(() => nested())();
    expect(found).toEqual(['inner', 'outer']);
  });

  it('finds nothing where no C runs, and leaves the limit of stacks as it was', () => {
    const { stackTraceLimit } = Error;
    expect(callers()).toEqual([]);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });
});

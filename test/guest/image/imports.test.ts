/** Answers to an image: in every spelling of a name, the size is where that tree has it. */
import { describe, expect, it } from 'vitest';
import { answers, type Asking } from '../../../src/guest/image/imports.js';

/** Keeps what is asked of the instance. */
class Rig implements Asking {
  readonly said: string[] = [];
  readonly ints = new Map<number, number>();

  private note(...words: readonly unknown[]): void {
    this.said.push(words.join(' '));
  }
  ask(name: string, argument: number): number {
    this.note(name, argument);
    return 64;
  }
  copy(to: number, from: number, bytes: number): void {
    this.note('copy', to, from, bytes);
  }
  readInt(address: number): number {
    return this.ints.get(address) ?? 0;
  }
  writeInt(address: number, value: number): void {
    this.ints.set(address, value);
  }
  text(address: number): string {
    return `text${address}`;
  }
  print(format: string, args: number): void {
    this.note('print', format, args);
  }
  warn(file: string, line: number): void {
    this.note('warn', file, line);
  }
  sampleBegin(event: number): void {
    this.note('begin', event);
  }
  samplePart(address: number, bytes: number): void {
    this.note('part', address, bytes);
  }
  sampleEnd(): void {
    this.note('end');
  }
  cpuHas(feature: number): boolean {
    return feature === 5;
  }
  cpuid(leaf: number): readonly number[] {
    return [leaf, 1, 2, 3];
  }
}

function asked(name: string, ...args: readonly number[]) {
  const rig = new Rig();
  const answer = answers(rig).get(name);
  if (answer === undefined) throw new Error(`no answer to ${name}`);
  return { rig, result: answer(...args) };
}

describe('answers', () => {
  it.each([
    ['__kmalloc', [96, 1]],
    ['__kmalloc_noprof', [96, 1]],
    ['__kmalloc_node', [96, 1, 0]],
    ['kmalloc_trace', [8, 1, 96]],
    ['__kmalloc_cache_noprof', [8, 1, 96]],
    ['kmalloc_node_trace', [8, 1, 0, 96]],
    ['__kmalloc_cache_node_noprof', [8, 1, 0, 96]],
  ] as const)('%s gives a block of the size that is asked for', (name, args) => {
    const { rig, result } = asked(name, ...args);
    expect(result).toBe(64);
    expect(rig.said).toEqual(['vlbr_alloc 96']);
  });

  it('a cache gives blocks of its size', () => {
    const rig = new Rig();
    const all = answers(rig);
    const cache = all.get('kmem_cache_create')?.(0, 320, 64) ?? 0;
    all.get('kmem_cache_alloc_noprof')?.(cache, 1);
    expect(rig.said).toEqual(['vlbr_alloc 4', 'vlbr_alloc 320']);
  });

  it('kfree gives a block back, and alloc_percpu takes one of each CPU', () => {
    expect(asked('kfree', 640).rig.said).toEqual(['vlbr_free 640']);
    expect(asked('__alloc_percpu', 24, 8).rig.said).toEqual(['vlbr_alloc_percpu 24']);
  });

  it('CPUID and features are the model’s', () => {
    expect([5, 6].map((feature) => asked('vlbr_cpu_has', feature).result)).toEqual([1, 0]);
    expect([...asked('vlbr_cpuid', 10, 0, 100).rig.ints]).toEqual([
      [100, 10],
      [104, 1],
      [108, 2],
      [112, 3],
    ]);
  });

  it('what the kernel says is handed on, and a panic ends it', () => {
    expect(asked('_printk', 7, 9).rig.said).toEqual(['print text7 9']);
    expect(asked('printk', 7, 9).rig.said).toEqual(['print text7 9']);
    expect(asked('warn_slowpath_fmt', 7, 1234, 9, 0).rig.said).toEqual(['warn text7 1234']);
    expect(() => asked('panic', 7)).toThrow('panic: text7');
    expect(asked('perf_output_begin', 1, 2, 40, 8).rig.said).toEqual(['begin 40']);
    expect(asked('perf_output_begin', 1, 40, 8).rig.said).toEqual(['begin 40']);
    expect(asked('perf_output_copy', 0, 80, 24).rig.said).toEqual(['part 80 24']);
    expect(asked('perf_output_end', 0).rig.said).toEqual(['end']);
  });

  it('user memory is copied', () => {
    const { rig, result } = asked('_copy_from_user', 8, 16, 4);
    expect([result, ...rig.said]).toEqual([0, 'copy 8 16 4']);
  });

  it('an answer without a meaning is 0 or 1', () => {
    expect(asked('down_read', 0).result).toBe(0);
    expect(asked('check_zeroed_user', 0).result).toBe(1);
  });
});

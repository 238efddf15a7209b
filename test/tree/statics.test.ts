/** Static data of C code: each kernel keeps its own, complete, and a write below it is noticed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Kernel, type KernelConfig, KernelLayout } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import { Layout } from '../../src/hw/memory.js';
import { buildKernel } from '../../src/tree/build.js';
import { kernelDriver } from '../../src/tree/driver.js';
import { kernelSource } from '../../src/tree/source.js';
import { clangOf, lbrC } from '../rig/stub_lbr.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-statics-'));
const { missing } = clangOf(folder);

beforeAll(() => vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache')));
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** Words of static data in the code below. */
const WORDS = 9;
const NUMBERS = Array.from({ length: WORDS }, (_, i) => i + 1);

/** Adds to each word, reads an MSR, then writes every word to an MSR. */
const COUNTING = lbrC(
  {
    intel_pmu_lbr_read: `u64 tos;
      int i;
      for (i = 0; i < ${WORDS}; i++) counts[i] += i + 1;
      rdmsrl(MSR_LBR_TOS, tos);
      for (i = 0; i < ${WORDS}; i++) wrmsrl(MSR_LBR_TOS, counts[i]);`,
  },
  `static int counts[${WORDS}];`,
);

/** Writes to word n - 1 of memory, where n is the value of an MSR. If n is 0, writes nothing. */
const WRITING = lbrC({
  intel_pmu_lbr_read: `u64 at;
    rdmsrl(MSR_LBR_TOS, at);
    if (at) ((volatile int *)0)[at - 1] = 1;`,
});

/** Kernels of one CPU in one memory, with the values that each has written to MSRs. */
class Kernels {
  readonly kernels: Kernel[];
  readonly written: number[][];
  /** The result of an MSR read. */
  onRead: (kernel: number) => number = () => 0;

  constructor(text: string, n: number) {
    const driver: DriverKind = kernelDriver(buildKernel(kernelSource(text)));
    const common = { model: CPU_MODELS[0], cpus: 1, tasks: 1, events: 1, pmu_version: 2, driver };
    const config: KernelConfig = { ...common, version: '6.1', pv: 'none' };
    const layout = new Layout();
    const layouts = Array.from({ length: n }, () => new KernelLayout(layout, config));
    const memory = driver.createMemory(layout);
    this.written = layouts.map(() => []);
    this.kernels = layouts.map((own, i) => {
      const rdmsr = (): number => this.onRead(i);
      const wrmsr = (_: number, eax: number): 0 => {
        this.written[i].push(eax);
        return 0;
      };
      const ports = [{ edx: 0, vector: 0 as const, rdmsr, wrmsr }];
      return new Kernel(memory, own, config, ports, { sample: () => {} });
    });
    for (const kernel of this.kernels) kernel.clear();
  }

  /** Calls the C code of a kernel. Returns the values that it writes to MSRs. */
  call(kernel: number): number[] {
    const { lbr, cpus } = this.kernels[kernel];
    lbr.intel_pmu_lbr_read(cpus[0]);
    return this.written[kernel].splice(0);
  }
}

/** Words below the static data: the linker's --global-base. */
const NULL_WORDS = 256;

const times = (n: number): number[] => NUMBERS.map((i) => n * i);

describe.skipIf(missing !== '')('the static data of C code', () => {
  it('static data keeps every word from one call to the next, for each kernel by itself', () => {
    const both = new Kernels(COUNTING, 2);
    expect([both.call(0), both.call(0), both.call(1), both.call(0)]).toEqual(
      [1, 2, 1, 3].map(times),
    );
    both.kernels[0].clear();
    expect([both.call(0), both.call(1)]).toEqual([1, 2].map(times));
  });

  it('static data keeps every word while another kernel runs inside an access', () => {
    const both = new Kernels(COUNTING, 2);
    let inner: number[] = [];
    both.onRead = (kernel) => {
      // Two calls make the numbers of the two kernels differ.
      if (kernel === 0) inner = [...both.call(1), ...both.call(1)].slice(WORDS);
      return 0;
    };
    for (const n of [1, 2, 3]) expect([both.call(0), inner]).toEqual([times(n), times(2 * n)]);
  });

  it('static data never changes by a call that an exception has unwound', () => {
    const both = new Kernels(COUNTING, 2);
    expect(both.call(0)).toEqual(times(1));
    const stop = new Error('stop');
    both.onRead = (kernel) => {
      if (kernel === 0) throw stop;
      return 0;
    };
    expect(() => both.call(0)).toThrow(stop);
    expect(both.call(1)).toEqual(times(1));
    both.onRead = () => 0;
    expect([both.call(0), both.call(1)]).toEqual([2, 2].map(times));
  });
});

describe.skipIf(missing !== '')('the null page of C code', () => {
  it('a write to any word of the null page ends the machine, and the page is clean again', () => {
    const one = new Kernels(WRITING, 1);
    const faults: number[] = [];
    for (let word = 1; word <= NULL_WORDS + 1; word++) {
      one.onRead = () => word;
      try {
        one.call(0);
      } catch (error) {
        expect(String(error)).toBe('KernelCrash: lbr.c writes through a null pointer');
        faults.push(word);
      }
      one.onRead = () => 0;
      expect(one.call(0)).toEqual([]);
    }
    expect(faults).toEqual(Array.from({ length: NULL_WORDS }, (_, i) => i + 1));
  });
});

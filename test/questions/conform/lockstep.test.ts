/** Lockstep compares every word of each access, and of the kernel's memory after a call. */
import { describe, expect, it } from 'vitest';
import { cpu_hw_events } from '../../../src/guest/perf/cpu_structs.js';
import type { Cpu, KernelLayout } from '../../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { MSR_IA32_PERF_CAPABILITIES } from '../../../src/hw/msr_index.js';
import { type Divergence, Lockstep } from '../../../src/questions/conform/lockstep.js';
import { TAME } from '../../../src/questions/conform/registers.js';
import type { Call } from '../../../src/questions/conform/sequence.js';
import { wordName } from '../../../src/questions/conform/words.js';
import { broken } from '../../rig/broken_port.js';

/** An MSR that a reset does not access. */
const MSR = MSR_IA32_PERF_CAPABILITIES;
const RESET: Call = { fn: 'intel_pmu_lbr_reset', args: [0] };

/** The port with an additional step after each reset. */
function resetting(more: (cpu: Cpu) => void): DriverKind {
  return broken((own) => ({
    intel_pmu_lbr_reset: (cpu) => {
      own.intel_pmu_lbr_reset(cpu);
      more(cpu);
    },
  }));
}

/** Two drivers with a further step in each reset. Returns a function that resets twice. */
function lockstep(
  port: (cpu: Cpu) => void,
  kernel: (cpu: Cpu) => void = () => {},
): () => Divergence | null {
  const both = new Lockstep({ port: resetting(port), kernel: resetting(kernel) });
  const calls = [RESET, RESET];
  return () => both.run({ cpu: 'skylake', pmuVersion: 4, registers: TAME, calls });
}

describe('lockstep', () => {
  it('lockstep never finds anything between two drivers that do the same', () => {
    expect(lockstep(() => {})()).toBeNull();
  });

  it('lockstep finds the word that differs, unless the word is of the C code alone', () => {
    let at = 0;
    const layouts: KernelLayout[] = [];
    const run = lockstep(({ kernel }) => {
      kernel.words[at] ^= 1 << 20;
      layouts.push(kernel.layout);
    });
    run();
    const [layout] = layouts;
    const { start, statics, percpu, percpuWords } = layout;
    const free: number[] = [];
    for (at = start; at < statics; at++) {
      const found = run();
      if (found === null) free.push(at);
      else
        expect([found.call, found.in, found.word?.name]).toEqual([0, 'word', wordName(layout, at)]);
    }
    // Lockstep leaves out the last seven words of each CPU's cpu_hw_events.
    const end = percpu + cpu_hw_events.WORDS;
    const alone = [end, end + percpuWords].flatMap((e) => [7, 6, 5, 4, 3, 2, 1].map((i) => e - i));
    expect(free).toEqual(alone);
  });

  it.each<readonly [what: string, other: (cpu: Cpu) => void]>([
    ['is not made', () => {}],
    ['is a read', (cpu) => void cpu.rdmsrl(MSR)],
    ['is to another MSR', (cpu) => void cpu.wrmsrl(MSR + 1, 5, 6)],
    ['has another low word', (cpu) => void cpu.wrmsrl(MSR, 4, 6)],
    ['has another high word', (cpu) => void cpu.wrmsrl(MSR, 5, 7)],
  ])('lockstep finds the access that differs where one side’s %s', (_, other) => {
    const write = (cpu: Cpu): void => void cpu.wrmsrl(MSR, 5, 6);
    // Only the last access differs between the two sides. A read returns the value written before.
    const after = (last: (cpu: Cpu) => void) => (cpu: Cpu) => {
      write(cpu);
      last(cpu);
    };
    expect(lockstep(after(write), after(write))()).toBeNull();
    for (const [port, kernel] of [
      [after(write), after(other)],
      [after(other), after(write)],
    ]) {
      const found = lockstep(port, kernel)();
      const { port: a = [], kernel: b = [] } = found?.accesses ?? {};
      const last = Math.max(a.length, b.length) - 1;
      expect(found).toMatchObject({ call: 0, in: 'access', word: null, access: last });
    }
  });
});

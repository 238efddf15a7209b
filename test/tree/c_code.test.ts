/**
 * C code in place of lbr.c: its view of CPUs and types, and its stack and static data after an
 * interruption.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { always } from '../../src/host/policy/always.js';
import { CPU_MODELS, withDepth } from '../../src/hw/cpu_models.js';
import type { MsrPort, Vector } from '../../src/hw/msr_port.js';
import { buildKernel } from '../../src/tree/build.js';
import { kernelDriver } from '../../src/tree/driver.js';
import { kernelSource } from '../../src/tree/source.js';
import type { Action } from '../../src/schedule/table.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { AccessLog } from '../../src/questions/review/access_log.js';
import { bootKernel } from '../rig/kernel.js';
import { clangOf, lbrC } from '../rig/stub_lbr.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-interrupted-'));
process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
afterAll(() => rmSync(folder, { recursive: true }));

const { missing } = clangOf(folder);
const model = CPU_MODELS[0];

function driverOf(
  bodies: Readonly<Record<string, string>>,
  before = 'static int calls;',
): DriverKind {
  return kernelDriver(buildKernel(kernelSource(lbrC(bodies, before))));
}

/** A kernel with two CPUs on one port, after its boot. */
const bootedKernel = (driver: DriverKind, port: MsrPort): Kernel =>
  bootKernel({ model, tasks: 2, events: 2, pmu_version: 2, driver }, port);

/** A port that records what is written. */
function notingPort(): MsrPort & { readonly written: [eax: number, edx: number][] } {
  const written: [number, number][] = [];
  const wrmsr = (_msr: number, eax: number, edx: number): Vector => {
    written.push([eax, edx]);
    return 0;
  };
  return { edx: 0, vector: 0, written, rdmsr: () => 0, wrmsr };
}

describe.skipIf(missing !== '')('C code', () => {
  it('C code always has a long of 64 bits', () => {
    const driver = driverOf({
      intel_pmu_lbr_read: 'unsigned long x = 1; x <<= 40; wrmsrl(MSR_LBR_TOS, x | BIT(33));',
    });
    const port = notingPort();
    const kernel = bootedKernel(driver, port);
    kernel.lbr.intel_pmu_lbr_read(kernel.cpus[0]);
    expect(port.written).toEqual([[0, 0x102]]);
  });

  it('C code always finds every CPU and its own, at boot and later', () => {
    const driver = driverOf(
      {
        intel_pmu_lbr_init_core: `int cpu;
          for_each_possible_cpu(cpu) {
            *per_cpu_ptr(&flags, cpu) += cpu + 5;
            per_cpu_ptr(&cpu_hw_events, cpu)->n_pebs = cpu + 7;
          }
          this_cpu_ptr(&cpu_hw_events)->n_large_pebs = 3;`,
        intel_pmu_lbr_read: `struct cpu_hw_events *cpuc = this_cpu_ptr(&cpu_hw_events);
          wrmsrl(MSR_LBR_TOS, *this_cpu_ptr(&flags) * 100 + cpuc->n_pebs * 10 +
                 cpuc->n_large_pebs);`,
      },
      'static DEFINE_PER_CPU(int, flags);',
    );
    const port = notingPort();
    const kernel = bootedKernel(driver, port);
    // A second boot must not see data of the first.
    kernel.clear();
    for (const cpu of kernel.cpus) kernel.lbr.intel_pmu_lbr_read(cpu);
    expect(port.written.map(([eax]) => eax)).toEqual([573, 680]);
  });

  it('C code says how many records there are, except for a depth that no CPU has', () => {
    const bodies = {
      intel_pmu_lbr_init_core: 'x86_pmu.lbr_nr = 3;',
      intel_pmu_lbr_read: 'wrmsrl(MSR_LBR_TOS, x86_pmu.lbr_nr);',
    };
    const port = notingPort();
    const kernel = bootedKernel(driverOf(bodies), port);
    kernel.lbr.intel_pmu_lbr_read(kernel.cpus[0]);
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const driver = driverOf(bodies);
    const shallow = { shape, model: withDepth(model, 2), kernel: '6.1', policy: always, driver };
    const log = new AccessLog(shallow as MachineConfig);
    log.machine.boot();
    const cpu = log.machine.host.kernel.cpus[0];
    cpu.port = port;
    log.machine.host.kernel.lbr.intel_pmu_lbr_read(cpu);
    expect(port.written.map(([eax]) => eax)).toEqual([3, 2]);
  });

  it('a write through a null pointer always ends in a crash, wherever it happens', () => {
    const write = '*(volatile int *)796 = 1;';
    const atBoot = driverOf({ intel_pmu_lbr_init_core: write });
    expect(() => bootedKernel(atBoot, notingPort())).toThrow(/null pointer/);
    const inSetup = driverOf({ intel_pmu_setup_lbr_filter: `${write} return 0;` });
    const kernel = bootedKernel(inSetup, notingPort());
    const [event] = kernel.events;
    expect(() => kernel.lbr.intel_pmu_setup_lbr_filter(kernel, event)).toThrow(/null pointer/);
  });

  it('interrupted C code always gives its stack back, and what it did to static data', () => {
    const driver = driverOf({
      intel_pmu_lbr_read: `volatile u8 frame[2000];
        u64 tos;
        frame[calls++ & 7] = 1;
        rdmsrl(MSR_LBR_TOS, tos);
        wrmsrl(MSR_LBR_TOS, calls);`,
    });
    const stop = new Error('stop');
    const written: number[] = [];
    let stopping = true;
    const port: MsrPort = {
      edx: 0,
      vector: 0,
      rdmsr: () => {
        if (stopping) throw stop;
        return 0;
      },
      wrmsr: (_, eax) => {
        written.push(eax);
        return 0;
      },
    };
    const kernel = bootedKernel(driver, port);
    // 200 frames of 2000 bytes are far larger than the stack.
    for (let i = 0; i < 200; i++) {
      expect(() => kernel.lbr.intel_pmu_lbr_read(kernel.cpus[i % 2])).toThrow(stop);
    }
    stopping = false;
    kernel.lbr.intel_pmu_lbr_read(kernel.cpus[0]);
    kernel.lbr.intel_pmu_lbr_read(kernel.cpus[1]);
    expect(written).toEqual([1, 2]);
  });

  it('interrupted C code ends with the static data of a run without interruption', () => {
    // A kernel function calls lbr.c twice and is interrupted in the second call.
    const driver = driverOf({
      intel_pmu_lbr_disable_all: 'calls++;',
      intel_pmu_lbr_enable_all: `u64 tos;
        rdmsrl(MSR_LBR_TOS, tos);
        wrmsrl(MSR_LBR_TOS, tos);`,
    });
    const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
    const log = new AccessLog({ shape, model, kernel: '6.1', policy: always, driver });
    const statics = (actions: readonly Action[]): Int32Array => {
      log.run(Schedule.of(actions));
      const { layout } = log.machine.guests[0];
      const { words } = log.machine.memory;
      return words.slice(layout.statics, layout.statics + driver.staticWords);
    };
    const open: Action = { kind: 'open', actor: 0, args: [0, 0, 9] };
    const close: Action = { kind: 'close', actor: 0, args: [0] };
    const whole = statics([open, close]);
    expect(whole).not.toEqual(statics([open]));
    let interrupted = 0;
    for (let after = 1; after < 12; after++) {
      const away: Action = { kind: 'run', actor: 0, args: [1, after] };
      const back: Action = { kind: 'run', actor: 0, args: [0, 0] };
      const resume: Action = { kind: 'resume', actor: 0, args: [] };
      expect(statics([open, away, close, back, resume])).toEqual(whole);
      log.run(Schedule.of([open, away, close]));
      if (log.machine.ports[0].suspended !== 0) interrupted++;
    }
    expect(interrupted).toBeGreaterThan(3);
  });
});

/** What is left when C code is interrupted: its stack and its static data. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Kernel, KernelLayout } from '../../src/guest/perf/kernel.js';
import type { KernelConfig } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { always } from '../../src/host/policy/always.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import { Layout } from '../../src/hw/memory.js';
import type { MsrPort } from '../../src/hw/msr_port.js';
import { buildKernel } from '../../src/kernel/build.js';
import { kernelDriver } from '../../src/kernel/driver.js';
import { kernelSource } from '../../src/kernel/source.js';
import type { Action } from '../../src/sim/actions.js';
import { Schedule } from '../../src/sim/schedule.js';
import { AccessLog } from '../../src/verify/access_log.js';
import { clangOf, lbrC } from './stub_lbr.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-interrupted-'));
process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
afterAll(() => rmSync(folder, { recursive: true }));

const { missing } = clangOf(folder);
const model = CPU_MODELS[0];

function driverOf(bodies: Readonly<Record<string, string>>): DriverKind {
  return kernelDriver(buildKernel(kernelSource(lbrC(bodies, 'static int calls;'))));
}

describe.skipIf(missing !== '')('C code that is interrupted', () => {
  it('always gives its stack back, and what it did to static data', () => {
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
    const common = { model, cpus: 2, tasks: 2, events: 2, pmu_version: 2, driver };
    const config: KernelConfig = { ...common, version: '6.1', pv: 'none' };
    const layout = new Layout();
    const kernelLayout = new KernelLayout(layout, config);
    const memory = driver.createMemory(layout);
    const output = { sample: (): void => {} };
    const kernel = new Kernel(memory, kernelLayout, config, [port, port], output);
    kernel.clear();
    // 200 frames of 2000 bytes are many times what there is of stack.
    for (let i = 0; i < 200; i++) {
      expect(() => kernel.lbr.intel_pmu_lbr_read(kernel.cpus[i % 2])).toThrow(stop);
    }
    stopping = false;
    kernel.lbr.intel_pmu_lbr_read(kernel.cpus[0]);
    kernel.lbr.intel_pmu_lbr_read(kernel.cpus[1]);
    expect(written).toEqual([1, 2]);
  });

  it('always ends with the static data of a run without interruption', () => {
    // A function of the kernel that calls lbr.c twice, and is interrupted in the second call.
    const driver = driverOf({
      intel_pmu_lbr_disable_all: 'calls++;',
      intel_pmu_lbr_enable_all: `u64 tos;
        rdmsrl(MSR_LBR_TOS, tos);
        wrmsrl(MSR_LBR_TOS, tos);`,
    });
    const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
    const log = new AccessLog({ ...shape, model, kernel: '6.1', policy: always, driver });
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

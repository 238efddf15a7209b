/**
 * Speed and memory of exploring the machine itself: haswell's call stack with 4 records, 2 VMs of 1
 * vCPU and 2 tasks on 1 pCPU, and every interruption of a guest function. The driver is the port,
 * then, where clang can build it, the C file of the installed kernel. VMs of the C file keep their
 * numbers, so there are more states, and the search is bounded.
 */
import { DEFAULT_GROUPS } from '../src/states/alphabet.js';
import { MachineModel } from '../src/states/machine_model.js';
import { Search } from '../src/search/search.js';
import type { DriverKind } from '../src/guest/perf/lbr_driver.js';
import { PORT } from '../src/guest/perf/lbr_port.js';
import { findPolicy } from '../src/host/policy/index.js';
import { findCpuModel, withDepth } from '../src/hw/cpu_models.js';
import { buildKernel } from '../src/tree/build.js';
import { kernelDriver } from '../src/tree/driver.js';
import { KernelError } from '../src/tree/errors.js';
import { installedKernel, readKernelSource } from '../src/tree/source.js';

const DEPTH = 4;

function measure(name: string, policyName: string, driver: DriverKind, maxLength: number): void {
  const silicon = findCpuModel('haswell');
  const policy = findPolicy(policyName);
  if (silicon === undefined || policy === undefined) {
    throw new Error('the benchmark names what exists');
  }
  const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  const config = { shape, model: withDepth(silicon, DEPTH), kernel: '6.1', policy } as const;
  const bounds = { groups: DEFAULT_GROUPS, events: 1, calls: DEPTH, suspended: 1 };
  const began = performance.now();
  const model = new MachineModel({ ...config, driver }, bounds);
  const search = new Search(model, {
    symmetry: true,
    maxLength,
    extraBytes: () => model.bytes,
  });
  const { end, states, bytes } = search.run();
  const seconds = (performance.now() - began) / 1000;
  const cells = [
    `${policyName} ${name}`.padEnd(20),
    end.padEnd(10),
    `${states} states`.padStart(16),
    `${seconds.toFixed(1)} s`.padStart(8),
    `${Math.round(states / seconds / 1000)}k states/s`.padStart(14),
    `${(bytes / states).toFixed(0)} bytes/state`.padStart(16),
  ];
  console.log(cells.join(''));
}

for (const policy of ['pv-sound', 'lazy-sound', 'parked']) measure('port', policy, PORT, Infinity);
try {
  const driver = kernelDriver(buildKernel(readKernelSource(installedKernel())));
  for (const [name, kind] of [
    ['port', PORT],
    ['kernel', driver],
  ] as const) {
    measure(name, 'pv-sound', kind, 16);
  }
} catch (error) {
  if (!(error instanceof KernelError)) throw error;
  console.log(`kernel driver: not measured: ${error.message}`);
}

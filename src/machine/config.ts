import type { KernelVersion } from '../guest/perf/kernel.js';
import type { DriverKind } from '../guest/perf/lbr_driver.js';
import { branchCycles } from '../hw/branch.js';
import { type CpuModel, LBR_FORMAT_TIME } from '../hw/cpu_models.js';
import type { LbrPolicy } from '../host/policy/policy.js';

/** How many of what a machine has. */
export interface Shape {
  /** VMs, in [1, 6]. */
  readonly vms: number;
  /** vCPUs of each VM, in [1, 8]. */
  readonly vcpus: number;
  /** Tasks of each VM at boot, in [vcpus, 16]; up to as many again can be forked. */
  readonly tasks: number;
  /** pCPUs, in [1, 8]. */
  readonly pcpus: number;
}

/** What a machine is made of; everything else about it is in its block of memory. */
export interface MachineConfig {
  readonly model: CpuModel;
  readonly kernel: KernelVersion;
  readonly policy: LbrPolicy;
  /** What every kernel runs in place of lbr.c; by default the port. */
  readonly driver?: DriverKind;
  /**
   * Branches are all predicted, and take the same time where TO holds that, so that nothing in a
   * record but its names depends on how many branches there were before.
   */
  readonly plainBranches?: boolean;
  readonly shape: Shape;
}

/** Event slots of a guest's kernel, inherited events included. */
export const GUEST_EVENTS = 6;

/** Largest number of tasks that a guest can come to have. */
export function taskSlots({ shape: { tasks, vcpus } }: MachineConfig): number {
  return Math.min(2 * tasks, 31 - vcpus);
}

/** Whether a branch counts as mispredicted. Any rule works that both machines follow. */
export function mispredicted(config: MachineConfig, seq: number): boolean {
  return config.plainBranches !== true && seq % 3 === 0;
}

const PLAIN_CYCLES = 1;

/** Cycle count of a branch, where the model records one. */
export function cyclesOf(config: MachineConfig, vm: number, seq: number): number {
  const plain = config.plainBranches === true && config.model.lbr_format === LBR_FORMAT_TIME;
  return plain ? PLAIN_CYCLES : branchCycles(vm, seq);
}

/** vCPUs over all VMs. */
export function totalVcpus({ shape: { vms, vcpus } }: MachineConfig): number {
  return vms * vcpus;
}

/** What is wrong with a shape, or null. */
export function shapeProblem({ vms, vcpus, tasks, pcpus }: Shape): string | null {
  if (vms < 1 || vms > 6) return `--vms must be between 1 and 6, not ${vms}`;
  if (vcpus < 1 || vcpus > 8) return `--vcpus must be between 1 and 8, not ${vcpus}`;
  if (tasks < vcpus || tasks > 16) {
    return `--tasks must be between the vCPUs of a VM (${vcpus}) and 16, not ${tasks}`;
  }
  if (pcpus < 1 || pcpus > 8) return `--pcpus must be between 1 and 8, not ${pcpus}`;
  return null;
}

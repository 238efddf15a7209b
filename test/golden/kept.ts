/** Schedules that are kept in files of this folder, and the machines that run them. */
import type { KernelVersion } from '../../src/guest/perf/kernel.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import type { PropertyName } from '../../src/judge/properties.js';
import type { MachineConfig, Shape } from '../../src/machine/config.js';
import { machineConfig } from '../rig/machine.js';

export interface Kept extends Shape {
  /** Name of the policy. */
  readonly policy: string;
  /** The last action breaks this property, unless the file says that the property holds. */
  readonly property: PropertyName;
  readonly cpu: string;
  readonly kernel: KernelVersion;
  readonly actions: readonly string[];
}

/** The machine of a kept schedule, under its policy or another one. */
export function keptConfig(kept: Kept, policy: LbrPolicy): MachineConfig {
  const { cpu, kernel, vms, vcpus, tasks, pcpus } = kept;
  return machineConfig({ cpu, kernel, shape: { vms, vcpus, tasks, pcpus }, policy });
}

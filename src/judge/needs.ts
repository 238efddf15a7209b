/** Kernels and CPUs that a policy can't be had on. */
import { KERNEL_FEATURES, KERNEL_VERSIONS, type KernelVersion } from '../guest/perf/kernel.js';
import type { CpuModel } from '../hw/cpu_models.js';
import type { LbrPolicy } from '../host/policy/policy.js';

/** Why there is no such policy on a kernel, and what to do; null if there is. */
export function missingInKernel({ name, needs }: LbrPolicy, kernel: KernelVersion): string | null {
  if (needs === undefined || KERNEL_FEATURES[kernel][needs.feature]) return null;
  const having = KERNEL_VERSIONS.filter((version) => KERNEL_FEATURES[version][needs.feature]);
  return `policy ${name} needs a kernel with ${needs.what}: ${having.join(' or ')}`;
}

/** Why a policy can't run on a tree's own C, which is like this version; null if it can. */
export function missingInTree(policy: LbrPolicy, version: KernelVersion): string | null {
  if (policy.withoutGuestLbr !== true) return missingInKernel(policy, version);
  return `policy ${policy.name} is of the port alone: a tree's C finds LBR in its guest's CPU`;
}

/** Why there is no such policy on a CPU; null if there is. */
export function missingOnCpu({ needs }: LbrPolicy, { name, pmu_version }: CpuModel): string | null {
  if (needs === undefined || pmu_version >= needs.pmuVersion) return null;
  return `${needs.what} needs PMU version ${needs.pmuVersion}, and ${name} has ${pmu_version}`;
}

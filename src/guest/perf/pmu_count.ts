/** Models perf_pmu_disable() and perf_pmu_enable() of kernel/events/core.c, Linux 6.1. */
import type { Cpu } from './kernel.js';
import { x86_pmu_disable, x86_pmu_enable } from './x86_core.js';

/** Kernel: core.c:perf_pmu_disable(). Calls nest; the first one stops the PMU. */
export function perf_pmu_disable(cpu: Cpu): void {
  if (cpu.cpuctx.pmu_disable_count++ === 0) x86_pmu_disable(cpu);
}

/** Kernel: core.c:perf_pmu_enable(). The last one starts the PMU. */
export function perf_pmu_enable(cpu: Cpu): void {
  if (--cpu.cpuctx.pmu_disable_count === 0) x86_pmu_enable(cpu);
}

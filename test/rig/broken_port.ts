/** Drivers that are broken on purpose: the port with some functions replaced. */
import type { DriverKind, LbrDriver } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { MSR_LBR_TOS } from '../../src/hw/msr_index.js';

/** @param change - the functions to replace, made from the port's own. */
export function broken(change: (port: LbrDriver) => Partial<LbrDriver>): DriverKind {
  return {
    ...PORT,
    create: (kernel, memory) => {
      const port = PORT.create(kernel, memory);
      return { ...port, ...change(port) };
    },
  };
}

/** Clears the records instead of restoring them. */
export const NO_RESTORE: DriverKind = broken((port) => ({
  intel_pmu_lbr_sched_task: (cpu, ctx, sched_in) => {
    if (sched_in) port.intel_pmu_lbr_reset(cpu);
    else port.intel_pmu_lbr_sched_task(cpu, ctx, sched_in);
  },
}));

/** Reads TOS once too often, which shows in the accesses only. */
export const ONE_MORE_READ: DriverKind = broken((port) => ({
  intel_pmu_lbr_sched_task: (cpu, ctx, sched_in) => {
    if (cpu.cpuc.lbr_users > 0) cpu.rdmsrl(MSR_LBR_TOS);
    port.intel_pmu_lbr_sched_task(cpu, ctx, sched_in);
  },
}));

export const NO_EVENTS: DriverKind = broken(() => ({ intel_pmu_setup_lbr_filter: () => -95 }));

/** Crashes in the first read of the LBR. */
export const CRASHING: DriverKind = broken(() => ({
  intel_pmu_lbr_read: () => {
    throw new RangeError('unreachable');
  },
}));

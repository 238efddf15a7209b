/** Drivers that are wrong on purpose: the port with some of its functions replaced. */
import type { DriverKind, LbrDriver } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { MSR_LBR_TOS } from '../../src/hw/msr_index.js';

/** @param change - the functions to replace, given the port's own. */
export function broken(change: (port: LbrDriver) => Partial<LbrDriver>): DriverKind {
  return {
    ...PORT,
    create: (kernel, memory) => {
      const port = PORT.create(kernel, memory);
      return { ...port, ...change(port) };
    },
  };
}

/** Wipes the records where it should bring them back. */
export const NO_RESTORE: DriverKind = broken((port) => ({
  intel_pmu_lbr_sched_task: (cpu, ctx, sched_in) => {
    if (sched_in) port.intel_pmu_lbr_reset(cpu);
    else port.intel_pmu_lbr_sched_task(cpu, ctx, sched_in);
  },
}));

/** Reads TOS once more, which nobody can tell but by looking at the accesses. */
export const ONE_MORE_READ: DriverKind = broken((port) => ({
  intel_pmu_lbr_sched_task: (cpu, ctx, sched_in) => {
    if (cpu.cpuc.lbr_users > 0) cpu.rdmsrl(MSR_LBR_TOS);
    port.intel_pmu_lbr_sched_task(cpu, ctx, sched_in);
  },
}));

/** Refuses every event. */
export const NO_EVENTS: DriverKind = broken(() => ({ intel_pmu_setup_lbr_filter: () => -95 }));

/** Stops dead in the first read of the LBR. */
export const CRASHING: DriverKind = broken(() => ({
  intel_pmu_lbr_read: () => {
    throw new RangeError('unreachable');
  },
}));

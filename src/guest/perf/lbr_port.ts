/** The port of lbr.c as a driver. */
import { Memory } from '../../hw/memory.js';
import * as lbr from './intel_lbr.js';
import { intel_pmu_setup_lbr_filter } from './intel_lbr_filter.js';
import type { DriverKind, LbrDriver } from './lbr_driver.js';

const FUNCTIONS: LbrDriver = {
  boot: () => {},
  intel_pmu_lbr_add: lbr.intel_pmu_lbr_add,
  intel_pmu_lbr_del: lbr.intel_pmu_lbr_del,
  intel_pmu_lbr_enable_all: lbr.intel_pmu_lbr_enable_all,
  intel_pmu_lbr_disable_all: lbr.intel_pmu_lbr_disable_all,
  intel_pmu_lbr_read: lbr.intel_pmu_lbr_read,
  intel_pmu_lbr_reset: lbr.intel_pmu_lbr_reset,
  intel_pmu_lbr_sched_task: lbr.intel_pmu_lbr_sched_task,
  intel_pmu_lbr_swap_task_ctx: lbr.intel_pmu_lbr_swap_task_ctx,
  intel_pmu_setup_lbr_filter,
};

/** The port has no static data: x86_pmu never changes after boot, so it is not state. */
export const PORT: DriverKind = {
  name: 'port',
  staticWords: 0,
  records: (model) => model.lbr_nr,
  createMemory: (layout) => new Memory(layout),
  create: () => FUNCTIONS,
};

/** One of the two compared drivers, in a kernel of its own. */
import { Kernel, KernelLayout } from '../../guest/perf/kernel.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import { ModelInvariantError, unreachable } from '../../hw/assert.js';
import { Layout } from '../../hw/memory.js';
import { RegisterFile } from './registers.js';
import { type Call, CONTEXTS, CPUS, EVENTS, type Poke, type Sequence } from './sequence.js';
import type { PmuVersion, Subject } from './subjects.js';

/** The result of a call, or the exception that ended it. */
export type Result = number | string;

export class Side {
  readonly kernel: Kernel;
  /** Accesses of the last call: see ACCESS_WORDS. */
  readonly log: number[] = [];
  private readonly registers: readonly RegisterFile[];

  constructor(subject: Subject, model: CpuModel, pmu_version: PmuVersion, driver: DriverKind) {
    const config = { model, pmu_version, driver, cpus: CPUS, tasks: CONTEXTS, events: EVENTS };
    const whole = { ...config, version: '6.1', pv: 'none' } as const;
    const layout = new Layout();
    const kernelLayout = new KernelLayout(layout, whole);
    const memory = driver.createMemory(layout);
    this.registers = Array.from(
      { length: CPUS },
      (_, cpu) => new RegisterFile(subject.model, cpu, this.log),
    );
    this.kernel = new Kernel(memory, kernelLayout, whole, this.registers, { sample: () => {} });
  }

  /** Boots. Every event is in some context, as in a kernel. */
  begin({ registers }: Sequence): void {
    for (const file of this.registers) file.begin(registers);
    this.kernel.clear();
    for (const event of this.kernel.events) event.ctx = 1;
  }

  /** Makes one call. `log` then has its accesses. */
  perform(call: Call): Result {
    this.log.length = 0;
    try {
      return this.call(call);
    } catch (error) {
      if (error instanceof ModelInvariantError) throw error;
      return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    }
  }

  private call({ fn, args }: Call): number {
    const { kernel } = this;
    const { lbr, cpus, contexts, events } = kernel;
    const [a, b, c] = args;
    switch (fn) {
      case 'intel_pmu_setup_lbr_filter':
        return this.setUp(args);
      case 'intel_pmu_lbr_add':
        lbr.intel_pmu_lbr_add(cpus[a], events[b]);
        return 0;
      case 'intel_pmu_lbr_del':
        lbr.intel_pmu_lbr_del(cpus[a], events[b]);
        return 0;
      case 'intel_pmu_lbr_enable_all':
        lbr.intel_pmu_lbr_enable_all(cpus[a], b !== 0);
        return 0;
      case 'intel_pmu_lbr_disable_all':
        lbr.intel_pmu_lbr_disable_all(cpus[a]);
        return 0;
      case 'intel_pmu_lbr_read':
        lbr.intel_pmu_lbr_read(cpus[a]);
        return 0;
      case 'intel_pmu_lbr_reset':
        lbr.intel_pmu_lbr_reset(cpus[a]);
        return 0;
      case 'intel_pmu_lbr_sched_task':
        lbr.intel_pmu_lbr_sched_task(cpus[a], b < 0 ? null : contexts[b], c !== 0);
        return 0;
      case 'intel_pmu_lbr_swap_task_ctx':
        lbr.intel_pmu_lbr_swap_task_ctx(cpus[a], contexts[b], contexts[c]);
        return 0;
      case 'stir':
        this.registers[a].stir(b, c);
        return 0;
      default:
        this.poke(fn, args);
        return 0;
    }
  }

  private setUp(args: readonly number[]): number {
    const { kernel } = this;
    const event = kernel.events[args[0]];
    event.ctx = args[1] + 1;
    event.branch_sample_type = args[2];
    event.lbr_select_flag = args[3];
    event.total_time_running = args[4];
    return kernel.lbr.intel_pmu_setup_lbr_filter(kernel, event);
  }

  /** Changes the kernel's memory as other code would. */
  private poke(fn: Poke, args: readonly number[]): void {
    const { cpus, contexts, events, data } = this.kernel;
    const [a, b, c] = args;
    switch (fn) {
      case 'setTaskData':
        contexts[a].task_ctx_data = b + 1;
        break;
      case 'garbleTaskData': {
        const task = data[a];
        [, task.lbr_sel, task.lbr_sel_hi, task.tos, task.valid_lbrs] = args;
        [, , , , , task.lbr_callstack_users, task.lbr_stack_state, task.log_id] = args;
        break;
      }
      case 'useFilter':
        cpus[a].cpuc.lbr_sel_config = events[b].branch_reg_config;
        cpus[a].cpuc.lbr_sel_config_hi = events[b].branch_reg_config_hi;
        break;
      case 'setFilter':
        cpus[a].cpuc.lbr_sel_config = b;
        cpus[a].cpuc.lbr_sel_config_hi = c;
        break;
      case 'setGuestMask':
        cpus[a].cpuc.guest_mask_vlbr = b;
        break;
      case 'setRan':
        events[a].total_time_running = b;
        break;
      default:
        unreachable(fn);
    }
  }
}

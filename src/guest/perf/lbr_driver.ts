/**
 * The functions of arch/x86/events/intel/lbr.c that the rest of perf calls. There are two
 * implementations: the port, and a kernel's C file (src/tree).
 */
import type { Image } from '../image/instance.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import type { Layout, Memory } from '../../hw/memory.js';
import type { Cpu, Kernel } from './kernel.js';
import type { perf_event, perf_event_context } from './perf_structs.js';

/** lbr.c in one kernel. Its state is in the kernel's words. */
export interface LbrDriver {
  /** Called when the kernel's memory has been cleared. */
  boot(): void;
  intel_pmu_lbr_add(cpu: Cpu, event: perf_event): void;
  intel_pmu_lbr_del(cpu: Cpu, event: perf_event): void;
  intel_pmu_lbr_enable_all(cpu: Cpu, pmi: boolean): void;
  intel_pmu_lbr_disable_all(cpu: Cpu): void;
  intel_pmu_lbr_read(cpu: Cpu): void;
  intel_pmu_lbr_reset(cpu: Cpu): void;
  /** @param ctx - the task's context, or null where no task context is scheduled. */
  intel_pmu_lbr_sched_task(cpu: Cpu, ctx: perf_event_context | null, sched_in: boolean): void;
  intel_pmu_lbr_swap_task_ctx(cpu: Cpu, prev: perf_event_context, next: perf_event_context): void;
  /** Returns 0, or a negative errno for a branch_sample_type that this PMU can't serve. */
  intel_pmu_setup_lbr_filter(kernel: Kernel, event: perf_event): number;
}

/** Where C functions are defined, by name: `arch/x86/events/intel/lbr.c:390`. */
export type Definitions = ReadonlyMap<string, string>;

/** What the kernels of a machine run in place of lbr.c. */
export interface DriverKind {
  readonly name: string;
  /** Those of its C; none for the port, and for a module that does not say. */
  readonly definitions?: Definitions;
  /**
   * Called before C code of an image accesses an MSR, writes a VMCS or enters a guest, as a CPU of
   * a kernel: callers() tells which code.
   */
  readonly accesses?: (kernel: Kernel, cpu: number) => void;
  /** What guests run as a whole, as C code; the rest is then the port's, which shows it. */
  readonly image?: Image;
  /** Words of static data that each kernel keeps. */
  readonly staticWords: number;
  /** Records that a task context and a sample have room for. */
  records(model: CpuModel): number;
  /** The machine's block, where the driver can reach it. */
  createMemory(layout: Layout): Memory;
  /** The driver of one kernel, whose memory is in a block that `createMemory` made. */
  create(kernel: Kernel, memory: Memory): LbrDriver;
}

/**
 * One kernel: its memory, its boot-time description of the PMU, and its CPUs. A guest has one,
 * and so has the host, whose CPUs are the physical ones and whose tasks are vCPU threads.
 */
import type { CpuModel } from '../../hw/cpu_models.js';
import type { Layout, Memory } from '../../hw/memory.js';
import type { MsrPort } from '../../hw/msr_port.js';
import type { PvSite } from '../pv/kvm_para.js';
import { BRANCH_ENTRY_WORDS, LBR_ENTRY_WORDS } from './perf_event.js';
import type { DriverKind, LbrDriver } from './lbr_driver.js';
import { PORT } from './lbr_port.js';
import { COUNTER_SLOTS, cpu_hw_events, perf_cpu_context } from './cpu_structs.js';
import { ObjectTable } from './struct.js';
import { perf_event, perf_event_context, task_struct } from './perf_structs.js';
import { x86_perf_task_context } from './perf_structs.js';
import { type x86_pmu, x86PmuOf } from './x86_pmu.js';

/** The versions that --kernel takes, the reference version first. */
export const KERNEL_VERSIONS = ['6.1', '4.18'] as const;
export type KernelVersion = (typeof KERNEL_VERSIONS)[number];

/** What the versions differ in. */
export interface KernelFeatures {
  /** last_task_ctx and log_id spare a restore (4.19 and later, commit 8b077e4a69be). */
  readonly restoreShortcut: boolean;
  /** attr_freeze_on_smi is 1 from the start. */
  readonly freezeOnSmi: boolean;
}

export const KERNEL_FEATURES: Readonly<Record<KernelVersion, KernelFeatures>> = {
  '6.1': { restoreShortcut: true, freezeOnSmi: true },
  '4.18': { restoreShortcut: false, freezeOnSmi: false },
};

export interface KernelConfig {
  readonly model: CpuModel;
  readonly cpus: number;
  /** Task slots, free ones for fork included; in [1, 32]. */
  readonly tasks: number;
  /** Event slots, inherited events included. */
  readonly events: number;
  /** Version of architectural performance monitoring that this kernel is told. */
  readonly pmu_version: number;
  readonly version: KernelVersion;
  /** Where the driver sets and clears the paravirtual ACTIVE bit; none without the feature. */
  readonly pv: PvSite;
  /** What runs in place of lbr.c; by default the port. */
  readonly driver?: DriverKind;
}

/** The driver of a kernel or a machine. */
export function driverOf({ driver }: { readonly driver?: DriverKind }): DriverKind {
  return driver ?? PORT;
}

/** What leaves a kernel: a sample goes to user space. */
export interface KernelOutput {
  /** perf_event_overflow() of an event with a branch stack; the stack is in cpuc.lbr_entries. */
  sample(cpu: Cpu, event: perf_event): void;
}

/** One CPU as kernel code sees it: this_cpu_ptr() of everything per-CPU, and its MSRs. */
export class Cpu {
  readonly id: number;
  readonly kernel: Kernel;
  readonly cpuc: cpu_hw_events;
  readonly cpuctx: perf_cpu_context;
  /** The CPU's own context, cpuctx->ctx. */
  readonly ctx: perf_event_context;
  readonly x86_pmu: x86_pmu;
  port: MsrPort;
  /** Whether the access that is made may fault, and nobody minds. */
  expectsFault = false;

  constructor(kernel: Kernel, id: number, cpuc: number, cpuctx: number, port: MsrPort) {
    this.id = id;
    this.kernel = kernel;
    this.cpuc = new cpu_hw_events(kernel.words, cpuc, id, kernel.layout.dataTable);
    this.cpuctx = new perf_cpu_context(kernel.words, cpuctx, id);
    this.ctx = kernel.contexts[kernel.config.tasks + id];
    this.x86_pmu = kernel.x86_pmu;
    this.port = port;
  }

  /** rdmsrl(): the low word; the high one is in `edx`. A fault reads as 0, as in the kernel. */
  rdmsrl(msr: number): number {
    return this.port.rdmsr(msr);
  }

  get edx(): number {
    return this.port.edx;
  }

  /** Kernel: arch/x86/lib/msr.c:msr_set_bit(), for a bit of the low word. A fault is no error. */
  msr_set_bit(msr: number, bit: number): void {
    this.expectsFault = true;
    try {
      const eax = this.rdmsrl(msr);
      const { edx, vector } = this.port;
      if (vector === 0 && (eax & bit) === 0) this.port.wrmsr(msr, eax | bit, edx);
    } finally {
      // A host that takes the CPU here unwinds the function.
      this.expectsFault = false;
    }
  }

  wrmsrl(msr: number, eax: number, edx: number): void {
    this.port.wrmsr(msr, eax, edx);
  }

  /** Word offset of the i-th entry of lbr_stack, newest first. */
  lbr_entry(i: number): number {
    return this.cpuc.lbr_entry(this.kernel.config.events, i);
  }
}

/** Word offsets and sizes of a kernel's objects inside the machine's block. */
export class KernelLayout {
  readonly start: number;
  readonly size: number;
  readonly percpu: number;
  readonly percpuWords: number;
  readonly tasks: number;
  readonly contexts: number;
  readonly contextWords: number;
  readonly data: number;
  readonly dataWords: number;
  readonly events: number;
  readonly dataTable: ObjectTable;
  readonly contextTable: ObjectTable;
  /** Static data of the driver. */
  readonly statics: number;

  constructor(layout: Layout, config: KernelConfig) {
    const { cpus, tasks, events, model } = config;
    const driver = driverOf(config);
    const records = driver.records(model);
    this.start = layout.size;
    this.percpuWords =
      cpu_hw_events.WORDS +
      COUNTER_SLOTS +
      events +
      records * BRANCH_ENTRY_WORDS +
      perf_cpu_context.WORDS;
    this.percpu = layout.take(cpus * this.percpuWords);
    this.tasks = layout.take(tasks * task_struct.WORDS);
    this.contextWords = perf_event_context.WORDS + events;
    this.contexts = layout.take((tasks + cpus) * this.contextWords);
    this.dataWords = x86_perf_task_context.WORDS + records * LBR_ENTRY_WORDS;
    this.data = layout.take(tasks * this.dataWords);
    this.events = layout.take(events * perf_event.WORDS);
    this.statics = layout.take(driver.staticWords);
    this.contextTable = new ObjectTable(this.contexts, this.contextWords);
    this.dataTable = new ObjectTable(this.data, this.dataWords);
    this.size = layout.size - this.start;
  }
}

/**
 * One kernel: accessors over its words of the block, and the driver that runs in place of lbr.c.
 * All of its state lies in the block.
 */
export class Kernel {
  readonly config: KernelConfig;
  readonly words: Int32Array;
  readonly layout: KernelLayout;
  readonly x86_pmu: x86_pmu;
  readonly cpus: Cpu[] = [];
  readonly tasks: task_struct[] = [];
  readonly contexts: perf_event_context[] = [];
  readonly data: x86_perf_task_context[] = [];
  readonly events: perf_event[] = [];
  readonly output: KernelOutput;
  readonly lbr: LbrDriver;
  /** Whether a task has the call stack back that an event of its CPU has recorded: since 6.15. */
  savesForCpuEvents = false;
  /** Whether tasks are in cgroups, and can move. */
  hasCgroups = false;

  constructor(
    memory: Memory,
    layout: KernelLayout,
    config: KernelConfig,
    ports: readonly MsrPort[],
    output: KernelOutput,
  ) {
    this.config = config;
    this.layout = layout;
    this.words = memory.words;
    this.output = output;
    this.x86_pmu = x86PmuOf(config);
    const { words } = this;
    for (let i = 0; i < config.tasks; i++) {
      this.tasks.push(new task_struct(words, layout.tasks + i * task_struct.WORDS, i));
      this.data.push(new x86_perf_task_context(words, layout.data + i * layout.dataWords, i));
    }
    for (let i = 0; i < config.tasks + config.cpus; i++) {
      const at = layout.contexts + i * layout.contextWords;
      this.contexts.push(new perf_event_context(words, at, i, layout.dataTable));
    }
    for (let i = 0; i < config.events; i++) {
      const at = layout.events + i * perf_event.WORDS;
      this.events.push(new perf_event(words, at, i, layout.contextTable));
    }
    const cpuctx = layout.percpuWords - perf_cpu_context.WORDS;
    for (let i = 0; i < config.cpus; i++) {
      const at = layout.percpu + i * layout.percpuWords;
      this.cpus.push(new Cpu(this, i, at, at + cpuctx, ports[i]));
    }
    this.lbr = driverOf(config).create(this, memory);
  }

  /** Records that a task context and a sample have room for. */
  get lbrRecords(): number {
    return driverOf(this.config).records(this.config.model);
  }

  /** The context that `plusOne` refers to; it must not be null. */
  ctx(plusOne: number): perf_event_context {
    return this.contexts[plusOne - 1];
  }

  /** Zeroes the kernel's memory, as a boot or a kexec finds it, and sets up what is static. */
  clear(): void {
    this.words.fill(0, this.layout.start, this.layout.start + this.layout.size);
    for (const { ctx, cpuc } of this.cpus) {
      ctx.used = 1;
      // intel/core.c has it so, and nothing has to be switched on before the first event.
      cpuc.enabled = 1;
    }
    this.lbr.boot();
  }
}

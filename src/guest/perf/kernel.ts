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
import * as structs from './perf_structs.js';
import { type x86_pmu, x86PmuOf } from './x86_pmu.js';

/** The versions that --kernel takes, the reference version first. */
export const KERNEL_VERSIONS = ['6.1', '6.12', '7.3', '4.18'] as const;
export type KernelVersion = (typeof KERNEL_VERSIONS)[number];

/** What the versions differ in. */
export interface KernelFeatures {
  /** last_task_ctx and log_id spare a restore (4.19 and later, commit 8b077e4a69be). */
  readonly restoreShortcut: boolean;
  /** attr_freeze_on_smi is 1 from the start. */
  readonly freezeOnSmi: boolean;
  /**
   * A task has one context for all PMUs, and a part of it for each (6.2 and later, bd2756811766).
   * The space for call stacks goes with the last event of the part.
   */
  readonly pmuContexts: boolean;
  /**
   * That space is the task's, for the events that were opened for it and for system-wide ones
   * (6.15 and later: cb4369129339, 506e64e710ff, 3cec9fd03543, 1fbc6c8e5289).
   */
  readonly perfCtxData: boolean;
  /**
   * KVM may have the PMU for the time in the guest (7.0 and later: 4593b4b6e218, 42457a7fb6ca).
   */
  readonly mediatedPmu: boolean;
}

const LINUX_6_1: KernelFeatures = {
  restoreShortcut: true,
  freezeOnSmi: true,
  pmuContexts: false,
  perfCtxData: false,
  mediatedPmu: false,
};
const LINUX_6_12: KernelFeatures = { ...LINUX_6_1, pmuContexts: true };

export const KERNEL_FEATURES: Readonly<Record<KernelVersion, KernelFeatures>> = {
  '6.1': LINUX_6_1,
  '6.12': LINUX_6_12,
  '7.3': { ...LINUX_6_12, perfCtxData: true, mediatedPmu: true },
  '4.18': { ...LINUX_6_1, restoreShortcut: false, freezeOnSmi: false },
};

/** The first version of each way to keep task data, the newest first, as 1000 * major + minor. */
const FIRST: readonly (readonly [first: number, port: KernelVersion])[] = [
  [6015, '7.3'],
  [6002, '6.12'],
  [5000, '6.1'],
];

/** The version of the port that a tree is like, by its version as `6.12.117`; of none, 6.1. */
export function portOf(version: string): KernelVersion {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  const rank = 1000 * Number(major) + Number(minor);
  return FIRST.find(([first]) => rank >= first)?.[1] ?? KERNEL_VERSIONS[0];
}

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
  /** Whether its boot finds no LBR MSRs, and takes the CPU to have none. */
  readonly withoutLbr?: boolean;
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
  sample(cpu: Cpu, event: structs.perf_event): void;
}

/** One CPU as kernel code sees it: this_cpu_ptr() of everything per-CPU, and its MSRs. */
export class Cpu {
  readonly id: number;
  readonly kernel: Kernel;
  readonly cpuc: cpu_hw_events;
  readonly cpuctx: perf_cpu_context;
  /** The CPU's own context, cpuctx->ctx. */
  readonly ctx: structs.perf_event_context;
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

  /**
   * Reads a word of the kernel's memory, by its offset, that other CPUs may change while this one
   * is inside a function.
   */
  load(at: number): number {
    const { port } = this;
    return port.loadWord === undefined ? this.kernel.words[at] : port.loadWord(at);
  }

  /** Writes such a word. */
  store(at: number, value: number): void {
    const { port } = this;
    if (port.storeWord === undefined) this.kernel.words[at] = value;
    else port.storeWord(at, value);
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
  /** Blocks of task data. */
  readonly blocks: number;
  readonly data: number;
  readonly dataWords: number;
  /** A perf_ctx_data for each block; then task->perf_ctx_data of each task, a block plus one. */
  readonly ctxData: number;
  readonly taskData: number;
  readonly perfStatics: number;
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
    this.tasks = layout.take(tasks * structs.task_struct.WORDS);
    this.contextWords = structs.perf_event_context.wordsFor(events);
    this.contexts = layout.take((tasks + cpus) * this.contextWords);
    this.dataWords = structs.x86_perf_task_context.WORDS + records * LBR_ENTRY_WORDS;
    // Blocks may be in use that nobody refers to any more, until a grace period is over.
    this.blocks = KERNEL_FEATURES[config.version].pmuContexts ? tasks + events : tasks;
    this.data = layout.take(this.blocks * this.dataWords);
    this.ctxData = layout.take(this.blocks * structs.perf_ctx_data.WORDS);
    this.taskData = layout.take(tasks);
    this.perfStatics = layout.take(structs.perf_statics.WORDS);
    this.events = layout.take(events * structs.perf_event.WORDS);
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
  readonly tasks: structs.task_struct[] = [];
  readonly contexts: structs.perf_event_context[] = [];
  readonly data: structs.x86_perf_task_context[] = [];
  readonly ctxData: structs.perf_ctx_data[] = [];
  readonly statics: structs.perf_statics;
  readonly events: structs.perf_event[] = [];
  readonly output: KernelOutput;
  readonly lbr: LbrDriver;
  /** Whether a task has the call stack back that an event of its CPU has recorded: since 6.15. */
  savesForCpuEvents: boolean;
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
    this.savesForCpuEvents = this.x86_pmu.perfCtxData;
    const { words } = this;
    for (let i = 0; i < config.tasks; i++) {
      const at = layout.tasks + i * structs.task_struct.WORDS;
      this.tasks.push(new structs.task_struct(words, at, i));
    }
    for (let i = 0; i < layout.blocks; i++) {
      const at = layout.data + i * layout.dataWords;
      this.data.push(new structs.x86_perf_task_context(words, at, i));
      const ctxData = layout.ctxData + i * structs.perf_ctx_data.WORDS;
      this.ctxData.push(new structs.perf_ctx_data(words, ctxData, i));
    }
    this.statics = new structs.perf_statics(words, layout.perfStatics, 0);
    for (let i = 0; i < config.tasks + config.cpus; i++) {
      const at = layout.contexts + i * layout.contextWords;
      this.contexts.push(
        new structs.perf_event_context(words, at, i, layout.dataTable, config.events),
      );
    }
    for (let i = 0; i < config.events; i++) {
      const at = layout.events + i * structs.perf_event.WORDS;
      this.events.push(new structs.perf_event(words, at, i, layout.contextTable));
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
  ctx(plusOne: number): structs.perf_event_context {
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

/**
 * The C file of a kernel as the driver of a machine's kernels. The driver works on the machine's
 * own block: the C structures of the shim lie over the words of src/guest/perf/perf_structs.ts, so
 * a snapshot of the block includes the state of the C code. If an exception unwinds the C code, its
 * writes to the block stay, as with the port, but its writes to static data are undone.
 *
 * Each CPU has an instance with a stack of its own. All instances share one memory, and so one
 * place for static data. The static data of the kernel that runs is copied there; otherwise it lies
 * among its kernel's words.
 */
import { perf_sched_cb_dec, perf_sched_cb_inc } from '../guest/perf/events_core.js';
import type { Cpu, Kernel } from '../guest/perf/kernel.js';
import type { DriverKind, LbrDriver } from '../guest/perf/lbr_driver.js';
import type { perf_event, perf_event_context } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import { LBR_INITS, siliconOf } from '../hw/cpu_models.js';
import { addressOf, BLOCK_ADDRESS, type Layout, Memory } from '../hw/memory.js';
import type { KernelBinary } from './binary.js';
import { type WasmGlobal, type WasmMemory, WebAssembly } from '../guest/image/webassembly.js';

// Memory holds static data from the linker's base up, a stack for each CPU, then the block.
export const PAGE_BYTES = 0x10000;
/** Upper limit of static data; the stacks follow. */
export const STATICS_END = 0x10000;
export const STACK_BYTES = 0x1000;
/** Number of stacks: for 6 VMs of 8 vCPUs, and 8 pCPUs. */
const CPUS_MAX: number = (BLOCK_ADDRESS - STATICS_END) / STACK_BYTES;

/** MAX_LBR_ENTRIES. */
const RECORDS = 32;

/** A function of lbr.c on a CPU. Objects are addresses, a truth value is 0 or 1. */
type Call = (cpu: number, cpuc: number, a: number, b: number) => number;

/** Exports of shim/driver.c. */
interface DriverExports {
  readonly __stack_pointer: WasmGlobal;
  boot(
    init: number,
    lbr_format: number,
    version: number,
    tsx: boolean,
    double_abort: boolean,
    lbr_nr: number,
  ): void;
  online(cpu: number, cpuc: number): void;
  prepare(cpuc: number, entries: number): void;
  readonly intel_pmu_lbr_add: Call;
  readonly intel_pmu_lbr_del: Call;
  readonly intel_pmu_lbr_enable_all: Call;
  readonly intel_pmu_lbr_disable_all: Call;
  readonly intel_pmu_lbr_read: Call;
  readonly intel_pmu_lbr_reset: Call;
  readonly intel_pmu_lbr_sched_task: Call;
  readonly intel_pmu_lbr_swap_task_ctx: Call;
  readonly intel_pmu_setup_lbr_filter: Call;
}

/** The C code did something that stops a kernel. */
export class KernelCrash extends Error {
  override readonly name: string = 'KernelCrash';
}

/** A block inside the memory that all instances of a machine share. */
class SharedMemory extends Memory {
  readonly memory: WasmMemory;
  private readonly all: Int32Array;
  private readonly binary: KernelBinary;
  private instances = 0;
  /** Static data as the binary has it. */
  private pristine: Int32Array = new Int32Array(0);
  /** Static data of the outer kernel while an inner one runs. */
  private readonly underWay: Int32Array;
  /** The kernel that runs: its static data is in place. */
  private active: CDriver | null = null;

  constructor(layout: Layout, binary: KernelBinary) {
    const initial = Math.ceil((BLOCK_ADDRESS + 4 * layout.size) / PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial });
    super(layout, new Int32Array(memory.buffer, BLOCK_ADDRESS, layout.size));
    this.memory = memory;
    this.binary = binary;
    this.all = new Int32Array(memory.buffer);
    this.underWay = new Int32Array(binary.staticWords);
  }

  /** Makes the instance of a CPU. No kernel may be running. */
  instantiate(cpu: Cpu): { readonly exports: DriverExports; readonly stack: number } {
    const { exports } = new WebAssembly.Instance(this.binary.module, {
      env: { memory: this.memory },
      vlbr: {
        rdmsr: (msr: number) => cpu.rdmsrl(msr),
        rdmsr_edx: () => cpu.edx,
        wrmsr: (msr: number, eax: number, edx: number) => cpu.wrmsrl(msr, eax, edx),
        perf_sched_cb_inc: () => perf_sched_cb_inc(cpu),
        perf_sched_cb_dec: () => perf_sched_cb_dec(cpu),
      },
    });
    const { staticsFrom, staticWords } = this.binary;
    this.pristine = this.all.slice(staticsFrom / 4, staticsFrom / 4 + staticWords);
    this.instances++;
    assert(this.instances <= CPUS_MAX, 'there is a stack for every CPU');
    const stack = STATICS_END + this.instances * STACK_BYTES;
    const driver = exports as unknown as DriverExports;
    driver.__stack_pointer.value = stack;
    return { exports: driver, stack };
  }

  placePristine(): void {
    this.all.set(this.pristine, this.binary.staticsFrom / 4);
  }

  /** Puts the kernel's static data in place. Returns the outer kernel, for `leave`. */
  enter(driver: CDriver): CDriver | null {
    const outer = this.active;
    if (outer === driver) return outer;
    const { staticsFrom, staticWords } = this.binary;
    const from = staticsFrom / 4;
    if (outer !== null) {
      // One place is enough: a guest's access may run the host's perf, but never the reverse.
      for (let i = 0; i < staticWords; i++) this.underWay[i] = this.all[from + i];
    }
    const at = BLOCK_ADDRESS / 4 + driver.statics;
    this.all.copyWithin(from, at, at + staticWords);
    this.active = driver;
    return outer;
  }

  leave(driver: CDriver, outer: CDriver | null): void {
    if (outer === driver) return;
    const { staticsFrom, staticWords } = this.binary;
    const from = staticsFrom / 4;
    this.all.copyWithin(BLOCK_ADDRESS / 4 + driver.statics, from, from + staticWords);
    this.active = outer;
    if (outer !== null) this.all.set(this.underWay, from);
  }

  /**
   * Checks the null page, which WebAssembly memory lets anyone write.
   *
   * @throws KernelCrash if something was written there: a kernel would have faulted.
   */
  checkNullPage(): void {
    const { all } = this;
    const words = this.binary.staticsFrom / 4;
    for (let i = 0; i < words; i++) {
      if (all[i] === 0) continue;
      all.fill(0, 0, words);
      throw new KernelCrash('lbr.c writes through a null pointer');
    }
  }

  /** Call after an exception has unwound the C code: no kernel is running any more. */
  unwound(): void {
    this.active = null;
  }
}

class CDriver implements LbrDriver {
  /** Word offset of the kernel's own copy of its static data. */
  readonly statics: number;
  private readonly kernel: Kernel;
  private readonly shared: SharedMemory;
  private readonly exports: readonly DriverExports[];
  private readonly stacks: readonly number[];

  constructor(kernel: Kernel, shared: SharedMemory) {
    this.kernel = kernel;
    this.shared = shared;
    this.statics = kernel.layout.statics;
    const instances = kernel.cpus.map((cpu) => shared.instantiate(cpu));
    this.exports = instances.map(({ exports }) => exports);
    this.stacks = instances.map(({ stack }) => stack);
  }

  boot(): void {
    const { shared } = this;
    const outer = shared.enter(this);
    try {
      shared.placePristine();
      this.init();
      shared.checkNullPage();
    } catch (exception) {
      this.unwind(this.kernel.cpus[0]);
      throw exception;
    }
    shared.leave(this, outer);
  }

  /** LBR set-up of the kernel at boot and when its CPUs start. */
  private init(): void {
    const { kernel } = this;
    const { model } = kernel.config;
    const { version, lbr_double_abort, lbr_nr } = kernel.x86_pmu;
    const init = LBR_INITS.indexOf(model.lbrInit);
    const [first] = this.exports;
    for (const cpu of kernel.cpus) first.online(cpu.id, cpu.cpuc.address);
    // lbr.c sets the depth, unless this model has a depth that no silicon has.
    const nr = siliconOf(model)?.lbr_nr === lbr_nr ? -1 : lbr_nr;
    first.boot(init, model.lbr_format, version, model.tsx, lbr_double_abort, nr);
    for (const cpu of kernel.cpus) first.prepare(cpu.cpuc.address, addressOf(cpu.lbr_entry(0)));
  }

  /** Cleans up a CPU after an exception has unwound its C code. */
  private unwind(cpu: Cpu): void {
    this.exports[cpu.id].__stack_pointer.value = this.stacks[cpu.id];
    this.shared.unwound();
  }

  private call(cpu: Cpu, call: Call, a: number, b: number): number {
    const { shared } = this;
    const outer = shared.enter(this);
    let result = 0;
    try {
      result = call(cpu.id, cpu.cpuc.address, a, b);
      shared.checkNullPage();
    } catch (exception) {
      this.unwind(cpu);
      throw exception;
    }
    shared.leave(this, outer);
    return result;
  }

  intel_pmu_lbr_add(cpu: Cpu, event: perf_event): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_add, event.address, 0);
  }

  intel_pmu_lbr_del(cpu: Cpu, event: perf_event): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_del, event.address, 0);
  }

  intel_pmu_lbr_enable_all(cpu: Cpu, pmi: boolean): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_enable_all, pmi ? 1 : 0, 0);
  }

  intel_pmu_lbr_disable_all(cpu: Cpu): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_disable_all, 0, 0);
  }

  intel_pmu_lbr_read(cpu: Cpu): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_read, 0, 0);
  }

  intel_pmu_lbr_reset(cpu: Cpu): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_reset, 0, 0);
  }

  intel_pmu_lbr_sched_task(cpu: Cpu, ctx: perf_event_context | null, sched_in: boolean): void {
    const address = ctx === null ? 0 : ctx.address;
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_sched_task, address, sched_in ? 1 : 0);
  }

  intel_pmu_lbr_swap_task_ctx(cpu: Cpu, prev: perf_event_context, next: perf_event_context): void {
    this.call(cpu, this.exports[cpu.id].intel_pmu_lbr_swap_task_ctx, prev.address, next.address);
  }

  intel_pmu_setup_lbr_filter(kernel: Kernel, event: perf_event): number {
    const [cpu] = kernel.cpus;
    return this.call(cpu, this.exports[0].intel_pmu_setup_lbr_filter, event.address, 0);
  }
}

/** The driver that runs the C file of a kernel. */
export function kernelDriver(binary: KernelBinary): DriverKind {
  return {
    name: 'kernel',
    definitions: binary.definitions,
    staticWords: binary.staticWords,
    records: () => RECORDS,
    createMemory: (layout) => new SharedMemory(layout, binary),
    create(kernel, memory) {
      assert(memory instanceof SharedMemory, 'the block is where the driver can reach it');
      return new CDriver(kernel, memory);
    },
  };
}

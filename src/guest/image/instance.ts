/**
 * A kernel that runs: an instance of a tree's image with CPUs of its own. Its state is the bytes of
 * its memory and, for a CPU that has left a function, which one it was, and its stack pointer.
 *
 * A function can be left before any MSR access, and where it waits for another CPU; its CPU goes on
 * with it later. Everything else that a kernel does happens at once.
 */
import type { CpuModel } from '../../hw/cpu_models.js';
import type { MsrPort } from '../../hw/msr_port.js';
import { assert } from '../../hw/assert.js';
import { textAt, type WasmGlobal, type WasmMemory, type WasmModule } from './webassembly.js';
import { WebAssembly } from './webassembly.js';
import { Arcs, type Counted } from './arcs.js';
import { callers } from './callers.js';
import { cpuidOf, familyAndModel, featureNames, STEPPING } from './cpuid.js';
import { type Answer, answers, type Asking } from './imports.js';
import type { FunctionType, ModuleTypes } from './module_types.js';
import { type Offsets, readOffsets } from './offsets.js';
import { printed } from './print.js';
import type { VmxHooks } from './vmx_hooks.js';

/** An image that is ready to run. */
export interface Image {
  readonly module: WasmModule;
  readonly types: ModuleTypes;
  /** Takes the counters of each instance, if the image was built to count which code runs. */
  readonly counted?: Counted;
}

/** What an instance tells, and asks before an MSR access. */
export interface ImageHooks {
  /** Whether a CPU runs, so that another one can call it. */
  runs(cpu: number): boolean;
  /** Whether an NMI comes before the access that a CPU is about to make. */
  nmi(cpu: number, msr: number): boolean;
  /** The handler of such an NMI has returned. */
  nmiReturns(cpu: number): void;
  /** Whether the CPU's function is to be left before the access that it is about to make. */
  leave(cpu: number, msr: number): boolean;
  /** A CPU is about to access an MSR, to write a VMCS or to enter a guest. */
  accesses?(cpu: number): void;
  print(line: string): void;
  /** A WARN_ON at a line of a file of the tree. */
  warn(file: string, line: number): void;
  /** Whether the kernel's KVM runs, and what its VMX instructions do. */
  readonly vmx?: VmxHooks;
  /** A record that perf puts into the ring buffer of an event, given by its address. */
  record(cpu: number, event: number, bytes: Uint8Array): void;
}

/** An import that nobody has foreseen. */
export class UnknownImport extends Error {
  override readonly name: string = 'UnknownImport';
}

const STACK_BYTES = 32_768;
/** What asyncify keeps of a function that was left: its frames, of which the deepest take 400. */
const FRAMES_BYTES = 8_192;

/** Bytes of the head of a buffer of asyncify: where it goes on, and where it ends. */
const FRAMES_HEAD = 8;

type Exported = (...args: readonly number[]) => number;

/** A function of the image as we call it: with numbers alone. */
function plainly(call: Exported, { wide, wideResult }: FunctionType): Exported {
  if (!wide.includes(true) && !wideResult) return call;
  return (...args) => {
    const given = args.map((arg, i) => (wide[i] ? BigInt(arg) : arg));
    return Number(call(...(given as number[])) ?? 0);
  };
}

/** An answer as the image calls it. */
function answering(answer: Answer, { wide, wideResult }: FunctionType): unknown {
  if (!wide.includes(true) && !wideResult) return answer;
  return (...args: readonly unknown[]) => {
    const result = answer(...args.map(Number));
    return wideResult ? BigInt(result ?? 0) : result;
  };
}

/**
 * What can leave a function, and go on with it: a CPU, or a thread that CPUs take turns to run. It
 * has a stack for C, and a place for the function.
 */
interface Context {
  /** Stack pointer of a function from its start. */
  readonly stack: number;
  /** Address of asyncify's buffer. */
  readonly frames: number;
  /** The function that was left, with its arguments, and its stack pointer; or null. */
  left: Left | null;
}

interface Left {
  readonly name: string;
  readonly args: readonly number[];
  readonly stack: number;
  /** The CPU that ran: another one, if this one called in its place. */
  readonly cpu: number;
}

/** A state of an instance, to go back to. */
export class InstanceSnapshot {
  /** Memory, at least up to the end of its heap. */
  bytes: Uint8Array = new Uint8Array(0);
  /** What each CPU has left; that a function was left is bytes, too. */
  readonly left: (Left | null)[] = [];
  /** Number of the state: the instance is in it as long as it has this number. */
  state = -1;
}

/** How a function ended: with a result, or not yet, since its CPU has left it. */
export type Ended = { readonly left: false; readonly result: number } | { readonly left: true };

export class ImageInstance implements Asking {
  /** Where fields lie in the tree's structures, as `cpu_hw_events.lbr_users`; and constants. */
  readonly offsets: Offsets;
  private ports: readonly MsrPort[];
  private readonly hooks: ImageHooks;
  private readonly model: CpuModel;
  private readonly functions: ReadonlyMap<string, Exported>;
  private readonly memory: WasmMemory;
  private readonly stackPointer: WasmGlobal;
  private readonly wideStack: boolean;
  private readonly features: ReadonlySet<number>;
  /** Address of the number of the CPU that runs. */
  private readonly cpuAt: number;
  private readonly contexts: readonly Context[];
  private view: Int32Array = new Int32Array(0);
  /** The context whose function may be left now, or -1; and the CPU that runs it. */
  private active = -1;
  private activeCpu = -1;
  private rewinding = false;
  /** Whether the kernel looks whether its last access has faulted. */
  safe = false;
  private readonly arcs: Arcs | null;
  /** Number of the state that the instance is in, and the last number that was given. */
  private state = 0;
  private states = 0;
  private record: Uint8Array[] = [];
  private recordOf = 0;

  /**
   * @param ports - the MSRs of each CPU.
   * @param isGuest - whether CPUID tells the kernel that it runs under a hypervisor.
   * @param threads - threads that can leave functions, beside the CPUs.
   */
  constructor(
    image: Image,
    model: CpuModel,
    ports: readonly MsrPort[],
    hooks: ImageHooks,
    isGuest: boolean,
    threads = 0,
  ) {
    this.ports = ports;
    this.hooks = hooks;
    this.model = model;
    const { exports } = new WebAssembly.Instance(image.module, { env: this.imports(image) });
    const functions = [...image.types.exports].map(
      ([name, type]) => [name, plainly(exports[name] as Exported, type)] as const,
    );
    this.functions = new Map(functions);
    this.memory = exports['memory'] as WasmMemory;
    this.stackPointer = exports['__stack_pointer'] as WasmGlobal;
    this.wideStack = typeof this.stackPointer.value === 'bigint';
    this.offsets = readOffsets(this, this.ask('vlbr_offsets', 0), this.wideStack);
    this.cpuAt = this.ask('vlbr_cpu_at', 0);
    this.features = new Set(this.featuresOf(isGuest));
    const { counted } = image;
    this.arcs = counted === undefined ? null : new Arcs(this, this.ask('gcov_table'));
    if (this.arcs !== null) counted?.add(this.arcs);
    this.start();
    this.contexts = Array.from({ length: ports.length + threads }, () => ({
      stack: this.ask('vlbr_alloc', STACK_BYTES) + STACK_BYTES,
      frames: this.ask('vlbr_alloc', FRAMES_BYTES),
      left: null,
    }));
  }

  private featuresOf(isGuest: boolean): number[] {
    const names = featureNames(this.model, isGuest, this.functions.has('vlbr_vm_create'));
    return names.map((name) => this.offsets.at(`X86_FEATURE_${name}`));
  }

  /** Boots as start_kernel() does, as far as perf is in it. */
  private start(): void {
    const cpus = this.ports.length;
    const [x86, x86_model] = familyAndModel(this.model);
    this.ask('vlbr_start', cpus, x86, x86_model, STEPPING);
    this.ask('vlbr_no_guest');
    this.ask('perf_event_init', 0);
    for (let cpu = 1; cpu < cpus; cpu++) {
      this.setCpu(cpu);
      this.ask('perf_event_init_cpu', cpu);
    }
    this.setCpu(0);
    this.ask('vlbr_cgroup_init');
    this.ask('initcall_init_hw_perf_events', 0);
    this.ask('initcall_fixup_ht_bug', 0);
  }

  private imports({ types }: Image): Record<string, unknown> {
    const known = answers(this);
    const imports: Record<string, unknown> = {};
    for (const [name, type] of types.imports) {
      const answer = known.get(name) ?? this.unknown(name);
      imports[name] = answering(answer, type);
    }
    return { ...imports, ...this.msrImports(), ...this.vmxImports() };
  }

  private unknown(name: string): Answer {
    return () => {
      const [caller = 'the kernel'] = callers();
      throw new UnknownImport(`${caller}() calls ${name}(), which vlbr does not answer`);
    };
  }

  /** The imports before which a function may be left. */
  private msrImports(): Record<string, unknown> {
    let port: MsrPort = this.ports[0];
    let fault = 0;
    return {
      vlbr_cpu_runs: (cpu: number): number => (this.hooks.runs(cpu) ? 1 : 0),
      vlbr_nmi_due: (msr: number): number => (this.hooks.nmi(this.cpu, msr) ? 1 : 0),
      vlbr_nmi_return: (): void => this.hooks.nmiReturns(this.cpu),
      vlbr_read_msr: (msr: number, safe: number): number => {
        if (this.leaves(msr)) return 0;
        this.hooks.accesses?.(this.cpu);
        this.safe = safe !== 0;
        port = this.ports[this.cpu];
        const low = port.rdmsr(msr);
        fault = port.vector;
        return low;
      },
      vlbr_msr_high: () => port.edx,
      vlbr_write_msr: (msr: number, low: number, high: number, safe: number): void => {
        if (this.leaves(msr)) return;
        this.hooks.accesses?.(this.cpu);
        this.safe = safe !== 0;
        port = this.ports[this.cpu];
        fault = port.wrmsr(msr, low, high);
      },
      vlbr_msr_fault: () => fault,
      vlbr_unchecked_msr: (msr: number, write: number): void =>
        this.hooks.warn(`unchecked ${write === 1 ? 'WRMSR' : 'RDMSR'} 0x${msr.toString(16)}`, 0),
      vlbr_relax: (): void => {
        if (this.resumed()) return;
        if (this.active < 0) throw new Error('a CPU waits for another one, and none runs');
        this.unwind();
      },
    };
  }

  private vmxImports(): Record<string, unknown> {
    const vmx = (): VmxHooks => {
      assert(this.hooks.vmx !== undefined, 'the machine has VMX');
      return this.hooks.vmx;
    };
    return {
      vlbr_vmcs_read: (field: number): number => vmx().vmread(this.cpu, field),
      vlbr_vmcs_is_current: (): number => (vmx().isCurrent(this.cpu) ? 1 : 0),
      vlbr_vmcs_high: (): number => vmx().high,
      vlbr_vmcs_write: (field: number, low: number, high: number): void => {
        this.hooks.accesses?.(this.cpu);
        vmx().vmwrite(this.cpu, field, low, high);
      },
      vlbr_vmcs_clear: (region: bigint): void => vmx().vmclear(Number(region)),
      vlbr_vmcs_load: (region: bigint): void => vmx().vmptrld(this.cpu, Number(region)),
      vlbr_vm_enter: (registers: bigint): number => {
        if (this.resumed()) return 0;
        this.hooks.accesses?.(this.cpu);
        if (vmx().vmenter(this.cpu, Number(registers))) this.unwind();
        return 0;
      },
      vlbr_schedule: (): void => {
        if (!this.resumed()) this.unwind();
      },
      vlbr_interruptible: (msr: number): void => {
        // A handler needs the stack of the CPU, on which a thread is not.
        if (this.active >= this.ports.length) vmx().interruptible(this.cpu, msr);
      },
    };
  }

  private function(name: string): Exported {
    const found = this.functions.get(name);
    assert(found !== undefined, `the image has no ${name}()`);
    return found;
  }

  /** Number of the CPU that runs. While one CPU calls for another, that is the other. */
  get cpu(): number {
    return this.ints()[this.cpuAt >> 2];
  }

  private setCpu(cpu: number): void {
    this.ints()[this.cpuAt >> 2] = cpu;
  }

  /** Whether the function is left now; else it goes on. */
  private leaves(msr: number): boolean {
    this.resumed();
    // A call of another CPU is not interrupted.
    if (this.cpu !== this.activeCpu || !this.hooks.leave(this.cpu, msr)) return false;
    this.unwind();
    return true;
  }

  /** Whether the function has just come back to where it was left: then it goes on. */
  private resumed(): boolean {
    if (!this.rewinding) return false;
    this.rewinding = false;
    this.ask('asyncify_stop_rewind', 0);
    return true;
  }

  private unwind(): void {
    const { frames } = this.contexts[this.active];
    const ints = this.ints();
    ints[frames >> 2] = frames + FRAMES_HEAD;
    ints[(frames >> 2) + 1] = frames + FRAMES_BYTES;
    this.ask('asyncify_start_unwind', frames);
  }

  /** The MSRs of each CPU, from now on. */
  attach(ports: readonly MsrPort[]): void {
    this.ports = ports;
  }

  /** Its state between two functions. @param into - is overwritten. */
  snapshot(into: InstanceSnapshot = new InstanceSnapshot()): InstanceSnapshot {
    const end = this.ask('vlbr_heap_end');
    if (into.bytes.length < end) into.bytes = new Uint8Array(end);
    into.bytes.set(new Uint8Array(this.memory.buffer, 0, into.bytes.length));
    for (let i = 0; i < this.contexts.length; i++) into.left[i] = this.contexts[i].left;
    into.state = this.state;
    return into;
  }

  /** Goes back to a snapshot, whatever is under way. What lies behind it was never handed out. */
  restore({ bytes, left, state }: InstanceSnapshot): void {
    if (state === this.state) return;
    const copy = (): void => new Uint8Array(this.memory.buffer).set(bytes);
    if (this.arcs === null) copy();
    else this.arcs.across(copy);
    for (let i = 0; i < left.length; i++) this.contexts[i].left = left[i];
    this.state = state;
  }

  /** Whether a thread has left a function. */
  hasLeft(thread: number): boolean {
    return this.contexts[this.ports.length + thread].left !== null;
  }

  /** Whether the image has a function of this name. */
  has(name: string): boolean {
    return this.functions.has(name);
  }

  /** Whether some CPU has left a function. */
  get anyLeft(): boolean {
    for (let cpu = 0; cpu < this.ports.length; cpu++) {
      if (this.contexts[cpu].left !== null) return true;
    }
    return false;
  }

  /** Runs a function on a CPU from its start. The CPU must not have left another one. */
  run(cpu: number, name: string, ...args: readonly number[]): Ended {
    return this.begin(cpu, cpu, name, args);
  }

  /** Goes on with the function that a CPU has left. */
  resume(cpu: number): Ended {
    return this.goOn(cpu, cpu);
  }

  /** Runs a function as a thread, on a CPU. The thread must not have left another one. */
  runThread(thread: number, cpu: number, name: string, ...args: readonly number[]): Ended {
    return this.begin(this.ports.length + thread, cpu, name, args);
  }

  /** Goes on with the function that a thread has left, on any CPU. */
  resumeThread(thread: number, cpu: number): Ended {
    const context = this.contexts[this.ports.length + thread];
    if (context.left !== null) context.left = { ...context.left, cpu };
    return this.goOn(this.ports.length + thread, cpu);
  }

  private begin(context: number, cpu: number, name: string, args: readonly number[]): Ended {
    const { left, stack } = this.contexts[context];
    assert(left === null, 'a CPU finishes a function before it begins another');
    return this.go(context, cpu, { name, args, stack, cpu });
  }

  private goOn(context: number, cpu: number): Ended {
    const { left, frames } = this.contexts[context];
    assert(left !== null, 'a CPU has left what it goes on with');
    this.contexts[context].left = null;
    this.rewinding = true;
    this.ask('asyncify_start_rewind', frames);
    return this.go(context, cpu, left);
  }

  private go(context: number, cpu: number, { name, args, stack, cpu: runs }: Left): Ended {
    const { active, activeCpu } = this;
    const outer = { stack: this.stackPointer.value, cpu: this.cpu };
    this.state = ++this.states;
    this.setStack(stack);
    this.setCpu(runs);
    this.active = context;
    this.activeCpu = cpu;
    try {
      const result = this.function(name)(...args);
      if (this.ask('asyncify_get_state', 0) === 0) return { left: false, result };
      this.ask('asyncify_stop_unwind', 0);
      const left = { name, args, stack: Number(this.stackPointer.value), cpu: this.cpu };
      this.contexts[context].left = left;
      return { left: true };
    } finally {
      this.stackPointer.value = outer.stack;
      this.active = active;
      this.activeCpu = activeCpu;
      if (active >= 0) this.setCpu(outer.cpu);
    }
  }

  private setStack(address: number): void {
    const value: unknown = this.wideStack ? BigInt(address) : address;
    this.stackPointer.value = value as number;
  }

  /** Memory as words; the image may have made it grow. */
  ints(): Int32Array {
    if (this.view.buffer !== this.memory.buffer) this.view = new Int32Array(this.memory.buffer);
    return this.view;
  }

  ask(name: string, ...args: readonly number[]): number {
    return this.function(name)(...args);
  }

  copy(to: number, from: number, bytes: number): void {
    new Uint8Array(this.memory.buffer).copyWithin(to, from, from + bytes);
  }

  readInt(address: number): number {
    return this.ints()[address >> 2];
  }

  writeInt(address: number, value: number): void {
    this.ints()[address >> 2] = value;
  }

  text(address: number): string {
    return textAt(this.memory, address);
  }

  print(format: string, args: number): void {
    this.hooks.print(printed(this, format, args, this.wideStack));
  }

  warn(file: string, line: number): void {
    this.hooks.warn(file, line);
  }

  sampleBegin(event: number): void {
    this.record = [];
    this.recordOf = event;
  }

  samplePart(address: number, bytes: number): void {
    this.record.push(new Uint8Array(this.memory.buffer).slice(address, address + bytes));
  }

  sampleEnd(): void {
    this.hooks.record(this.cpu, this.recordOf, Buffer.concat(this.record));
  }

  cpuHas(feature: number): boolean {
    return this.features.has(feature);
  }

  cpuid(leaf: number, subleaf: number): readonly number[] {
    return cpuidOf(this.model, leaf, subleaf);
  }
}

/** Images of the kernel trees that this machine has, and a guest that runs one without a host. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import type { MsrPort, Vector } from '../../src/hw/msr_port.js';
import { buildImage, type LongBits } from '../../src/tree/image/build.js';
import { type Image, ImageInstance } from '../../src/tree/image/instance.js';
import { moduleTypes } from '../../src/tree/image/module_types.js';
import { openTree } from '../../src/tree/image/tree.js';
import { WebAssembly } from '../../src/tree/webassembly.js';

/** Kept between runs of the tests. */
const CACHE = fileURLToPath(new URL('../../.cache/image-test', import.meta.url));

const TOOLS = ['clang', 'wasm-ld', 'wasm-opt'];

function tarOf(version: string): string {
  return `/usr/src/linux-source-${version}.tar.xz`;
}

function missingTool(): string | undefined {
  return TOOLS.find((tool) => {
    try {
      execFileSync(tool, ['--version'], { stdio: 'ignore' });
      return false;
    } catch {
      return true;
    }
  });
}

/** Of these versions, those whose trees can be built here. Says loudly what is skipped, and why. */
export function imageVersions(...wanted: readonly string[]): string[] {
  const tool = missingTool();
  return wanted.filter((version) => {
    const missing = tool ?? (existsSync(tarOf(version)) ? undefined : `linux-source-${version}`);
    if (missing === undefined) return true;
    console.warn(
      `\nSKIPPED: the whole path of Linux ${version}, since ${missing} is not installed\n`,
    );
    return false;
  });
}

export async function imageOf(version: string, bits: LongBits = 64): Promise<Image> {
  const tree = await openTree(tarOf(version), CACHE);
  const bytes = await buildImage(tree, CACHE, bits);
  return { module: new WebAssembly.Module(bytes), types: moduleTypes(bytes) };
}

const MSR_IA32_PMC0 = 0xc1;
const PERF_TYPE_RAW = 4;
/** Event 2EH, umask 41H: architectural, and without constraints. */
const LLC_MISSES = 0x412e;
const PERIOD = 100_000;

/** Counters and what selects them, which the model of the hardware does not have. */
function isCounter(msr: number): boolean {
  const ranges = [
    [0xc1, 8],
    [0x186, 8],
    [0x309, 4],
    [0x38d, 1],
    [0x4c1, 8],
  ];
  return ranges.some(([from, size]) => msr >= from && msr < from + size);
}

/** IA32_A_PMC0 and up are IA32_PMC0 and up with full-width writes. */
function narrow(msr: number): number {
  return msr >= 0x4c1 && msr < 0x4c9 ? msr - 0x4c1 + MSR_IA32_PMC0 : msr;
}

/** The MSRs of a CPU of its own. Accesses are logged, except those of counters. */
export class OwnMsrs implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  readonly cpu: LogicalProcessor;
  log: string[] = [];
  private readonly counters = new Map<number, readonly [number, number]>();

  constructor(model: CpuModel) {
    const layout = new Layout();
    const at = LogicalProcessor.allocate(layout, model);
    this.cpu = new LogicalProcessor(new Memory(layout), model, at);
  }

  /** A counter overflows: it is at 0, which is the period from where it began. */
  overflow(counter: number): void {
    this.counters.set(MSR_IA32_PMC0 + counter, [0, 0]);
    this.cpu.counterOverflow(counter);
  }

  rdmsr(msr: number): number {
    if (isCounter(msr)) {
      const [low, high] = this.counters.get(narrow(msr)) ?? [0, 0];
      [this.edx, this.vector] = [high, 0];
      return low;
    }
    const low = this.cpu.rdmsr(msr);
    [this.edx, this.vector] = [this.cpu.edx, this.cpu.vector];
    this.note('r', msr, low, this.edx);
    return low;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    if (isCounter(msr)) {
      this.counters.set(narrow(msr), [eax, edx]);
      return 0;
    }
    const vector = this.cpu.wrmsr(msr, eax, edx);
    this.note('w', msr, eax, edx);
    return vector;
  }

  private note(how: string, msr: number, low: number, high: number): void {
    const [name, ...value] = [msr, high >>> 0, low >>> 0].map((n) => n.toString(16));
    this.log.push(`${how} ${name} ${value.join(':')}`);
  }

  /** Returns the accesses since the last call. */
  take(): string[] {
    const { log } = this;
    this.log = [];
    return log;
  }
}

const USER_IP = 0x1000;

/** Attributes of an event, as bits of the last argument of `vlbr_attr`. */
export const ATTR = { disabled: 1, inherit: 2, excludeKernel: 32 } as const;

/** A guest on CPUs of its own. */
export class ImageGuest {
  readonly kernel: ImageInstance;
  readonly msrs: readonly OwnMsrs[];
  readonly warnings: string[] = [];
  readonly printed: string[] = [];
  readonly samples: Uint8Array[] = [];
  /** Addresses of tasks: the idle ones first, one a CPU. */
  readonly idle: readonly number[];
  /** Whether a function is left before its next access. */
  leave: () => boolean = () => false;

  constructor(image: Image, model: CpuModel, cpus = 2) {
    this.msrs = Array.from({ length: cpus }, () => new OwnMsrs(model));
    const hooks = {
      leave: () => this.leave(),
      print: (line: string) => void this.printed.push(line),
      warn: (file: string, line: number) => void this.warnings.push(`${file}:${line}`),
      sample: (bytes: Uint8Array) => void this.samples.push(bytes),
    };
    this.kernel = new ImageInstance(image, model, this.msrs, hooks, true);
    this.idle = this.msrs.map((_, cpu) => this.task(0, cpu));
    for (const msrs of this.msrs) msrs.take();
  }

  /** A new task; with a CPU, the one that runs there. */
  task(pid: number, cpu = -1): number {
    const task = this.kernel.ask('vlbr_task', pid);
    if (cpu >= 0) this.kernel.ask('vlbr_set_current', task, cpu);
    return task;
  }

  /** Runs a function on a CPU to its end, however often it is left. */
  call(cpu: number, name: string, ...args: readonly number[]): number {
    let ended = this.kernel.run(cpu, name, ...args);
    while (ended.left) ended = this.kernel.resume(cpu);
    return ended.result;
  }

  switchTo(cpu: number, task: number): void {
    this.call(cpu, 'vlbr_context_switch', task);
  }

  /** Opens an event that any general counter can count (the last-level cache’s misses). Returns its address. @throws Error with the errno. */
  open(cpu: number, pid: number, branchType: number, flags: number, onCpu = -1): number {
    const attr = this.kernel.ask('vlbr_attr', PERF_TYPE_RAW, LLC_MISSES, branchType, PERIOD, flags);
    const event = this.call(cpu, 'vlbr_open', attr, pid, onCpu);
    if (event < 0) throw new Error(`perf_event_open() returns ${event}`);
    return event;
  }

  /** A field of one of the tree's structures. */
  field(address: number, name: string): number {
    return this.kernel.readInt(address + this.kernel.offsets.at(name));
  }

  /** A PMI on a CPU for an event that counts there. */
  pmi(cpu: number, event: number): void {
    this.msrs[cpu].overflow(this.field(event, 'perf_event.hw.idx'));
    this.call(cpu, 'vlbr_nmi', USER_IP, 1);
  }

  /** cpu_hw_events.lbr_users of a CPU. */
  lbrUsers(cpu: number): number {
    return this.field(this.kernel.ask('vlbr_cpu_hw_events', cpu), 'cpu_hw_events.lbr_users');
  }
}

/** Images of the kernel trees that this machine has, and a guest that runs one without a host. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { BareCpu } from '../../src/guest/image/bare_cpu.js';
import type { LongBits } from '../../src/tree/image/build.js';
import { treeImage, type TreeImage } from '../../src/tree/image/image.js';
import { linesRun, type LinesRun } from '../../src/tree/image/lines.js';
import { openTree } from '../../src/tree/image/tree.js';
import { type Image, ImageInstance } from '../../src/guest/image/instance.js';

/**
 * XDG_CACHE_HOME of the commands that tests start, and vlbr's folder in it. Trees and images are
 * made once for all tests, and kept between runs.
 */
export const CACHE_HOME: string = fileURLToPath(new URL('../../.cache/test', import.meta.url));
export const CACHE: string = join(CACHE_HOME, 'vlbr');

const TOOLS = ['clang', 'wasm-ld', 'wasm-opt'];

export function tarOf(version: string): string {
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

/** An image of which some files count which of their lines run; and those lines. */
export async function countingImage(
  version: string,
  ...counted: string[]
): Promise<{ image: TreeImage; lines: () => Promise<LinesRun> }> {
  const options = { counted };
  const image = await treeImage(tarOf(version), CACHE, options);
  const tree = await openTree(tarOf(version), CACHE);
  const lines = (): Promise<LinesRun> =>
    linesRun(tree, CACHE, options, image.counted?.counts() ?? []);
  return { image, lines };
}

export async function imageOf(version: string, bits: LongBits = 64): Promise<TreeImage> {
  return treeImage(tarOf(version), CACHE, { bits });
}

const USER_IP = 0x1000;

/** A CPU that keeps its accesses as lines. */
export class LoggedCpu extends BareCpu {
  private log: string[] = [];

  protected override accessed(how: string, msr: number, low: number, high: number): void {
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

/** A guest on CPUs of its own. */
export class ImageGuest {
  readonly kernel: ImageInstance;
  readonly msrs: readonly LoggedCpu[];
  readonly warnings: string[] = [];
  readonly printed: string[] = [];
  readonly samples: Uint8Array[] = [];
  /** Addresses of tasks: the idle ones first, one a CPU. */
  readonly idle: readonly number[];
  /** Whether a function is left before its next access. */
  leave: () => boolean = () => false;

  constructor(image: Image, model: CpuModel, cpus = 2) {
    this.msrs = Array.from({ length: cpus }, () => new LoggedCpu(model));
    const hooks = {
      runs: () => true,
      nmi: () => false,
      nmiReturns: () => {},
      leave: () => this.leave(),
      print: (line: string) => void this.printed.push(line),
      warn: (file: string, line: number) => void this.warnings.push(`${file}:${line}`),
      record: (_cpu: number, _event: number, bytes: Uint8Array) => void this.samples.push(bytes),
    };
    this.kernel = new ImageInstance(image, model, this.msrs, hooks, true);
    this.idle = this.msrs.map((_, cpu) => this.task(cpu));
    for (const msrs of this.msrs) msrs.take();
  }

  /** A new task; with a CPU, the one that runs there. */
  task(cpu = -1): number {
    const task = this.kernel.ask('vlbr_task');
    if (cpu >= 0) this.kernel.ask('vlbr_set_current', task, cpu);
    return task;
  }

  pid(task: number): number {
    return this.field(task, 'task_struct.pid');
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

  /**
   * Opens an event that any general counter can count. Returns its address.
   *
   * @throws Error with the errno.
   */
  open(cpu: number, pid: number, branchType: number, flags: number, onCpu = -1): number {
    const event = this.call(cpu, 'vlbr_open', pid, onCpu, branchType, flags);
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

/**
 * Reads the recordings of the kernel's own C in this folder, and stands in for the hardware while
 * the port repeats what they hold.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { Kernel, KernelLayout } from '../../src/guest/perf/kernel.js';
import type { KernelConfig, KernelOutput } from '../../src/guest/perf/kernel.js';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { CPU_MODELS, LBR_FORMAT_32, LBR_FORMAT_INFO2 } from '../../src/hw/cpu_models.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import type { MsrPort, Vector } from '../../src/hw/msr_port.js';

/** Reads `name`.json.gz; the caller says what is in it. */
export function readGolden(name: string): unknown {
  const file = new URL(`${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString());
}

/** The low and the high word of a hexadecimal number of up to 64 bits. */
export function words64(hex: string): [number, number] {
  const digits = hex.padStart(16, '0');
  return [Number.parseInt(digits.slice(8), 16) | 0, Number.parseInt(digits.slice(0, 8), 16) | 0];
}

/** Prints two words as the recordings do, without leading zeros. */
export function print64(lo: number, hi: number): string {
  return ((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)).toString(16);
}

/** Answers reads from the recording, and objects to the first access that is not the recorded. */
export class RecordedPort implements MsrPort {
  edx = 0;
  readonly vector: Vector = 0;
  private accesses: readonly string[] = [];
  private done = 0;

  /** @param msrs - accesses in order, `r` or `w`, index, `=`, value, separated by blanks. */
  begin(msrs = ''): void {
    this.accesses = msrs === '' ? [] : msrs.split(' ');
    this.done = 0;
  }

  end(): void {
    const next = this.accesses[this.done];
    if (next !== undefined) throw new Error(`stops before access ${this.done}, ${next}`);
  }

  private next(access: string): string {
    const recorded = this.accesses[this.done++] ?? 'none';
    if (!recorded.startsWith(access)) {
      throw new Error(`access ${this.done - 1} is ${access}, not ${recorded}`);
    }
    return recorded;
  }

  rdmsr(msr: number): number {
    const access = `r${msr.toString(16)}=`;
    const [lo, hi] = words64(this.next(access).slice(access.length));
    this.edx = hi;
    return lo;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    const access = `w${msr.toString(16)}=${print64(eax, edx)}`;
    const recorded = this.next(access);
    if (recorded !== access) throw new Error(`writes ${access}, not ${recorded}`);
    return 0;
  }
}

/** The model of a recording, of which a few are not in the table. */
export function modelOf(name: string): CpuModel {
  const model = CPU_MODELS.find((m) => m.name === name);
  if (model !== undefined) return model;
  const like = CPU_MODELS.find((m) => m.name === (name === 'format-info2' ? 'skylake' : 'core2'));
  if (like === undefined) throw new Error(`no model ${name}`);
  // Formats that no model of the table has, and a CPU whose LBR MSRs the kernel found missing.
  if (name === 'format-info2') return { ...like, lbr_format: LBR_FORMAT_INFO2 };
  return name === 'format-32' ? { ...like, lbr_format: LBR_FORMAT_32 } : { ...like, lbr_nr: 0 };
}

/** Boots a kernel of its own on a port that all its CPUs share. */
export function bootKernel(
  config: Pick<KernelConfig, 'model' | 'pmu_version'> & Partial<KernelConfig>,
  port: MsrPort,
  output: KernelOutput = { sample: () => {} },
): Kernel {
  const whole = {
    cpus: 2,
    tasks: 4,
    events: 4,
    version: '6.1',
    pv: 'none',
    ...config,
  } as const;
  const layout = new Layout();
  const kernelLayout = new KernelLayout(layout, whole);
  const ports = Array.from({ length: whole.cpus }, () => port);
  const kernel = new Kernel(new Memory(layout), kernelLayout, whole, ports, output);
  kernel.clear();
  return kernel;
}

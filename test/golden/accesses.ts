/**
 * Reads the recordings of the kernel's own C in this folder, and stands in for the hardware while
 * the port repeats what they hold.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { CPU_MODELS, LBR_FORMAT_32, LBR_FORMAT_INFO2 } from '../../src/hw/cpu_models.js';
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

/** One call of a recording: the function and its arguments, and what it did. */
export interface RecordedCall {
  readonly call: readonly [string, ...number[]];
  /** Its MSR accesses, as `RecordedPort.begin` takes them. */
  readonly msrs?: string;
  /** What it changed, by name. */
  readonly state?: Readonly<Record<string, number>>;
}

/** The calls that were made on one CPU model. */
export interface RecordedTrace<C extends RecordedCall> {
  readonly model: string;
  /** Of the PMU. */
  readonly version: number;
  readonly lbr_nr: number;
  readonly calls: readonly C[];
}

/**
 * Repeats a trace: each call has to make the accesses that were recorded, in their order, and to
 * leave what was left.
 *
 * @param perform - makes one call.
 * @param stateOf - what is compared after each call, by name.
 * @param expected - what is there before the first call; 0 for a name that is not in it.
 */
export function repeat<C extends RecordedCall>(
  trace: RecordedTrace<C>,
  port: RecordedPort,
  perform: (call: C) => void,
  stateOf: () => Readonly<Record<string, number>>,
  expected: Record<string, number> = {},
): void {
  const { model, version, lbr_nr, calls } = trace;
  for (const [i, call] of calls.entries()) {
    const which = `${model}, version ${version}, depth ${lbr_nr}, call ${i}`;
    const where = `${which}: ${call.call.join(' ')}`;
    port.begin(call.msrs);
    try {
      perform(call);
      port.end();
    } catch (e) {
      throw new Error(`${where}: ${String(e)}`, { cause: e });
    }
    Object.assign(expected, call.state);
    for (const [name, value] of Object.entries(stateOf())) {
      if (value !== (expected[name] ?? 0)) expect.fail(`${where}: ${name} is ${value}`);
    }
  }
}

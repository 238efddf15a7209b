/**
 * Reads the recordings of the kernel's own C in this folder. RecordedPort stands in for the
 * hardware while the port repeats a recording.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'vitest';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { CPU_MODELS, LBR_FORMAT_32, LBR_FORMAT_INFO2 } from '../../src/hw/cpu_models.js';
import type { MsrPort, Vector } from '../../src/hw/msr_port.js';

/** Reads `name`.json.gz. The caller knows the type of the content. */
export function readGolden(name: string): unknown {
  const file = new URL(`${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString());
}

/** Splits a hexadecimal number of up to 64 bits into its low and its high word. */
export function words64(hex: string): [number, number] {
  const digits = hex.padStart(16, '0');
  return [Number.parseInt(digits.slice(8), 16) | 0, Number.parseInt(digits.slice(0, 8), 16) | 0];
}

/** Prints two words in the form of the recordings: hexadecimal without leading zeros. */
export function print64(lo: number, hi: number): string {
  return ((BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0)).toString(16);
}

/** Answers reads from the recording. Fails at the first access that differs. */
export class RecordedPort implements MsrPort {
  edx = 0;
  readonly vector: Vector = 0;
  private accesses: readonly string[] = [];
  private done = 0;

  /** @param msrs - accesses in order, such as `r1c9=3 w1d9=0`: `r` or `w`, index, value. */
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

/** The CPU model that a recording names. A few of these models are not in the table. */
export function modelOf(name: string): CpuModel {
  const model = CPU_MODELS.find((m) => m.name === name);
  if (model !== undefined) return model;
  const like = CPU_MODELS.find((m) => m.name === (name === 'format-info2' ? 'skylake' : 'core2'));
  if (like === undefined) throw new Error(`no model ${name}`);
  // No model of the table has these formats or lacks the LBR MSRs.
  if (name === 'format-info2') return { ...like, lbr_format: LBR_FORMAT_INFO2 };
  return name === 'format-32' ? { ...like, lbr_format: LBR_FORMAT_32 } : { ...like, lbr_nr: 0 };
}

/** One call of a recording: the function, its arguments and its effects. */
export interface RecordedCall {
  readonly call: readonly [string, ...number[]];
  /** MSR accesses of the call, as `RecordedPort.begin` takes them. */
  readonly msrs?: string;
  /** State that the call changed, by name. */
  readonly state?: Readonly<Record<string, number>>;
}

/** The recorded calls on one CPU model. */
export interface RecordedTrace<C extends RecordedCall> {
  readonly model: string;
  /** Version of the PMU. */
  readonly version: number;
  readonly lbr_nr: number;
  readonly calls: readonly C[];
}

/**
 * Repeats a trace. Each call must make the recorded accesses in their order and leave the recorded
 * state.
 *
 * @param perform - makes one call.
 * @param stateOf - the state to compare after each call, by name.
 * @param expected - the state before the first call; a name that is missing here stands for 0.
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

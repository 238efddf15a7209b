/**
 * The MSRs of a CPU while drivers are compared. An MSR holds the value written last. Before a
 * write, its value follows from a seed, independent of the order of reads.
 */
import * as branch from '../../hw/branch.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import * as models from '../../hw/cpu_models.js';
import type { LbrMap } from '../../hw/lbr_map.js';
import * as map from '../../hw/lbr_map.js';
import { MSR_IA32_DEBUGCTLMSR, MSR_LBR_SELECT, MSR_LBR_TOS } from '../../hw/msr_index.js';
import type { MsrPort, Vector } from '../../hw/msr_port.js';
import { type RegisterSpec, STIR_BRANCHES } from './sequence.js';

/** Kinds of access in a log, which has ACCESS_WORDS words for each: kind, index, eax, edx. */
export const READ = 0;
const WRITE = 1;
export const ACCESS_WORDS = 4;

/** One in this many records is empty. */
const HOLE_ONE_IN = 8;

/** Only values that hardware would leave. */
export const TAME: RegisterSpec = { seed: 0, full: false, wildRecords: false, wildTos: false };

const DEBUGCTLS: readonly number[] = [0, 1, 0x801, 0x800, 0x1801, 0x4001];

/** A small generator for the value of one register. */
class Mixer {
  private state = 0;

  start(...words: readonly number[]): void {
    this.state = 0x9e3779b9;
    for (const word of words) this.state = Math.imul(this.state ^ word, 0x85ebca6b) ^ (word >>> 15);
  }

  word(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) | 0;
  }

  below(n: number): number {
    return (this.word() >>> 0) % n;
  }

  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
}

type Value = readonly [eax: number, edx: number];

export class RegisterFile implements MsrPort {
  edx = 0;
  readonly vector: Vector = 0;
  private readonly model: CpuModel;
  private readonly cpu: number;
  private readonly log: number[];
  private readonly lbr: LbrMap;
  private readonly mixer = new Mixer();
  private readonly values = new Map<number, Value>();
  /** How often the value of a register was forgotten. */
  private readonly generations = new Map<number, number>();
  private spec: RegisterSpec = TAME;

  /** @param log - receives the accesses. The CPUs of a kernel share it. */
  constructor(model: CpuModel, cpu: number, log: number[]) {
    this.model = model;
    this.cpu = cpu;
    this.log = log;
    this.lbr = map.lbrMap(model);
  }

  begin(spec: RegisterSpec): void {
    this.spec = spec;
    this.values.clear();
    this.generations.clear();
  }

  rdmsr(index: number): number {
    const msr = index >>> 0;
    const [eax, edx] = this.value(msr);
    this.edx = edx;
    this.log.push(READ, msr, eax, edx);
    return eax;
  }

  wrmsr(index: number, eax: number, edx: number): Vector {
    const msr = index >>> 0;
    const value: Value = [eax | 0, edx | 0];
    this.values.set(msr, value);
    this.log.push(WRITE, msr, ...value);
    return 0;
  }

  private value(msr: number): Value {
    let value = this.values.get(msr);
    if (value === undefined) {
      value = this.preset(msr);
      this.values.set(msr, value);
    }
    return value;
  }

  private forget(msr: number): void {
    this.values.delete(msr);
    this.generations.set(msr, (this.generations.get(msr) ?? 0) + 1);
  }

  /** Changes registers without the driver, in one of the ways of STIRS. `n` selects a detail. */
  stir(kind: number, n: number): void {
    const { model, values } = this;
    const tos = this.value(MSR_LBR_TOS)[0];
    const slot = (back: number): number => (tos - back) & Math.max(0, model.lbr_nr - 1);
    const branches = 1 + (n % Math.max(1, model.lbr_nr));
    switch (kind) {
      case 0:
        for (const msr of this.records()) values.set(msr, [0, 0]);
        values.set(MSR_LBR_TOS, [0, 0]);
        break;
      case 1:
        for (const msr of [...this.records(), MSR_LBR_TOS]) this.forget(msr);
        break;
      case STIR_BRANCHES:
        for (let i = 1; i <= branches; i++) this.forgetRecord(slot(-i));
        values.set(MSR_LBR_TOS, [slot(-branches), 0]);
        break;
      case 3:
        values.set(model.lbr_from + slot(n), [0, 0]);
        break;
      case 4:
        this.forget(MSR_IA32_DEBUGCTLMSR);
        break;
      default:
        this.forget(MSR_LBR_SELECT);
    }
  }

  /** Registers of records that have been accessed or set. */
  private records(): number[] {
    return [...this.values.keys()].filter((msr) => {
      const kind = this.lbr.kind(msr);
      return kind === map.KIND_FROM || kind === map.KIND_TO || kind === map.KIND_INFO;
    });
  }

  private forgetRecord(slot: number): void {
    const { lbr_from, lbr_to, lbr_info } = this.model;
    for (const first of [lbr_from, lbr_to, lbr_info]) if (first !== 0) this.forget(first + slot);
  }

  private preset(msr: number): Value {
    const { mixer, spec, model } = this;
    mixer.start(spec.seed, this.cpu, msr, this.generations.get(msr) ?? 0);
    switch (this.lbr.kind(msr)) {
      case map.KIND_FROM:
        return this.from();
      case map.KIND_TO:
        return this.to();
      case map.KIND_INFO:
        return this.info();
      case map.KIND_TOS:
        return this.tos();
      default:
        break;
    }
    const debugctl = msr === MSR_IA32_DEBUGCTLMSR;
    if (debugctl && !mixer.oneIn(3)) return [DEBUGCTLS[mixer.below(DEBUGCTLS.length)], 0];
    if (msr === MSR_LBR_SELECT && model.select !== 'none') return [mixer.below(0x400), 0];
    return [mixer.word(), mixer.word()];
  }

  private tos(): Value {
    const { mixer, model, spec } = this;
    if (spec.wildTos && mixer.oneIn(2)) return [mixer.word(), mixer.oneIn(2) ? 0 : mixer.word()];
    return [mixer.below(mixer.oneIn(8) ? 64 : Math.max(1, model.lbr_nr)), 0];
  }

  /** An address, with a low probability another value. */
  private address(kind: number): Value {
    const { mixer, spec } = this;
    if (!spec.full && mixer.oneIn(HOLE_ONE_IN)) return [0, 0];
    if (spec.wildRecords && mixer.oneIn(6)) return [mixer.word(), mixer.word()];
    const kernel = mixer.oneIn(3);
    const high = branch.addressHigh(kernel, kind, mixer.below(2), mixer.below(2), mixer.below(3));
    const low =
      !spec.full && mixer.oneIn(16) ? 0 : mixer.oneIn(16) ? mixer.word() : 1 + mixer.below(60);
    return [low, mixer.oneIn(16) ? 0 : high];
  }

  private from(): Value {
    const { mixer } = this;
    const [low, high] = this.address(mixer.below(mixer.oneIn(8) ? 16 : branch.BRANCH_IRET + 1));
    switch (this.model.lbr_format) {
      case models.LBR_FORMAT_32:
        return [low, mixer.word()];
      case models.LBR_FORMAT_EIP_FLAGS:
      case models.LBR_FORMAT_TIME:
        return [low, high ^ (mixer.below(2) << 31)];
      case models.LBR_FORMAT_EIP_FLAGS2:
        if (!this.spec.full && mixer.oneIn(16)) return [0, mixer.below(4) << 29];
        return [low, high ^ (mixer.oneIn(3) ? mixer.below(8) << 29 : 0)];
      default:
        return [low, high];
    }
  }

  private to(): Value {
    const [low, high] = this.address(branch.BRANCH_NONE);
    if (this.model.lbr_format !== models.LBR_FORMAT_TIME) return [low, high];
    return [low, (high & 0xffff) | (this.mixer.below(0x10000) << 16)];
  }

  private info(): Value {
    const { mixer } = this;
    const cycles = mixer.oneIn(4) ? mixer.word() : mixer.below(70_000);
    return [cycles, mixer.oneIn(2) ? mixer.below(8) << 29 : mixer.word()];
  }
}

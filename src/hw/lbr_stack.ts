import { LBR_FORMAT_EIP_FLAGS2, type CpuModel } from './cpu_models.js';
import { KIND_INFO, KIND_SELECT, KIND_TOS, type LbrMap, lbrMap, recordWords } from './lbr_map.js';
import type { Layout, Memory } from './memory.js';
import { LBR_FROM_SIGNEXT_2MSB_HI, LBR_INFO_CYCLES } from './msr_index.js';

/** Defined flags of INFO, in edx. */
const INFO_FLAGS_HI: number = 0xe0000000 | 0;

/**
 * An LBR stack in memory: LBR_SELECT, TOS and the records. The registers of a logical processor and
 * the copies that hypervisors save have the same layout.
 */
export class LbrStack {
  readonly model: CpuModel;
  private readonly map: LbrMap;
  private readonly words: Int32Array;
  readonly records: number;
  private readonly select: number;
  private readonly tosWord: number;
  private readonly stride: number;
  private readonly size: number;

  constructor(memory: Memory, model: CpuModel, select: number, tos: number, records: number) {
    this.words = memory.words;
    this.model = model;
    this.map = lbrMap(model);
    this.select = select;
    this.tosWord = tos;
    this.records = records;
    this.stride = recordWords(model);
    this.size = model.lbr_nr * this.stride;
  }

  /** Lays out a stack on its own: LBR_SELECT, TOS, records. */
  static allocate(layout: Layout, model: CpuModel): number {
    return layout.take(2 + model.lbr_nr * recordWords(model));
  }

  /** Word offset of the first record of a stack that `allocate` laid out at `offset`. */
  static recordsOf(offset: number): number {
    return offset + 2;
  }

  static at(memory: Memory, model: CpuModel, offset: number): LbrStack {
    return new LbrStack(memory, model, offset, offset + 1, LbrStack.recordsOf(offset));
  }

  get lbr_select(): number {
    return this.words[this.select];
  }

  get tos(): number {
    return this.words[this.tosWord];
  }

  /** Low word of an LBR register that exists; `readHigh` gives the other half. */
  readLow(msr: number): number {
    const kind = this.map.kind(msr);
    if (kind === KIND_TOS) return this.words[this.tosWord];
    if (kind === KIND_SELECT) return this.words[this.select];
    return this.words[this.records + this.map.offset(msr)];
  }

  readHigh(msr: number): number {
    if (this.map.kind(msr) >= KIND_TOS) return 0;
    return this.words[this.records + this.map.offset(msr) + 1];
  }

  /**
   * Stores what a WRMSR that does not fault leaves in the register. TOS keeps its low bits and
   * INFO its defined ones (both defaults: no source settles them).
   */
  write(msr: number, eax: number, edx: number): void {
    const kind = this.map.kind(msr);
    if (kind === KIND_TOS) {
      this.words[this.tosWord] = eax & (this.model.lbr_nr - 1);
    } else if (kind === KIND_SELECT) {
      this.words[this.select] = eax;
    } else {
      const at = this.records + this.map.offset(msr);
      this.words[at] = kind === KIND_INFO ? eax & LBR_INFO_CYCLES : eax;
      this.words[at + 1] = kind === KIND_INFO ? edx & INFO_FLAGS_HI : edx;
    }
  }

  clear(): void {
    this.words[this.select] = 0;
    this.wipe();
  }

  wipe(): void {
    this.words[this.tosWord] = 0;
    this.words.fill(0, this.records, this.records + this.size);
  }

  /** Copies all registers of another stack, as RDMSR of each would read them. */
  copyFrom(other: LbrStack, select: boolean): void {
    if (select) this.words[this.select] = other.words[other.select];
    this.words[this.tosWord] = other.words[other.tosWord];
    for (let i = 0; i < this.size; i++) {
      this.words[this.records + i] = other.words[other.records + i];
    }
  }

  /**
   * Writes all registers of another stack with WRMSR, which may refuse a FROM or a TO. A part
   * without TSX captures FROM with bits that WRMSR wants sign-extended; this method extends them
   * (HSD172, HSM182).
   *
   * Returns the index of an MSR that refused its value and kept its old one, or 0.
   */
  load(other: LbrStack, select: boolean): number {
    const { lbr_format, tsx } = this.model;
    return this.take(other, select, lbr_format === LBR_FORMAT_EIP_FLAGS2 && !tsx);
  }

  /** `load` without the fix-up: what the MSR-load area of a VM entry does with captured values. */
  loadRaw(other: LbrStack, select: boolean): number {
    return this.take(other, select, false);
  }

  private take(other: LbrStack, select: boolean, fixup: boolean): number {
    const { lbr_from, lbr_to, lbr_nr } = this.model;
    let refused = 0;
    for (let i = 0; i < lbr_nr; i++) {
      const at = this.records + i * this.stride;
      const there = other.records + i * this.stride;
      let fromHi = other.words[there + 1];
      if (fixup) fromHi |= (fromHi & LBR_FROM_SIGNEXT_2MSB_HI) << 2;
      if (this.map.fromFaults(fromHi)) {
        refused = lbr_from + i;
      } else {
        this.words[at] = other.words[there];
        this.words[at + 1] = fromHi;
      }
      if (this.map.toFaults(other.words[there + 3])) {
        refused = lbr_to + i;
      } else {
        this.words[at + 2] = other.words[there + 2];
        this.words[at + 3] = other.words[there + 3];
      }
      for (let w = 4; w < this.stride; w++) this.words[at + w] = other.words[there + w];
    }
    this.words[this.tosWord] = other.words[other.tosWord];
    if (select) this.words[this.select] = other.words[other.select];
    return refused;
  }

  /** Whether some record that `other` does not have in the same slot satisfies `p(FROM edx)`. */
  differsFrom(other: LbrStack, p: (edx: number) => boolean): boolean {
    for (let i = 0; i < this.size; i += this.stride) {
      const eax = this.words[this.records + i];
      const edx = this.words[this.records + i + 1];
      const there = other.records + i;
      const same = other.words[there] === eax && other.words[there + 1] === edx;
      if (!same && (eax | edx) !== 0 && p(edx)) return true;
    }
    return false;
  }

  /** Whether some record's FROM has this low word, and a high word that satisfies `p`. */
  has(eax: number, p: (edx: number) => boolean): boolean {
    for (let i = this.records; i < this.records + this.size; i += this.stride) {
      if (this.words[i] === eax && p(this.words[i + 1])) return true;
    }
    return false;
  }

  /** Whether some record's FROM has a high word that satisfies `p`. */
  hasRecord(p: (edx: number) => boolean): boolean {
    for (let i = this.records; i < this.records + this.size; i += this.stride) {
      const edx = this.words[i + 1];
      if ((this.words[i] | edx) !== 0 && p(edx)) return true;
    }
    return false;
  }

  get empty(): boolean {
    for (let i = this.records; i < this.records + this.size; i += this.stride) {
      if ((this.words[i] | this.words[i + 1]) !== 0) return false;
    }
    return true;
  }
}

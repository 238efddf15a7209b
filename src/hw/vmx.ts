/**
 * Models the VMX controls that reach the LBR: the guest's IA32_DEBUGCTL in the VMCS ("load" and
 * "save debug controls", both of which KVM requires) and the MSR bitmap.
 *
 * SDM: Vol. 3C, "VM-Entry Controls", "VM-Exit Controls", "MSR-Bitmap Address", "Loading Host
 * Control Registers, Debug Registers, MSRs". Neither transition is itself recorded, and neither
 * touches the LBR stack: what the last user left is what the next one finds.
 */
import { assert } from './assert.js';
import { debugctlValid, type LogicalProcessor } from './logical_processor.js';
import type { CpuModel } from './cpu_models.js';
import { KIND_NONE, type LbrMap, lbrMap } from './lbr_map.js';
import type { Layout, Memory } from './memory.js';

const GUEST_DEBUGCTL = 0;
const BITMAP_READ = 1;
const BITMAP_WORDS = 4;
const BITMAP_WRITE: number = BITMAP_READ + BITMAP_WORDS;
const VMCS_WORDS: number = BITMAP_WRITE + BITMAP_WORDS;

/** The VMCS fields of one vCPU, with its MSR bitmap. */
export class Vmcs {
  static readonly WORDS: number = VMCS_WORDS;
  private readonly words: Int32Array;
  private readonly o: number;
  private readonly model: CpuModel;
  private readonly map: LbrMap;

  constructor(memory: Memory, model: CpuModel, offset: number) {
    this.words = memory.words;
    this.model = model;
    this.map = lbrMap(model);
    this.o = offset;
  }

  static allocate(layout: Layout): number {
    return layout.take(VMCS_WORDS);
  }

  /** GUEST_IA32_DEBUGCTL; its high half is 0 on every model of the table. */
  get guestDebugctl(): number {
    return this.words[this.o + GUEST_DEBUGCTL];
  }

  set guestDebugctl(value: number) {
    this.words[this.o + GUEST_DEBUGCTL] = value;
  }

  /**
   * Makes an LBR MSR exit on read and on write, or pass through on both. A compact bitmap stands
   * in for VMX's 4 KiB page: only LBR MSRs can be passed through, every other index always exits.
   * Its words hold pass-through bits, so that all zero intercepts all.
   */
  setIntercept(msr: number, intercept: boolean): void {
    assert(this.map.kind(msr) !== KIND_NONE, 'only an LBR MSR can be passed through');
    const bit = this.map.bit(msr);
    const at = this.o + BITMAP_READ + (bit >> 5);
    const mask = 1 << (bit & 31);
    for (const word of [at, at + BITMAP_WORDS]) {
      if (intercept) this.words[word] &= ~mask;
      else this.words[word] |= mask;
    }
  }

  /** `setIntercept` for every LBR MSR of the model. */
  setIntercepts(intercept: boolean): void {
    const { count } = this.map;
    for (let i = 0; i < BITMAP_WORDS; i++) {
      const bits = Math.min(32, Math.max(0, count - 32 * i));
      const mask = bits === 32 ? -1 : (1 << bits) - 1;
      this.words[this.o + BITMAP_READ + i] = intercept ? 0 : mask;
      this.words[this.o + BITMAP_WRITE + i] = intercept ? 0 : mask;
    }
  }

  interceptsRead(msr: number): boolean {
    return this.intercepts(msr, this.o + BITMAP_READ);
  }

  interceptsWrite(msr: number): boolean {
    return this.intercepts(msr, this.o + BITMAP_WRITE);
  }

  private intercepts(msr: number, bitmap: number): boolean {
    if (this.map.kind(msr) === KIND_NONE) return true;
    const bit = this.map.bit(msr);
    return (this.words[bitmap + (bit >> 5)] & (1 << (bit & 31))) === 0;
  }

  /**
   * VM entry loads the guest's IA32_DEBUGCTL.
   *
   * Returns false when a reserved bit is set and the entry fails. SDM: Vol. 3C, "Checks on Guest
   * Control Registers, Debug Registers, and MSRs".
   */
  enter(cpu: LogicalProcessor): boolean {
    const debugctl = this.words[this.o + GUEST_DEBUGCTL];
    if ((debugctl & ~debugctlValid(this.model)) !== 0) return false;
    cpu.debugctl = debugctl;
    return true;
  }

  /** VM exit saves the guest's IA32_DEBUGCTL and clears the register. */
  exit(cpu: LogicalProcessor): void {
    this.words[this.o + GUEST_DEBUGCTL] = cpu.debugctl;
    cpu.debugctl = 0;
  }
}

/**
 * Models the VMX controls that reach the LBR: the guest's IA32_DEBUGCTL in the VMCS ("load" and
 * "save debug controls", both of which KVM requires) and the MSR bitmap.
 *
 * SDM: Vol. 3C, "VM-Entry Controls", "VM-Exit Controls", "MSR-Bitmap Address", "Loading Host
 * Control Registers, Debug Registers, MSRs". Neither transition is itself recorded, and neither
 * touches the LBR stack: what the last user left is what the next one finds.
 */
import type { LogicalProcessor } from './logical_processor.js';
import { debugctlValid } from './logical_processor.js';
import type { CpuModel } from './cpu_models.js';
import type { Layout, Memory } from './memory.js';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from './msr_index.js';

const GUEST_DEBUGCTL = 0;
const BITMAP_READ = 1;
const BITMAP_WORDS = 4;
const BITMAP_WRITE: number = BITMAP_READ + BITMAP_WORDS;
const VMCS_WORDS: number = BITMAP_WRITE + BITMAP_WORDS;

/** The VMCS fields of one vCPU, with its MSR bitmap. */
export class Vmcs {
  private readonly words: Int32Array;
  private readonly o: number;
  private readonly model: CpuModel;

  constructor(memory: Memory, model: CpuModel, offset: number) {
    this.words = memory.words;
    this.model = model;
    this.o = offset;
  }

  static allocate(layout: Layout): number {
    return layout.take(VMCS_WORDS);
  }

  /** GUEST_IA32_DEBUGCTL; its high half is 0 on every model of the table. */
  get guest_debugctl(): number {
    return this.words[this.o + GUEST_DEBUGCTL];
  }

  set guest_debugctl(value: number) {
    this.words[this.o + GUEST_DEBUGCTL] = value;
  }

  /**
   * Bit of an LBR MSR in the compact bitmap that stands in for VMX's 4 KiB page: only the LBR
   * MSRs can be passed through, every other index always exits. -1 for such an index.
   */
  private bit(msr: number): number {
    const { lbr_from, lbr_to, lbr_info, lbr_nr } = this.model;
    let i = msr - lbr_from;
    if (i >= 0 && i < lbr_nr) return i;
    i = msr - lbr_to;
    if (i >= 0 && i < lbr_nr) return 32 + i;
    if (lbr_info !== 0) {
      i = msr - lbr_info;
      if (i >= 0 && i < lbr_nr) return 64 + i;
    }
    if (msr === MSR_LBR_SELECT) return 96;
    return msr === MSR_LBR_TOS ? 97 : -1;
  }

  /** Makes an LBR MSR exit on read and on write, or pass through on both. */
  setIntercept(msr: number, intercept: boolean): void {
    const bit = this.bit(msr);
    const mask = 1 << (bit & 31);
    const at = this.o + (bit >> 5);
    if (intercept) {
      this.words[at + BITMAP_READ] &= ~mask;
      this.words[at + BITMAP_WRITE] &= ~mask;
    } else {
      this.words[at + BITMAP_READ] |= mask;
      this.words[at + BITMAP_WRITE] |= mask;
    }
  }

  /** Whether RDMSR exits. The words hold pass-through bits, so that all zero intercepts all. */
  interceptsRead(msr: number): boolean {
    const bit = this.bit(msr);
    return bit < 0 || (this.words[this.o + BITMAP_READ + (bit >> 5)] & (1 << (bit & 31))) === 0;
  }

  /** Whether WRMSR exits. */
  interceptsWrite(msr: number): boolean {
    const bit = this.bit(msr);
    return bit < 0 || (this.words[this.o + BITMAP_WRITE + (bit >> 5)] & (1 << (bit & 31))) === 0;
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

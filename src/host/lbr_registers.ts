/**
 * The host's accesses to the LBR MSRs of its pCPUs: one place that knows how a whole stack is
 * saved and restored, on whose behalf, and what the host's own event lends.
 *
 * Every slot is saved, not only those above the first empty one: a guest may leave holes.
 */
import type { CpuModel } from '../hw/cpu_models.js';
import type { LbrStack, LogicalProcessor } from '../hw/logical_processor.js';
import { LBR_FORMAT_EIP_FLAGS2 } from '../hw/cpu_models.js';
import type { Vector } from '../hw/msr_port.js';
import * as msrs from '../hw/msr_index.js';
import type { Observer } from './observer.js';
import { HOST } from './observer.js';

const SIGNEXT_2MSB_HI: number = (1 << (60 - 32)) | (1 << (59 - 32));

export class LbrRegisters {
  edx = 0;
  private readonly model: CpuModel;
  private readonly pcpus: readonly LogicalProcessor[];
  /** What the host's own event had when its registers were borrowed, per pCPU. */
  private readonly lent: readonly LbrStack[];
  /** Word offset of a flag per pCPU: the host's registers are lent out. */
  private readonly flags: number;
  private readonly w: Int32Array;
  private readonly observer: Observer;

  constructor(
    w: Int32Array,
    pcpus: readonly LogicalProcessor[],
    lent: readonly LbrStack[],
    flags: number,
    observer: Observer,
  ) {
    this.w = w;
    this.model = pcpus[0].model;
    this.pcpus = pcpus;
    this.lent = lent;
    this.flags = flags;
    this.observer = observer;
  }

  /** RDMSR on behalf of a vCPU or of the host. Returns eax and leaves edx. */
  read(pcpu: number, onBehalf: number, msr: number): number {
    const cpu = this.pcpus[pcpu];
    const eax = cpu.rdmsr(msr);
    this.edx = cpu.edx;
    if (cpu.vector !== 0) this.observer.hostFault(pcpu, msr, false);
    this.observer.hostAccess(pcpu, onBehalf, msr, false);
    return eax;
  }

  write(pcpu: number, onBehalf: number, msr: number, eax: number, edx: number): void {
    if (this.writeSafe(pcpu, onBehalf, msr, eax, edx) !== 0) {
      this.observer.hostFault(pcpu, msr, true);
    }
  }

  /** WRMSR by code that is ready for a fault. */
  writeSafe(pcpu: number, onBehalf: number, msr: number, eax: number, edx: number): Vector {
    const vector = this.pcpus[pcpu].wrmsr(msr, eax, edx);
    this.observer.hostAccess(pcpu, onBehalf, msr, true);
    return vector;
  }

  private copyIn(pcpu: number, onBehalf: number, msr: number, to: LbrStack): void {
    const eax = this.read(pcpu, onBehalf, msr);
    to.write(msr, eax, this.edx);
  }

  private copyOut(pcpu: number, onBehalf: number, msr: number, from: LbrStack): void {
    let edx = from.readHigh(msr);
    const { lbr_from, lbr_nr, lbr_format, tsx } = this.model;
    const isFrom = msr >= lbr_from && msr < lbr_from + lbr_nr;
    // Without TSX, WRMSR wants the bits sign-extended that a capture leaves 0 (HSD172, HSM182).
    if (isFrom && lbr_format === LBR_FORMAT_EIP_FLAGS2 && !tsx) {
      edx |= (edx & SIGNEXT_2MSB_HI) << 2;
    }
    this.write(pcpu, onBehalf, msr, from.readLow(msr), edx);
  }

  save(pcpu: number, onBehalf: number, to: LbrStack, select: boolean): void {
    const { lbr_nr, lbr_from, lbr_to, lbr_info } = this.model;
    for (let i = 0; i < lbr_nr; i++) {
      this.copyIn(pcpu, onBehalf, lbr_from + i, to);
      this.copyIn(pcpu, onBehalf, lbr_to + i, to);
      if (lbr_info !== 0) this.copyIn(pcpu, onBehalf, lbr_info + i, to);
    }
    this.copyIn(pcpu, onBehalf, msrs.MSR_LBR_TOS, to);
    if (select && this.model.select !== 'none') {
      this.copyIn(pcpu, onBehalf, msrs.MSR_LBR_SELECT, to);
    }
  }

  restore(pcpu: number, onBehalf: number, from: LbrStack, select: boolean): void {
    const { lbr_nr, lbr_from, lbr_to, lbr_info } = this.model;
    for (let i = 0; i < lbr_nr; i++) {
      this.copyOut(pcpu, onBehalf, lbr_from + i, from);
      this.copyOut(pcpu, onBehalf, lbr_to + i, from);
      if (lbr_info !== 0) this.copyOut(pcpu, onBehalf, lbr_info + i, from);
    }
    this.copyOut(pcpu, onBehalf, msrs.MSR_LBR_TOS, from);
    if (select && this.model.select !== 'none') {
      this.copyOut(pcpu, onBehalf, msrs.MSR_LBR_SELECT, from);
    }
  }

  scrub(pcpu: number, onBehalf: number): void {
    const { lbr_nr, lbr_from, lbr_to, lbr_info, select } = this.model;
    for (let i = 0; i < lbr_nr; i++) {
      this.write(pcpu, onBehalf, lbr_from + i, 0, 0);
      this.write(pcpu, onBehalf, lbr_to + i, 0, 0);
      if (lbr_info !== 0) this.write(pcpu, onBehalf, lbr_info + i, 0, 0);
    }
    this.write(pcpu, onBehalf, msrs.MSR_LBR_TOS, 0, 0);
    if (select !== 'none') this.write(pcpu, onBehalf, msrs.MSR_LBR_SELECT, 0, 0);
  }

  lentOut(pcpu: number): boolean {
    return this.w[this.flags + pcpu] !== 0;
  }

  /** Recording stops first, or the host would record into what is about to be replaced. */
  borrow(pcpu: number): void {
    const cpu = this.pcpus[pcpu];
    cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, cpu.debugctl & ~msrs.DEBUGCTLMSR_LBR, 0);
    this.save(pcpu, HOST, this.lent[pcpu], true);
    this.w[this.flags + pcpu] = 1;
  }

  giveBack(pcpu: number): void {
    this.w[this.flags + pcpu] = 0;
    this.restore(pcpu, HOST, this.lent[pcpu], true);
  }
}

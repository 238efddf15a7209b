/**
 * The host's accesses to the LBR MSRs of its pCPUs: one place that knows how a whole stack is
 * saved and restored, on whose behalf, and what the host's own event lends.
 *
 * Every slot is saved, not only those above the first empty one: a guest may leave holes.
 */
import type { CpuModel } from '../hw/cpu_models.js';
import { assert } from '../hw/assert.js';
import { lbrMap } from '../hw/lbr_map.js';
import type { LbrStack } from '../hw/lbr_stack.js';
import type { LogicalProcessor } from '../hw/logical_processor.js';
import type { Vector } from '../hw/msr_port.js';
import * as msrs from '../hw/msr_index.js';
import type { Observer } from './observer.js';
import { HOST } from './observer.js';

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

  save(pcpu: number, onBehalf: number, to: LbrStack, select: boolean): void {
    to.copyFrom(this.pcpus[pcpu].stack, select);
    this.observer.hostStack(pcpu, onBehalf, this.accesses(select), false);
  }

  restore(pcpu: number, onBehalf: number, from: LbrStack, select: boolean): void {
    const refused = this.pcpus[pcpu].stack.load(from, select);
    if (refused !== 0) this.observer.hostFault(pcpu, refused, true);
    this.observer.hostStack(pcpu, onBehalf, this.accesses(select), true);
  }

  /** The MSR-load area of a VM entry. Returns whether hardware took all values. */
  load(pcpu: number, onBehalf: number, from: LbrStack): boolean {
    const refused = this.pcpus[pcpu].stack.loadRaw(from, true);
    this.observer.hostStack(pcpu, onBehalf, this.accesses(true), true);
    return refused === 0;
  }

  scrub(pcpu: number, onBehalf: number): void {
    this.pcpus[pcpu].stack.clear();
    this.observer.hostStack(pcpu, onBehalf, this.accesses(true), true, true);
  }

  private accesses(select: boolean): number {
    const { count } = lbrMap(this.model);
    return select || this.model.select === 'none' ? count : count - 1;
  }

  lentOut(pcpu: number): boolean {
    return this.w[this.flags + pcpu] !== 0;
  }

  /** Recording stops first, or the host would record into what is about to be replaced. */
  borrow(pcpu: number): void {
    assert(!this.lentOut(pcpu), 'registers are lent to one borrower at a time');
    const cpu = this.pcpus[pcpu];
    cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, cpu.debugctl & ~msrs.DEBUGCTLMSR_LBR, 0);
    this.save(pcpu, HOST, this.lent[pcpu], true);
    this.w[this.flags + pcpu] = 1;
  }

  giveBack(pcpu: number): void {
    assert(this.lentOut(pcpu), 'only registers that were lent are given back');
    this.w[this.flags + pcpu] = 0;
    this.restore(pcpu, HOST, this.lent[pcpu], true);
  }
}

/**
 * The host's accesses to the LBR MSRs of its pCPUs. Only this file knows how a whole stack is saved
 * and restored, for whom, and what the host's own event lends.
 *
 * Every slot is saved, not only those above the first empty one: a guest may leave holes.
 */
import { assert } from '../hw/assert.js';
import { lbrMap } from '../hw/lbr_map.js';
import type { LbrStack } from '../hw/lbr_stack.js';
import type { LogicalProcessor } from '../hw/logical_processor.js';
import type { Vector } from '../hw/msr_port.js';
import * as msrs from '../hw/msr_index.js';
import { HOST, type Observer } from './observer.js';
import type { Vcpu } from './vcpu.js';

/** What the host's LBR code works on, and who hears of it. */
export interface LbrHardware {
  readonly pcpus: readonly LogicalProcessor[];
  /** What the host's own event had when its registers were borrowed, per pCPU. */
  readonly lent: readonly LbrStack[];
  /** Whether they are lent out, per pCPU: words of the machine's block. */
  readonly lentFlags: Int32Array;
  readonly observer: Observer;
}

/** On whose behalf registers are accessed: a vCPU on the pCPU it is loaded on, or the host. */
type Owner = Pick<Vcpu, 'id' | 'pcpu' | 'records'>;

/** The accesses that a policy may make; PolicyHost describes them. */
export class LbrRegisters {
  /** High half of the last value read. */
  edx = 0;
  protected readonly pcpus: readonly LogicalProcessor[];
  protected readonly observer: Observer;
  /** The host on each pCPU, as the owner of what its own event lends. */
  private readonly lenders: readonly Owner[];
  private readonly lentFlags: Int32Array;

  constructor({ pcpus, lent, lentFlags, observer }: LbrHardware) {
    this.pcpus = pcpus;
    this.observer = observer;
    this.lenders = lent.map((records, pcpu) => ({ id: HOST, pcpu, records }));
    this.lentFlags = lentFlags;
  }

  private cpuOf({ pcpu }: Owner): LogicalProcessor {
    assert(pcpu >= 0, 'LBR registers are those of the pCPU that a vCPU is loaded on');
    return this.pcpus[pcpu];
  }

  rdmsr(owner: Owner, msr: number): number {
    const cpu = this.cpuOf(owner);
    const eax = cpu.rdmsr(msr);
    this.edx = cpu.edx;
    if (cpu.vector !== 0) this.observer.hostFault(owner.pcpu, msr, false);
    this.observer.hostAccess(owner.pcpu, owner.id, msr, false);
    return eax;
  }

  wrmsr(owner: Owner, msr: number, eax: number, edx: number): void {
    if (this.wrmsr_safe(owner, msr, eax, edx) !== 0) {
      this.observer.hostFault(owner.pcpu, msr, true);
    }
  }

  wrmsr_safe(owner: Owner, msr: number, eax: number, edx: number): Vector {
    const vector = this.cpuOf(owner).wrmsr(msr, eax, edx);
    this.observer.hostAccess(owner.pcpu, owner.id, msr, true);
    return vector;
  }

  saveStack(owner: Owner, select: boolean): void {
    const { stack } = this.cpuOf(owner);
    owner.records.copyFrom(stack, select);
    this.observer.hostStack(owner.pcpu, owner.id, accesses(stack, select), false);
  }

  restoreStack(owner: Owner, select: boolean): void {
    const { stack } = this.cpuOf(owner);
    const refused = stack.load(owner.records, select);
    if (refused !== 0) this.observer.hostFault(owner.pcpu, refused, true);
    this.observer.hostStack(owner.pcpu, owner.id, accesses(stack, select), true);
  }

  loadAtEntry(vcpu: Owner): void {
    const { stack } = this.cpuOf(vcpu);
    const refused = stack.loadRaw(vcpu.records, true);
    this.observer.hostStack(vcpu.pcpu, vcpu.id, accesses(stack, true), true);
    if (refused !== 0) this.observer.entryFailed(vcpu.id);
  }

  scrubStack(owner: Owner): void {
    const { stack } = this.cpuOf(owner);
    stack.clear();
    this.observer.hostStack(owner.pcpu, owner.id, accesses(stack, true), true, true);
  }

  scrubPcpu(pcpu: number): void {
    this.scrubStack(this.lenders[pcpu]);
  }

  /** Whether what the host's own event had on a pCPU is lent out. */
  lentOut(pcpu: number): boolean {
    return this.lentFlags[pcpu] !== 0;
  }

  /** Recording stops first, or the host would record into what is about to be replaced. */
  borrowLbr(vcpu: Owner): void {
    const { pcpu } = vcpu;
    const cpu = this.cpuOf(vcpu);
    assert(!this.lentOut(pcpu), 'registers are lent to one borrower at a time');
    cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, cpu.debugctl & ~msrs.DEBUGCTLMSR_LBR, 0);
    this.saveStack(this.lenders[pcpu], true);
    this.lentFlags[pcpu] = 1;
  }

  giveBackLbr({ pcpu }: Owner): void {
    assert(this.lentOut(pcpu), 'only registers that were lent are given back');
    this.lentFlags[pcpu] = 0;
    this.restoreStack(this.lenders[pcpu], true);
  }
}

/** LBR MSRs that the whole stack is made of, with LBR_SELECT or without. */
function accesses({ model }: LbrStack, select: boolean): number {
  const { count } = lbrMap(model);
  return select || model.select === 'none' ? count : count - 1;
}

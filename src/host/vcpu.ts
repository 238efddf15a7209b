/** Models struct kvm_vcpu with its VMX and PMU parts, as accessors over the machine's block. */
import type { CpuModel } from '../hw/cpu_models.js';
import { DEBUGCTLMSR_LBR } from '../hw/msr_index.js';
import { LbrStack } from '../hw/lbr_stack.js';
import type { Layout, Memory } from '../hw/memory.js';
import { Vmcs } from '../hw/vmx.js';
import { policyWords } from './policy_words.js';

const PCPU = 0;
const IN_GUEST = 1;
const HOST_DEBUGCTL = 2;
const GLOBAL_CTRL_LO = 3;
const GLOBAL_CTRL_HI = 4;
const GLOBAL_STATUS = 5;
const PV_LBR_CTRL = 6;
const PASSTHROUGH = 7;
const VCPU_WORDS = 8;

/** Word offsets of one vCPU. */
export interface VcpuLayout {
  readonly words: number;
  readonly vmcs: number;
  readonly records: number;
  /** Where the words lie that the policy declares for each vCPU, and their names. */
  readonly policy: number;
  readonly policyWords: readonly string[];
}

/**
 * One vCPU of a guest: what KVM keeps of it, its VMCS included.
 *
 * @typeParam Word - names of the policy's words that the holder of this reference may use.
 */
export class Vcpu<Word extends string = never> {
  /** Number over all VMs; also its thread's number in the host's kernel. */
  readonly id: number;
  readonly vm: number;
  /** CPU number that its guest's kernel knows it by. */
  readonly cpu: number;
  readonly vmcs: Vmcs;
  /** The host's copy of the guest's LBR stack. */
  readonly records: LbrStack;
  /** What the policy remembers of the vCPU, by the names that it declares. */
  readonly words: Record<Word, number>;
  private readonly w: Int32Array;
  /** Word offset of all that is the vCPU's. */
  readonly o: number;
  private readonly layout: VcpuLayout;

  constructor(
    memory: Memory,
    model: CpuModel,
    layout: VcpuLayout,
    id: number,
    vm: number,
    cpu: number,
  ) {
    this.w = memory.words;
    this.o = layout.words;
    this.layout = layout;
    this.id = id;
    this.vm = vm;
    this.cpu = cpu;
    this.vmcs = new Vmcs(memory, model, layout.vmcs);
    this.records = LbrStack.at(memory, model, layout.records);
    this.words = policyWords(memory, layout.policy, layout.policyWords);
  }

  static allocate(layout: Layout, model: CpuModel, names: readonly string[]): VcpuLayout {
    return {
      words: layout.take(VCPU_WORDS),
      vmcs: Vmcs.allocate(layout),
      records: LbrStack.allocate(layout, model),
      policy: layout.take(names.length),
      policyWords: names,
    };
  }

  /** The pCPU its thread runs on, or -1. */
  get pcpu(): number {
    return this.w[this.o + PCPU] - 1;
  }
  set pcpu(v: number) {
    this.w[this.o + PCPU] = v + 1;
  }
  /** Whether the pCPU is in VMX non-root mode for it. */
  get inGuest(): boolean {
    return this.w[this.o + IN_GUEST] !== 0;
  }
  set inGuest(v: boolean) {
    this.w[this.o + IN_GUEST] = v ? 1 : 0;
  }
  /** vcpu->arch.host_debugctl, taken with interrupts off before the entry. */
  get host_debugctl(): number {
    return this.w[this.o + HOST_DEBUGCTL];
  }
  set host_debugctl(v: number) {
    this.w[this.o + HOST_DEBUGCTL] = v;
  }
  get global_ctrl(): number {
    return this.w[this.o + GLOBAL_CTRL_LO];
  }
  set global_ctrl(v: number) {
    this.w[this.o + GLOBAL_CTRL_LO] = v;
  }
  get global_ctrl_hi(): number {
    return this.w[this.o + GLOBAL_CTRL_HI];
  }
  set global_ctrl_hi(v: number) {
    this.w[this.o + GLOBAL_CTRL_HI] = v;
  }
  /** Overflow bits of the general counters; the emulated PMU has no others. */
  get global_status(): number {
    return this.w[this.o + GLOBAL_STATUS];
  }
  set global_status(v: number) {
    this.w[this.o + GLOBAL_STATUS] = v;
  }
  /** MSR_KVM_PV_LBR_CTRL. */
  get pvLbrCtrl(): number {
    return this.w[this.o + PV_LBR_CTRL];
  }
  set pvLbrCtrl(v: number) {
    this.w[this.o + PV_LBR_CTRL] = v;
  }
  /** Whether hardware records for the guest once it is entered. */
  get lbrEnabled(): boolean {
    return (this.vmcs.guestDebugctl & DEBUGCTLMSR_LBR) !== 0;
  }
  /** lbr_desc.msr_passthrough: spares a walk over the bitmap that would change nothing. */
  get msr_passthrough(): boolean {
    return this.w[this.o + PASSTHROUGH] !== 0;
  }
  set msr_passthrough(v: boolean) {
    this.w[this.o + PASSTHROUGH] = v ? 1 : 0;
  }

  /** Zeroes the words of the policy. */
  clearWords(): void {
    const { policy, policyWords: names } = this.layout;
    this.w.fill(0, policy, policy + names.length);
  }
}

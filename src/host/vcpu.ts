/** Models struct kvm_vcpu with its VMX and PMU parts, as accessors over the machine's block. */
import type { CpuModel } from '../hw/cpu_models.js';
import { DEBUGCTLMSR_LBR } from '../hw/msr_index.js';
import { LbrStack } from '../hw/lbr_stack.js';
import type { Layout, Memory } from '../hw/memory.js';
import { struct, type StructClass, wordOf } from '../hw/struct.js';
import { FieldVmcs } from '../hw/vmcs_fields.js';
import { Vmcs } from '../hw/vmx.js';
import { policyWords } from './policy_words.js';

const VCPU = {
  /** The pCPU its thread runs on, plus one; 0 is none. */
  pcpu: 'int',
  /** Whether the pCPU is in VMX non-root mode for it. */
  inGuest: 'flag',
  /** Whether its thread is not in KVM_RUN, so that no preempt notifier speaks of it. */
  inUserspace: 'flag',
  /** vcpu->arch.host_debugctl, taken with interrupts off before the entry. */
  host_debugctl: 'int',
  global_ctrl: 'int',
  global_ctrl_hi: 'int',
  /** The general counters whose IA32_PERFEVTSELx has EN set, as a mask; if `hearsCounters`. */
  eventsel_en: 'int',
  /** Overflow bits of the general counters; the emulated PMU has no others. */
  global_status: 'int',
  /** MSR_KVM_PV_LBR_CTRL. */
  pvLbrCtrl: 'int',
  /** lbr_desc.msr_passthrough: spares a walk over the bitmap that would change nothing. */
  msr_passthrough: 'flag',
} as const;

const PCPU: number = wordOf(VCPU, 'pcpu');
const VcpuWords: StructClass<typeof VCPU> = struct(VCPU);

/** Word offsets of one vCPU. */
export interface VcpuLayout {
  readonly words: number;
  readonly vmcs: number;
  readonly records: number;
  /** Where the words lie that the policy declares for each vCPU, and their names. */
  readonly policy: number;
  readonly policyWords: readonly string[];
  /** Whether its VMCS has all fields, for a hypervisor that runs as C code. */
  readonly allFields: boolean;
}

/**
 * One vCPU of a guest: what KVM keeps of it, its VMCS included. Its `id` is its number over all
 * VMs, and also its thread's number in the host's kernel.
 *
 * @typeParam Word - names of the policy's words that the holder of this reference may use.
 */
export class Vcpu<Word extends string = never> extends VcpuWords {
  readonly vm: number;
  /** CPU number that its guest's kernel knows it by. */
  readonly cpu: number;
  readonly vmcs: Vmcs;
  /** The host's copy of the guest's LBR stack. */
  readonly records: LbrStack;
  /** What the policy remembers of the vCPU, by the names that it declares. */
  readonly words: Record<Word, number>;
  private readonly layout: VcpuLayout;

  constructor(
    memory: Memory,
    model: CpuModel,
    layout: VcpuLayout,
    id: number,
    vm: number,
    cpu: number,
  ) {
    super(memory.words, layout.words, id);
    this.layout = layout;
    this.vm = vm;
    this.cpu = cpu;
    const Kind = layout.allFields ? FieldVmcs : Vmcs;
    this.vmcs = new Kind(memory, model, layout.vmcs);
    this.records = LbrStack.at(memory, model, layout.records);
    this.words = policyWords(memory, layout.policy, layout.policyWords);
  }

  static allocate(
    layout: Layout,
    model: CpuModel,
    names: readonly string[],
    allFields = false,
  ): VcpuLayout {
    return {
      allFields,
      words: layout.take(VcpuWords.WORDS),
      vmcs: (allFields ? FieldVmcs : Vmcs).allocate(layout),
      records: LbrStack.allocate(layout, model),
      policy: layout.take(names.length),
      policyWords: names,
    };
  }

  /** The pCPU its thread runs on, or -1. */
  override get pcpu(): number {
    return this.w[this.o + PCPU] - 1;
  }
  override set pcpu(v: number) {
    this.w[this.o + PCPU] = v + 1;
  }
  /** Whether hardware records for the guest once it is entered. */
  get lbrEnabled(): boolean {
    return (this.vmcs.guestDebugctl & DEBUGCTLMSR_LBR) !== 0;
  }

  /** Zeroes the words of the policy. */
  clearWords(): void {
    const { policy, policyWords: names } = this.layout;
    this.w.fill(0, policy, policy + names.length);
  }
}

/**
 * What the KVM of a tree owes its guests by its own words: `pass-through`, `debugctl-true` and
 * `pmi-true`. The models of KVM have no counters, and no bitmap of MSRs that they forget to change.
 */
import { KIND_NONE, lbrMap } from '../hw/lbr_map.js';
import {
  DEBUGCTLMSR_FREEZE_IN_SMM,
  DEBUGCTLMSR_FREEZE_LBRS_ON_PMI,
  DEBUGCTLMSR_LBR,
  MSR_CORE_PERF_GLOBAL_STATUS,
  MSR_IA32_DEBUGCTLMSR,
} from '../hw/msr_index.js';
import type { MachineConfig } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';
import type { Reference } from './reference.js';
import type { Verdicts } from './verdicts.js';

/** The LBR MSRs of a CPU model. All of them lie below 0x1000. */
function lbrMsrs({ model }: MachineConfig): readonly number[] {
  const map = lbrMap(model);
  return Array.from({ length: 0x1000 }, (_, msr) => msr).filter(
    (msr) => map.kind(msr) !== KIND_NONE,
  );
}

export class KvmCheck extends Check {
  private readonly msrs: readonly number[];
  /** Per vCPU: the counter whose PMI its guest has not looked at yet, plus one. */
  private readonly pending: Int32Array = this.numbers('vcpu');
  /** Per vCPU: since its entry, the guest has written DEBUGCTL, or a counter has overflowed. */
  private readonly written: Uint8Array = this.bytes('vcpu');
  private readonly frozen: Uint8Array = this.bytes('vcpu');

  constructor(
    config: MachineConfig,
    machine: () => Machine,
    reference: Reference,
    verdicts: Verdicts,
  ) {
    super(config, machine, reference, verdicts);
    this.msrs = lbrMsrs(config);
  }

  /** A guest runs on: see Observer. */
  entered(vcpu: number, host: number, had: number): void {
    this.checkBitmap(vcpu);
    if (had >= 0) this.checkDebugctl(vcpu, host, had);
    this.written[vcpu] = 0;
    this.frozen[vcpu] = 0;
  }

  /** A guest has written an MSR. */
  write(vcpu: number, msr: number): void {
    if (msr === MSR_IA32_DEBUGCTLMSR) this.written[vcpu] = 1;
  }

  /** Whether the LBR of a guest's pCPU is its own: its event counts there, or perf has lent it. */
  private ownsLbr(vcpu: number): boolean {
    const { host, vcpus, hypervisor } = this.machine();
    const lent = hypervisor.tree?.lbrLentTo(vcpus[vcpu]) ?? null;
    if (lent !== null) return lent;
    const { oncpu } = host.kernel.events[vcpu];
    return host.guestLbrEvent(vcpus[vcpu]) === 'active' && oncpu === vcpus[vcpu].pcpu;
  }

  /** A guest has its LBR MSRs exactly if the LBR is its own. */
  private checkBitmap(vcpu: number): void {
    const { verdicts, msrs } = this;
    const owns = this.ownsLbr(vcpu);
    if (owns) verdicts.reach[REACH['entered-with-event']]++;
    const { vmcs } = this.machine().vcpus[vcpu];
    const wrong = msrs.find(
      (msr) => vmcs.interceptsRead(msr) === owns || vmcs.interceptsWrite(msr) === owns,
    );
    if (wrong === undefined) return;
    verdicts.breaks(
      PROPERTY['pass-through'],
      () =>
        `v${vcpu}: MSR 0x${wrong.toString(16)} ` +
        (owns
          ? 'is intercepted although the LBR is its own'
          : 'passes through although the LBR is not its own'),
    );
  }

  /** KVM accesses an LBR MSR for a guest. */
  accesses(vcpu: number): void {
    if (this.ownsLbr(vcpu)) return;
    this.verdicts.breaks(
      PROPERTY['pass-through'],
      () => `KVM accesses an LBR MSR for v${vcpu}, although the LBR is not that guest's`,
    );
  }

  /**
   * A guest has the DEBUGCTL that it had, or what it has written, or that of its own pCPU, where no
   * counter of the host's freezes LBR; and the host's bit.
   */
  private checkDebugctl(vcpu: number, host: number, had: number): void {
    const { pcpus, vcpus } = this.machine();
    const kept = this.written[vcpu] !== 0 ? this.reference.of(vcpu).debugctl : had;
    const freezes = this.frozen[vcpu] !== 0 && (kept & DEBUGCTLMSR_FREEZE_LBRS_ON_PMI) !== 0;
    const own = (freezes ? kept & ~DEBUGCTLMSR_LBR : kept) & ~DEBUGCTLMSR_FREEZE_IN_SMM;
    const hosts = host & DEBUGCTLMSR_FREEZE_IN_SMM;
    const wanted = own | hosts;
    const is = pcpus[vcpus[vcpu].pcpu].debugctl;
    this.verdicts.reach[REACH['entered-again']]++;
    if (is === wanted || is === (this.reference.of(vcpu).debugctl | hosts)) return;
    this.verdicts.breaks(
      PROPERTY['debugctl-true'],
      () => `v${vcpu} runs with DEBUGCTL 0x${is.toString(16)}, not 0x${wanted.toString(16)}`,
    );
  }

  /** The counter behind a guest's overflows on the host. */
  overflows(vcpu: number, counter: number): void {
    this.verdicts.reach[REACH['counter-overflow']]++;
    this.pending[vcpu] = counter + 1;
    this.frozen[vcpu] = 1;
  }

  /** What has overflowed does not reach the guest, or what is to count does not. */
  missed(vcpu: number, why: string): void {
    this.pending[vcpu] = 0;
    this.verdicts.breaks(PROPERTY['pmi-true'], () => `v${vcpu}: ${why}`);
  }

  /** The handler of the guest's PMI looks which counter it was. */
  read(vcpu: number, msr: number, eax: number): void {
    if (msr !== MSR_CORE_PERF_GLOBAL_STATUS || this.pending[vcpu] === 0) return;
    const counter = this.pending[vcpu] - 1;
    this.pending[vcpu] = 0;
    if ((eax & (1 << counter)) !== 0) return;
    this.missed(vcpu, `counter ${counter} has overflowed, and GLOBAL_STATUS does not say so`);
  }
}

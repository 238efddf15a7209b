/**
 * What the KVM of a tree owes its guests by its own words: `pass-through`, `debugctl-true` and
 * `pmi-true`. The models of KVM have no counters, and no bitmap of MSRs that they forget to change.
 */
import { PERF_EVENT_STATE_ACTIVE } from '../guest/perf/perf_event.js';
import { KIND_NONE, lbrMap } from '../hw/lbr_map.js';
import { DEBUGCTLMSR_FREEZE_IN_SMM, MSR_CORE_PERF_GLOBAL_STATUS } from '../hw/msr_index.js';
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
  /** Per pCPU: what the host's kernel last wrote to DEBUGCTL. */
  private readonly debugctl: Int32Array = this.numbers('pcpu');
  /** Per vCPU: the counter whose PMI its guest has not looked at yet, plus one. */
  private readonly pending: Int32Array = this.numbers('vcpu');

  constructor(
    config: MachineConfig,
    machine: () => Machine,
    reference: Reference,
    verdicts: Verdicts,
  ) {
    super(config, machine, reference, verdicts);
    this.msrs = lbrMsrs(config);
  }

  hostDebugctl(pcpu: number, value: number): void {
    this.debugctl[pcpu] = value;
  }

  /** A guest runs on. */
  entered(vcpu: number): void {
    this.checkBitmap(vcpu);
    this.checkDebugctl(vcpu);
  }

  /** Whether a guest's LBR event counts where its thread is. */
  private ownsLbr(vcpu: number): boolean {
    const { host, vcpus } = this.machine();
    const { state, oncpu } = host.kernel.events[vcpu];
    return state === PERF_EVENT_STATE_ACTIVE && oncpu === vcpus[vcpu].pcpu;
  }

  /** A guest's LBR MSRs are its own exactly if its LBR event counts. */
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
          ? 'is intercepted although its LBR event counts'
          : 'passes through although no LBR event of it counts'),
    );
  }

  /** KVM accesses an LBR MSR for a guest. */
  accesses(vcpu: number): void {
    if (this.ownsLbr(vcpu)) return;
    this.verdicts.breaks(
      PROPERTY['pass-through'],
      () => `KVM accesses an LBR MSR for v${vcpu}, although no LBR event of it counts`,
    );
  }

  /** A guest runs with its own DEBUGCTL, but for what stays the host's. */
  private checkDebugctl(vcpu: number): void {
    const { pcpus, vcpus } = this.machine();
    const { pcpu } = vcpus[vcpu];
    const host = this.debugctl[pcpu] & DEBUGCTLMSR_FREEZE_IN_SMM;
    const wanted = this.reference.of(vcpu).debugctl | host;
    const is = pcpus[pcpu].debugctl;
    if (host !== 0) this.verdicts.reach[REACH['entered-with-freeze-in-smm']]++;
    if (is === wanted) return;
    this.verdicts.breaks(
      PROPERTY['debugctl-true'],
      () => `v${vcpu} runs with DEBUGCTL 0x${is.toString(16)}, not 0x${wanted.toString(16)}`,
    );
  }

  /** The counter behind a guest's overflows on the host. */
  overflows(vcpu: number, counter: number): void {
    this.verdicts.reach[REACH['counter-overflow']]++;
    this.pending[vcpu] = counter + 1;
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

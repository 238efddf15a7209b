/**
 * Whose records the registers of each pCPU hold, and who touches them: `recorder-owned`,
 * `owner-only` and `host-intact`.
 */
import * as branch from '../hw/branch.js';
import { HOST } from '../host/observer.js';
import { DEBUGCTLMSR_FREEZE_IN_SMM } from '../hw/msr_index.js';
import { Check } from './check.js';
import { PROPERTY, REACH } from './properties.js';

const NOBODY = -2;

export class RegisterCheck extends Check {
  /** Per pCPU: the vCPU whose records the registers hold, HOST or NOBODY. */
  private readonly holder: Int32Array = this.numbers('pcpu', NOBODY, 'vcpus');
  /** Per pCPU: what the host's kernel last wrote to DEBUGCTL. */
  private readonly debugctl: Int32Array = this.numbers('pcpu');
  /** Per pCPU: since the host's last sample a guest was recorded, or has run if it has no LBR. */
  private readonly guestRecorded: Uint8Array = this.bytes('pcpu');

  /** The registers of a pCPU hold records of this vCPU, and of no other. */
  holds(pcpu: number, vcpu: number): void {
    if (this.holder[pcpu] === vcpu) return;
    this.holder[pcpu] = vcpu;
    this.reference.noteHolder(vcpu);
  }

  /** Hardware records for this vCPU: checks to whose records it adds. */
  records(vcpu: number, pcpu: number, captured: boolean): void {
    const { reference, verdicts } = this;
    if (reference.otherWasThere(vcpu)) verdicts.reach[REACH['recorded-after-other']]++;
    reference.beforeRecord(vcpu);
    if (this.holder[pcpu] !== vcpu && this.foreign(vcpu, pcpu)) {
      verdicts.breaks(
        PROPERTY['recorder-owned'],
        () => `v${vcpu} is recorded on p${pcpu} on top of records that are not its own`,
      );
    }
    if (!captured) return;
    this.holds(pcpu, vcpu);
    this.guestRecorded[pcpu] = 1;
  }

  /** A guest without LBR has run. */
  ran(pcpu: number): void {
    this.guestRecorded[pcpu] = 1;
  }

  /** A task that migrates brings records of another vCPU along: its kernel has written them. */
  private foreign(vcpu: number, pcpu: number): boolean {
    const { vm, cpu } = this.machine().vcpus[vcpu];
    return this.machine().pcpus[pcpu].stack.differsFrom(
      this.reference.of(vcpu).stack,
      (edx) => branch.addressVcpu(edx) !== cpu || branch.addressVm(edx) !== vm,
    );
  }

  /** The host has made `accesses` accesses to LBR MSRs of a pCPU, for a vCPU or for itself. */
  hostAccess(pcpu: number, onBehalf: number, accesses: number, write: boolean): void {
    if (onBehalf === HOST) {
      if (write) this.holder[pcpu] = NOBODY;
      return;
    }
    const { verdicts } = this;
    verdicts.reach[REACH['policy-access']] += accesses;
    if (write && this.holder[pcpu] !== onBehalf) this.holder[pcpu] = NOBODY;
    const machine = this.machine();
    const loaded = machine.loaded(pcpu);
    if (loaded === null || loaded.id !== onBehalf) {
      verdicts.breaks(
        PROPERTY['owner-only'],
        () => `p${pcpu}: LBR MSRs accessed for v${onBehalf}, which is not loaded`,
      );
    } else if (machine.host.hostLbrActive(pcpu) && !machine.hypervisor.lentOut(pcpu)) {
      verdicts.breaks(
        PROPERTY['owner-only'],
        () => `p${pcpu}: LBR MSRs accessed for v${onBehalf} while they are the host event's`,
      );
    }
  }

  hostDebugctl(pcpu: number, value: number): void {
    this.debugctl[pcpu] = value;
  }

  exited(pcpu: number): void {
    const is = this.machine().pcpus[pcpu].debugctl;
    const was = this.debugctl[pcpu];
    // A handler of an NMI that ran before DEBUGCTL was back has written it without what was there.
    if (is !== was && is !== (was | DEBUGCTLMSR_FREEZE_IN_SMM)) {
      this.verdicts.breaks(
        PROPERTY['host-intact'],
        () => `p${pcpu}: DEBUGCTL is 0x${is.toString(16)} after an exit, not 0x${was.toString(16)}`,
      );
    }
    const contended = this.machine().host.hostLbrActive(pcpu);
    if (contended) this.verdicts.reach[REACH['contended-entry']]++;
  }

  hostSample(pcpu: number): void {
    const cpu = this.machine().host.kernel.cpus[pcpu];
    const w = cpu.kernel.words;
    if (this.guestRecorded[pcpu] !== 0) {
      this.verdicts.reach[REACH['host-sample-after-guest']]++;
      this.guestRecorded[pcpu] = 0;
    }
    for (let i = 0; i < cpu.cpuc.lbr_stack_nr; i++) {
      const at = cpu.lbr_entry(i);
      const hi = w[at + 1];
      if ((w[at] | hi) === 0 || branch.addressVm(hi) === branch.HOST_VM) continue;
      this.verdicts.breaks(
        PROPERTY['host-intact'],
        () => `p${pcpu}: a host sample holds a branch of VM ${branch.addressVm(hi)}`,
      );
      return;
    }
  }

  /** The host is being recorded: the filter must be its own, and so are all later records. */
  hostBranch(pcpu: number): void {
    const { cpuc } = this.machine().host.kernel.cpus[pcpu];
    const { lbr_select } = this.machine().pcpus[pcpu].stack;
    if (this.reference.model.select !== 'none' && lbr_select !== (cpuc.lbr_sel_config & 0x3ff)) {
      this.verdicts.breaks(
        PROPERTY['host-intact'],
        () =>
          `p${pcpu}: the host is recorded with a guest's LBR_SELECT 0x${lbr_select.toString(16)}`,
      );
    }
    this.holder[pcpu] = HOST;
    this.reference.noteHolder(HOST);
  }

  cstate(pcpu: number): void {
    if (this.reference.model.cstateWipe) this.holder[pcpu] = NOBODY;
  }
}

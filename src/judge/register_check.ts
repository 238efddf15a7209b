/**
 * Whose records the registers of each pCPU hold, and who touches them: `recorder-owned`,
 * `owner-only` and `host-intact`.
 */
import * as branch from '../hw/branch.js';
import { HOST } from '../host/observer.js';
import type { MachineConfig } from '../machine/config.js';
import { totalVcpus } from '../machine/config.js';
import type { Machine } from '../machine/machine.js';
import type { History } from './history.js';
import type { Reference } from './reference.js';
import type { Verdicts } from './verdicts.js';
import { P, R } from './verdicts.js';

/** Nobody's records. */
const NOBODY = -2;

export class RegisterCheck {
  private readonly machine: () => Machine;
  private readonly reference: Reference;
  private readonly verdicts: Verdicts;
  /** Per pCPU: the vCPU whose records the registers hold, HOST or NOBODY. */
  private readonly holder: Int32Array;
  /** Per pCPU: what the host's kernel last wrote to DEBUGCTL. */
  private readonly debugctl: Int32Array;
  /** Per pCPU: a guest was recorded since the host last took a sample. */
  private readonly guestRecorded: Uint8Array;
  /** Per pCPU: the host kernel's accesses since a vCPU last came or went: 0, 1 or 2 for more. */
  readonly hostWork: Int32Array;
  /** Per vCPU: the host has accessed LBR MSRs for it since it last came or went. */
  readonly work: Uint8Array;

  constructor(
    config: MachineConfig,
    machine: () => Machine,
    reference: Reference,
    verdicts: Verdicts,
  ) {
    this.machine = machine;
    this.reference = reference;
    this.verdicts = verdicts;
    this.holder = new Int32Array(config.pcpus);
    this.debugctl = new Int32Array(config.pcpus);
    this.guestRecorded = new Uint8Array(config.pcpus);
    this.hostWork = new Int32Array(config.pcpus);
    this.work = new Uint8Array(totalVcpus(config));
  }

  start(): void {
    this.holder.fill(NOBODY);
    this.debugctl.fill(0);
    this.guestRecorded.fill(0);
    this.hostWork.fill(0);
    this.work.fill(0);
  }

  get histories(): History[] {
    return [
      { per: 'pcpu', words: this.holder, holds: 'vcpus' },
      { per: 'pcpu', words: this.debugctl },
      { per: 'pcpu', words: this.guestRecorded },
      { per: 'pcpu', words: this.hostWork },
      { per: 'vcpu', words: this.work },
    ];
  }

  /** Records of a vCPU are in the registers of a pCPU: those of every other one are not. */
  holds(pcpu: number, vcpu: number): void {
    if (this.holder[pcpu] === vcpu) return;
    this.holder[pcpu] = vcpu;
    const { other } = this.reference;
    for (let v = 0; v < other.length; v++) if (v !== vcpu) other[v] = 1;
  }

  /** Hardware is on for this vCPU: whose records does it add to? */
  records(vcpu: number, pcpu: number, captured: boolean): void {
    const { reference, verdicts } = this;
    if (reference.other[vcpu] !== 0) verdicts.reach[R['recorded-after-other']]++;
    reference.beforeRecord(vcpu);
    if (this.holder[pcpu] !== vcpu && this.foreign(vcpu, pcpu)) {
      verdicts.breaks(
        P['recorder-owned'],
        () => `v${vcpu} is recorded on p${pcpu} on top of records that are not its own`,
      );
    }
    if (!captured) return;
    this.holds(pcpu, vcpu);
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

  /** The host has accessed so many LBR MSRs of a pCPU, for a vCPU or for itself. */
  hostAccess(pcpu: number, onBehalf: number, accesses: number, write: boolean): void {
    if (onBehalf === HOST) {
      this.hostWork[pcpu] = Math.min(2, this.hostWork[pcpu] + accesses);
      if (write) this.holder[pcpu] = NOBODY;
      return;
    }
    const { verdicts } = this;
    verdicts.reach[R['policy-access']] += accesses;
    this.work[onBehalf] = 1;
    if (write && this.holder[pcpu] !== onBehalf) this.holder[pcpu] = NOBODY;
    const machine = this.machine();
    const loaded = machine.loaded(pcpu);
    if (loaded === null || loaded.id !== onBehalf) {
      verdicts.breaks(
        P['owner-only'],
        () => `p${pcpu}: LBR MSRs accessed for v${onBehalf}, which is not loaded`,
      );
    } else if (machine.host.host_lbr_active(pcpu) && !machine.lentOut(pcpu)) {
      verdicts.breaks(
        P['owner-only'],
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
    if (is !== was) {
      this.verdicts.breaks(
        P['host-intact'],
        () => `p${pcpu}: DEBUGCTL is 0x${is.toString(16)} after an exit, not 0x${was.toString(16)}`,
      );
    }
    const contended = this.machine().host.host_lbr_active(pcpu);
    if (contended) this.verdicts.reach[R['contended-entry']]++;
  }

  hostSample(pcpu: number): void {
    const cpu = this.machine().host.kernel.cpus[pcpu];
    const w = cpu.kernel.words;
    if (this.guestRecorded[pcpu] !== 0) {
      this.verdicts.reach[R['host-sample-after-guest']]++;
      this.guestRecorded[pcpu] = 0;
    }
    for (let i = 0; i < cpu.cpuc.lbr_stack_nr; i++) {
      const at = cpu.lbr_entry(i);
      const hi = w[at + 1];
      if ((w[at] | hi) === 0 || branch.addressVm(hi) === branch.HOST_VM) continue;
      this.verdicts.breaks(
        P['host-intact'],
        () => `p${pcpu}: a host sample holds a branch of VM ${branch.addressVm(hi)}`,
      );
      return;
    }
  }

  /** The host is being recorded: by its own filter, and from now on the records are its own. */
  hostBranch(pcpu: number): void {
    const { cpuc } = this.machine().host.kernel.cpus[pcpu];
    const { lbr_select } = this.machine().pcpus[pcpu].stack;
    if (this.reference.model.select !== 'none' && lbr_select !== (cpuc.lbr_sel_config & 0x3ff)) {
      this.verdicts.breaks(
        P['host-intact'],
        () =>
          `p${pcpu}: the host is recorded with a guest's LBR_SELECT 0x${lbr_select.toString(16)}`,
      );
    }
    this.holder[pcpu] = HOST;
    this.reference.other.fill(1);
  }

  cstate(pcpu: number): void {
    if (this.reference.model.cstate_wipe) this.holder[pcpu] = NOBODY;
  }
}

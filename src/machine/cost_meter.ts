/** Counts what the LBR of guests costs: MSR accesses, stacks moved, and exits. */
import { HOST, Observer, tee } from '../host/observer.js';
import { KIND_NONE, type LbrMap, lbrMap } from '../hw/lbr_map.js';
import * as msrs from '../hw/msr_index.js';
import type { MachineConfig } from './config.js';
import { CALL_SWITCH } from './guest_call.js';
import COSTS from './costs.json' with { type: 'json' };
import { Machine } from './machine.js';

/**
 * Cycles of an access on the CPU itself. No measurement of LBR MSRs is published: orders of
 * magnitude only (FIDELITY F90).
 */
const CYCLES = {
  read: COSTS.read.value,
  write: COSTS.write.value,
  writeSelect: COSTS.select.value,
  writeDebugctl: 200,
} as const;

/** Cycles that an access is taken to cost. */
function accessCycles(msr: number, write: boolean): number {
  if (!write) return CYCLES.read;
  if (msr === msrs.MSR_LBR_SELECT) return CYCLES.writeSelect;
  return msr === msrs.MSR_IA32_DEBUGCTLMSR ? CYCLES.writeDebugctl : CYCLES.write;
}

/** Accesses to LBR MSRs, and the cycles they are taken to cost. */
export class Accesses {
  reads = 0;
  writes = 0;
  cycles = 0;

  add(msr: number, write: boolean, n = 1): void {
    if (write) this.writes += n;
    else this.reads += n;
    this.cycles += n * accessCycles(msr, write);
  }
}

/** A machine whose costs are counted, over all its runs. */
export class CostMeter extends Observer {
  readonly machine: Machine;
  /** Accesses of KVM and of the host's perf. */
  readonly host: Accesses = new Accesses();
  /** Accesses of guest kernels to switch tasks, DEBUGCTL included and NMIs not. */
  readonly tasks: Accesses = new Accesses();
  /** Context switches of guests, and switches to a vCPU on the host. */
  taskSwitches = 0;
  vcpuSwitches = 0;
  /** Whole stacks that the host saved, restored and wiped. */
  saves = 0;
  restores = 0;
  wipes = 0;
  /** LBR accesses of guests that did not fault, and how many of them exited. */
  guestAccesses = 0;
  exits = 0;
  private readonly map: LbrMap;

  /** @param beside - another observer of the machine, which is told first. */
  constructor(config: MachineConfig, beside?: Observer) {
    super();
    this.map = lbrMap(config.model);
    this.machine = new Machine(config, beside === undefined ? this : tee(beside, this));
  }

  private isLbr(msr: number): boolean {
    return this.map.kind(msr) !== KIND_NONE;
  }

  private guest(vcpu: number, msr: number, write: boolean): void {
    const { machine } = this;
    if (machine.runningCall(vcpu) !== CALL_SWITCH || machine.ports[vcpu].nested) return;
    if (this.isLbr(msr) || msr === msrs.MSR_IA32_DEBUGCTLMSR) this.tasks.add(msr, write);
  }

  private accessed(msr: number): void {
    if (!this.isLbr(msr)) return;
    this.guestAccesses++;
    if (this.machine.hypervisor.intercepted) this.exits++;
  }

  override guestRead(vcpu: number, msr: number, _eax: number, _edx: number): void {
    this.guest(vcpu, msr, false);
    this.accessed(msr);
  }

  override guestWrite(vcpu: number, msr: number, _eax: number, _edx: number): void {
    this.guest(vcpu, msr, true);
    this.accessed(msr);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, _eax: number, _edx: number): void {
    this.guest(vcpu, msr, write);
  }

  /**
   * Perf reads TOS to save and writes it to restore; to reset, it writes the first FROM, and TOS
   * not.
   */
  override hostAccess(_pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    this.host.add(msr, write);
    if (onBehalf !== HOST) return;
    if (!write) {
      if (msr === msrs.MSR_LBR_TOS) this.saves++;
    } else if (msr === msrs.MSR_LBR_TOS) {
      this.restores++;
      this.wipes--;
    } else if (msr === this.machine.config.model.lbr_from) this.wipes++;
  }

  override hostStack(
    _pcpu: number,
    _onBehalf: number,
    accesses: number,
    write: boolean,
    zeroes = false,
  ): void {
    this.host.add(msrs.MSR_LBR_TOS, write, accesses);
    if (!write) this.saves++;
    else if (zeroes) this.wipes++;
    else this.restores++;
  }

  override vcpuSwitch(_vcpu: number, _pcpu: number, scheduledIn: boolean): void {
    if (scheduledIn) this.vcpuSwitches++;
  }

  override guestIdle(vcpu: number): void {
    if (this.machine.runningCall(vcpu) === CALL_SWITCH) this.taskSwitches++;
  }
}

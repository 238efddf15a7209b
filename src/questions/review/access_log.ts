/**
 * Which MSRs are accessed when a schedule runs: by the guests' kernels in order, and how many by
 * whom. Two drivers differ in what they do to hardware exactly where these differ.
 */
import * as msrs from '../../hw/msr_index.js';
import { KIND_NONE, lbrMap } from '../../hw/lbr_map.js';
import type { LbrMap } from '../../hw/lbr_map.js';
import { Observer } from '../../host/observer.js';
import type { MachineConfig } from '../../machine/config.js';
import { CALL_SWITCH } from '../../machine/guest_call.js';
import { Machine } from '../../machine/machine.js';
import type { Schedule } from '../../schedule/schedule.js';
import { step } from '../../schedule/schedule.js';

/** An access by a guest's kernel, or by the host's perf or KVM to an LBR MSR of a pCPU. */
export interface Access {
  /** vCPU over all VMs, or pCPU. */
  readonly cpu: number;
  readonly byHost: boolean;
  /** The guest kernel function that runs, CALL_*; 0 for the host. */
  readonly fn: number;
  /** Number of the action in the schedule, from 0. */
  readonly action: number;
  readonly msr: number;
  readonly write: boolean;
  /** What was read or written; the host's are not told of. */
  readonly eax: number;
  readonly edx: number;
}

/** Accesses and the cycles they are taken to cost. */
export interface Cost {
  readonly reads: number;
  readonly writes: number;
  readonly cycles: number;
}

/** Means over the switches of some schedules. */
export interface SwitchCosts {
  readonly taskSwitches: number;
  readonly vcpuSwitches: number;
  /** The guest kernel's, for each switch from one task to another. */
  readonly perTaskSwitch: Cost;
  /** The host's, for each time a vCPU is scheduled in, out or exits between. */
  readonly perVcpuSwitch: Cost;
}

/**
 * Cycles of an access on the CPU itself. No measurement of LBR MSRs is published: orders of
 * magnitude only (FIDELITY F90).
 */
const CYCLES = { read: 80, write: 120, writeSelect: 150, writeDebugctl: 200 } as const;

class Sum {
  reads = 0;
  writes = 0;
  cycles = 0;

  add(msr: number, write: boolean, n = 1): void {
    if (write) this.writes += n;
    else this.reads += n;
    this.cycles += n * cyclesOf(msr, write);
  }
}

/** Cycles that an access is taken to cost. */
export function cyclesOf(msr: number, write: boolean): number {
  if (!write) return CYCLES.read;
  if (msr === msrs.MSR_LBR_SELECT) return CYCLES.writeSelect;
  return msr === msrs.MSR_IA32_DEBUGCTLMSR ? CYCLES.writeDebugctl : CYCLES.write;
}

/** Runs schedules on one machine and notes its accesses. */
export class AccessLog extends Observer {
  readonly machine: Machine;
  accesses: Access[] = [];
  private readonly map: LbrMap;
  private action = 0;
  private taskSwitches = 0;
  private vcpuSwitches = 0;
  private readonly task: Sum = new Sum();
  private readonly host: Sum = new Sum();

  constructor(config: MachineConfig) {
    super();
    this.map = lbrMap(config.model);
    this.machine = new Machine(config, this);
  }

  /** Runs a schedule from the boot, and returns the accesses. */
  run(schedule: Schedule): readonly Access[] {
    this.accesses = [];
    this.machine.boot();
    for (this.action = 0; this.action < schedule.length; this.action++) {
      step(this.machine, schedule, this.action);
    }
    return this.accesses;
  }

  /** Over all schedules that were run on some machines. */
  static costs(logs: readonly AccessLog[]): SwitchCosts {
    const total = (of: (log: AccessLog) => number): number =>
      logs.reduce((sum, log) => sum + of(log), 0);
    const taskSwitches = total((log) => log.taskSwitches);
    const vcpuSwitches = total((log) => log.vcpuSwitches);
    const mean = (of: (log: AccessLog) => Sum, over: number): Cost => ({
      reads: total((log) => of(log).reads) / Math.max(1, over),
      writes: total((log) => of(log).writes) / Math.max(1, over),
      cycles: total((log) => of(log).cycles) / Math.max(1, over),
    });
    return {
      taskSwitches,
      vcpuSwitches,
      perTaskSwitch: mean(({ task }) => task, taskSwitches),
      perVcpuSwitch: mean(({ host }) => host, vcpuSwitches),
    };
  }

  private guest(cpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    const fn = this.machine.runningCall(cpu);
    const { action } = this;
    this.accesses.push({ cpu, byHost: false, fn, action, msr, write, eax, edx });
    const lbr = msr === msrs.MSR_IA32_DEBUGCTLMSR || this.map.kind(msr) !== KIND_NONE;
    if (fn === CALL_SWITCH && lbr && !this.machine.ports[cpu].nested) this.task.add(msr, write);
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    this.guest(vcpu, msr, false, eax, edx);
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    this.guest(vcpu, msr, true, eax, edx);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    this.guest(vcpu, msr, write, eax, edx);
  }

  override hostAccess(cpu: number, _onBehalf: number, msr: number, write: boolean): void {
    const { action } = this;
    this.accesses.push({ cpu, byHost: true, fn: 0, action, msr, write, eax: 0, edx: 0 });
    this.host.add(msr, write);
  }

  override hostStack(_pcpu: number, _onBehalf: number, accesses: number, write: boolean): void {
    this.host.add(msrs.MSR_LBR_TOS, write, accesses);
  }

  override vcpuSwitch(_vcpu: number, _pcpu: number, scheduledIn: boolean): void {
    if (scheduledIn) this.vcpuSwitches++;
  }

  override guestIdle(vcpu: number): void {
    if (this.machine.runningCall(vcpu) === CALL_SWITCH) this.taskSwitches++;
  }
}

function same(a: Access | undefined, b: Access | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const where = a.cpu === b.cpu && a.byHost === b.byHost && a.msr === b.msr && a.write === b.write;
  return where && a.eax === b.eax && a.edx === b.edx;
}

/** Index of the first access in which two lists differ, or -1. */
export function partsAt(a: readonly Access[], b: readonly Access[]): number {
  const n = Math.max(a.length, b.length);
  for (let i = 0; i < n; i++) if (!same(a[i], b[i])) return i;
  return -1;
}

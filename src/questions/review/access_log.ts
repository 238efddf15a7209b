/**
 * The MSR accesses of a schedule: those of the guests' kernels in order, and how many each side
 * makes. Two drivers treat hardware alike if these are the same.
 */
import { type Accesses, CostMeter } from '../../machine/cost_meter.js';
import { type Schedule, step } from '../../schedule/schedule.js';

/** An access by a guest's kernel, or by the host's perf or KVM to an LBR MSR of a pCPU. */
export interface Access {
  /** The vCPU, counted over all VMs; for the host, the pCPU. */
  readonly cpu: number;
  readonly byHost: boolean;
  /** The guest kernel function that runs, CALL_*; 0 for the host. */
  readonly fn: number;
  /** Index of the action in the schedule. */
  readonly action: number;
  readonly msr: number;
  readonly write: boolean;
  /** The value of a guest's access; 0 for the host, whose values are not recorded. */
  readonly eax: number;
  readonly edx: number;
}

/** Accesses, and the cycles that they are assumed to cost. */
export type Cost = Readonly<Pick<Accesses, 'reads' | 'writes' | 'cycles'>>;

/** Mean costs of the switches in some schedules. */
export interface SwitchCosts {
  readonly taskSwitches: number;
  readonly vcpuSwitches: number;
  /** Cost of the guest kernel for each switch from one task to another. */
  readonly perTaskSwitch: Cost;
  /** Cost of the host for each time that a vCPU is switched in, switched out or exits. */
  readonly perVcpuSwitch: Cost;
}

/** Runs schedules on one machine and records its accesses. */
export class AccessLog extends CostMeter {
  accesses: Access[] = [];
  private action = 0;

  /** Runs a schedule from the boot. Returns the accesses. */
  run(schedule: Schedule): readonly Access[] {
    this.accesses = [];
    this.machine.boot();
    for (this.action = 0; this.action < schedule.length; this.action++) {
      step(this.machine, schedule, this.action);
    }
    return this.accesses;
  }

  /** Costs over all schedules that were run on some machines. */
  static costs(logs: readonly CostMeter[]): SwitchCosts {
    const total = (of: (log: CostMeter) => number): number =>
      logs.reduce((sum, log) => sum + of(log), 0);
    const taskSwitches = total((log) => log.taskSwitches);
    const vcpuSwitches = total((log) => log.vcpuSwitches);
    const mean = (of: (log: CostMeter) => Accesses, over: number): Cost => ({
      reads: total((log) => of(log).reads) / Math.max(1, over),
      writes: total((log) => of(log).writes) / Math.max(1, over),
      cycles: total((log) => of(log).cycles) / Math.max(1, over),
    });
    return {
      taskSwitches,
      vcpuSwitches,
      perTaskSwitch: mean(({ tasks }) => tasks, taskSwitches),
      perVcpuSwitch: mean(({ host }) => host, vcpuSwitches),
    };
  }

  private note(cpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    const fn = this.machine.runningCall(cpu);
    const { action } = this;
    this.accesses.push({ cpu, byHost: false, fn, action, msr, write, eax, edx });
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    super.guestRead(vcpu, msr, eax, edx);
    this.note(vcpu, msr, false, eax, edx);
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    super.guestWrite(vcpu, msr, eax, edx);
    this.note(vcpu, msr, true, eax, edx);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    super.guestFault(vcpu, msr, write, eax, edx);
    this.note(vcpu, msr, write, eax, edx);
  }

  override hostAccess(cpu: number, onBehalf: number, msr: number, write: boolean): void {
    super.hostAccess(cpu, onBehalf, msr, write);
    const { action } = this;
    this.accesses.push({ cpu, byHost: true, fn: 0, action, msr, write, eax: 0, edx: 0 });
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

/**
 * A recording as vlbr works with it: which vCPU is resident on which pCPU, in the recorded order,
 * and what else was recorded of the vCPUs. Left out: wake-ups, priorities, what other threads do.
 */
import type { Form } from './text_reader.js';
import type { RowCursor } from './rows.js';
import type { Gap } from './walk.js';
import { INFERRED } from './walk.js';
import type { VcpuThread } from './vcpus.js';
import type { Vm } from './vms.js';

/**
 * Steps as columns, by ascending time. From step `i` on, until the next step of the same pCPU,
 * `vcpu[i]` is resident on `pcpu[i]`.
 */
export interface Steps {
  readonly length: number;
  /** Nanoseconds from the first event of the recording. */
  readonly time: Float64Array;
  /** Index into `pcpus`. */
  readonly pcpu: Int8Array | Int16Array;
  /** Index into `vcpus`; -1 for any other thread, idle included. */
  readonly vcpu: Int8Array | Int16Array;
  /** Line of the text, from 1. */
  readonly line: Uint32Array;
  /** INFERRED, AFTER_GAP. */
  readonly bits: Uint8Array;
}

/** The vCPU switches of a host. Plain data: it can be sent to a worker thread. */
export interface HostSchedule {
  readonly file: string;
  readonly vms: readonly Vm[];
  /** Sorted by VM, index and pid. */
  readonly vcpus: readonly VcpuThread[];
  /** Numbers of the CPUs on which a vCPU was ever seen, ascending. */
  readonly pcpus: readonly number[];
  /** Before its first step a pCPU runs no vCPU. Steps never place a vCPU on two pCPUs at once. */
  readonly steps: Steps;
}

/** The exits and entries of the vCPUs, as far as they were recorded, by ascending time. */
export class KvmEvents {
  /** Number of all events; those of threads that are no vCPUs included. */
  readonly length: number;
  /** Nanoseconds from the first event of the recording. */
  time = 0;
  /** Index into `vcpus`. */
  vcpu = -1;
  /** Why the vCPU has left the guest, in KVM's words; null where it enters. */
  reason: string | null = null;
  private readonly cursor: RowCursor;
  private readonly vcpuOfThread: ReadonlyMap<number, number>;
  private readonly reasons: readonly string[];
  private readonly from: number;

  constructor(
    cursor: RowCursor,
    length: number,
    vcpuOfThread: ReadonlyMap<number, number>,
    reasons: readonly string[],
    from: number,
  ) {
    this.cursor = cursor;
    this.length = length;
    this.reasons = reasons;
    this.from = from;
    this.vcpuOfThread = vcpuOfThread;
  }

  /** Goes to the next event. Returns false behind the last one. */
  next(): boolean {
    const { cursor } = this;
    while (cursor.next()) {
      const vcpu = this.vcpuOfThread.get(cursor.number(0));
      if (vcpu === undefined || cursor.time < this.from) continue;
      const code = cursor.number(1);
      this.time = cursor.time;
      this.vcpu = vcpu;
      this.reason = code === 0 ? null : this.reasons[code];
      return true;
    }
    return false;
  }
}

/** An access to an LBR MSR or DEBUGCTL that was recorded. */
export interface MsrAccess {
  /** Nanoseconds from the first event of the recording. */
  readonly time: number;
  readonly line: number;
  /** Number of the CPU in the recording. */
  readonly cpu: number;
  /** Index into `vcpus`; -1 for any other thread. */
  readonly vcpu: number;
  readonly write: boolean;
  /** Whether KVM made it on behalf of the guest (kvm_msr), or the host itself. */
  readonly byGuest: boolean;
  readonly fault: boolean;
  readonly msr: number;
  /** The value's halves. */
  readonly low: number;
  readonly high: number;
}

export interface Recording extends HostSchedule {
  readonly form: Form;
  /** Names of the machines of the text; more than one only if one of them was chosen. */
  readonly machines: readonly string[];
  /** Whether the reading was ended before the text was. */
  readonly interrupted: boolean;
  /** Number of lines of the text. */
  readonly lines: number;
  /** sched_switch events that were kept, those of other threads included. */
  readonly switches: number;
  /** Seconds on the recording's clock at which its times begin. */
  readonly baseSeconds: number;
  /** Nanoseconds from the first switch that is kept to the last, whoever was switched. */
  readonly from: number;
  readonly to: number;
  /** Reports of lost events in the text. */
  readonly losses: number;
  /** The first gaps in which a vCPU was switched unseen, and the number of all of them. */
  readonly gaps: readonly Gap[];
  readonly gapCount: number;
  /** Accesses to MSRs of any kind that were recorded. */
  readonly msrAccesses: number;
  /** The exits and entries, from the first one. */
  kvmEvents(): KvmEvents;
  /** The accesses to LBR MSRs and DEBUGCTL. */
  lbrAccesses(): Iterable<MsrAccess>;
}

export interface ScheduleSummary {
  readonly vcpus: number;
  readonly vms: number;
  readonly pcpus: number;
  /** Recorded switches in which a vCPU goes out, comes in, or both. */
  readonly vcpu_switches: number;
  /**
   * Times that a vCPU comes in on a pCPU where the last vCPU before was another one; other threads
   * in between do not count. These are the switches at which LBR records could get mixed up.
   */
  readonly changes: number;
  /** The same, per index into `pcpus`. */
  readonly changes_by_pcpu: readonly number[];
  /** Those of `changes` whose two vCPUs belong to different VMs. */
  readonly changes_across_vms: number;
  /** Times that a vCPU comes in on another pCPU than the one it ran on last. */
  readonly migrations: number;
  /** Seconds from the first step to the last. */
  readonly span_s: number;
}

/**
 * Counts switches, changes and migrations. Inferred steps are no recorded switches, but a change or
 * migration that they prove did happen and is counted.
 */
export function summarize({ vcpus, vms, pcpus, steps }: HostSchedule): ScheduleSummary {
  const lastVcpu = pcpus.map(() => -1);
  const lastPcpu = vcpus.map(() => -1);
  const changesByPcpu = pcpus.map(() => 0);
  let [switches, changes, acrossVms, migrations] = [0, 0, 0, 0];
  for (let i = 0; i < steps.length; i++) {
    const [pcpu, vcpu] = [steps.pcpu[i], steps.vcpu[i]];
    if ((steps.bits[i] & INFERRED) === 0) switches++;
    if (vcpu === -1) continue;
    const before = lastVcpu[pcpu];
    if (before !== -1 && before !== vcpu) {
      changes++;
      changesByPcpu[pcpu]++;
      if (vcpus[before].vm !== vcpus[vcpu].vm) acrossVms++;
    }
    const left = lastPcpu[vcpu];
    if (left !== -1 && left !== pcpu) migrations++;
    lastVcpu[pcpu] = vcpu;
    lastPcpu[vcpu] = pcpu;
  }
  const span = steps.length === 0 ? 0 : steps.time[steps.length - 1] - steps.time[0];
  return {
    vcpus: vcpus.length,
    vms: vms.length,
    pcpus: pcpus.length,
    vcpu_switches: switches,
    changes,
    changes_by_pcpu: changesByPcpu,
    changes_across_vms: acrossVms,
    migrations,
    span_s: span / 1e9,
  };
}

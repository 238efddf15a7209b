/** What is kept of the events of a recording, whatever the form of its lines. */
import { isLbrMsr } from './lbr_msrs.js';
import { TraceError } from './trace_error.js';
import type { MsrPayload } from './kvm_payload.js';
import { CPU_MAX, SwitchRows, TimedRows } from './rows.js';
import { type Thread, Threads, vcpuName } from './threads.js';
import type { TextOptions } from './text_reader.js';

/** Reasons of exits that are told apart; all others are `?`. */
const REASONS_MAX = 1000;

/** Of these accesses, one is a write, one KVM's on behalf of a guest, one raised #GP. */
export const MSR_WRITE = 1;
export const MSR_BY_GUEST = 2;
export const MSR_FAULT = 4;
/** The CPU stands above these bits; CPU_MAX where there is no such column. */
export const MSR_CPU_SHIFT = 3;

/** For each sched_switch that `last` keeps, at most this many other events. */
const EVENTS_PER_SWITCH = 16;

export class Kept {
  readonly threads: Threads;
  readonly switches: SwitchRows;
  /** Columns: number of the thread; 0 for an entry, else the index of the exit's reason. */
  readonly kvm: TimedRows;
  /** Columns: number of the thread, MSR, low and high half of the value, line, bits and CPU. */
  readonly msrs: TimedRows;
  /** The reason of an exit by its index; 0 is no reason. */
  readonly reasons: string[] = ['', '?'];
  /** Accesses to MSRs of any kind that were recorded. */
  msrAccesses = 0;
  /** Reports of lost events. */
  losses = 0;
  /** Seconds on the recording's clock at which the times of rows begin. */
  baseSeconds = -1;
  /** The machines whose events there are; the empty name is that of lines without a prefix. */
  readonly machines: Set<string> = new Set();
  private machine: string | null;
  private readonly file: string;
  private readonly runs: Map<number, number> = new Map();
  private readonly reasonIndex: Map<string, number> = new Map([['?', 1]]);
  private time = 0;
  private seconds = 0;
  private nanos = 0;
  private days = 0;
  private lastOfDay = 0;
  private latestTime = -Infinity;
  private latestLine = 0;

  constructor(file: string, { last, machine, isVcpu }: TextOptions) {
    this.file = file;
    this.machine = machine ?? null;
    this.threads = new Threads(isVcpu ?? ((comm) => vcpuName(comm) !== null));
    this.switches = new SwitchRows(this.threads.pids, last);
    const most = last === undefined ? undefined : last * EVENTS_PER_SWITCH;
    this.kvm = new TimedRows([32, 16], most);
    this.msrs = new TimedRows([32, 32, 32, 32, 32, 16], most);
  }

  /** Whether events of this machine are read: those of the one asked for, or of the first. */
  isOf(machine: string): boolean {
    this.machines.add(machine);
    this.machine ??= machine;
    return machine === this.machine;
  }

  /** The seconds and nanoseconds of a time of babeltrace, which begins anew at midnight. */
  clock(event: { seconds: number; nanos: number; ofDay: boolean }): [number, number] {
    if (event.ofDay) {
      if (event.seconds < this.lastOfDay - 43_200) this.days++;
      this.lastOfDay = event.seconds;
    }
    this.isOf('');
    return [event.seconds + this.days * 86_400, event.nanos];
  }

  /** Sets the time of the event that follows. */
  at(seconds: number, nanos: number): void {
    if (this.baseSeconds < 0) this.baseSeconds = seconds;
    this.seconds = seconds;
    this.nanos = nanos;
    this.time = (seconds - this.baseSeconds) * 1e9 + nanos;
  }

  /** The thread that runs on a CPU as far as is known; 0 before the first switch. */
  running(cpu: number): number {
    return this.runs.get(cpu) ?? 0;
  }

  switch(line: number, cpu: number, prev: Thread, next: Thread): void {
    if (cpu > CPU_MAX) {
      throw new TraceError(
        this.file,
        line,
        `CPU ${cpu} is none that Linux can have (0 to ${CPU_MAX}), so the line is damaged; ` +
          'delete it',
      );
    }
    if (this.time < this.latestTime) throw this.timeGoesBack(line);
    this.latestTime = this.time;
    this.latestLine = line;
    this.runs.set(cpu, next.pid);
    this.switches.add(this.time, line, cpu, prev.number, next.number);
  }

  private timeGoesBack(line: number): TraceError {
    const before = this.baseSeconds + this.latestTime / 1e9;
    const now = this.seconds + this.nanos / 1e9;
    return new TraceError(
      this.file,
      line,
      `time goes back from ${before.toFixed(9)} s (line ${this.latestLine}) to ` +
        `${now.toFixed(9)} s; give one recording per file, with one clock for all CPUs ` +
        `(trace-cmd record -C mono)`,
    );
  }

  kvmEntry(pid: number, vcpu: number): void {
    if (pid === 0) return;
    const thread = this.threads.ofPid(pid);
    thread.kvmEvents++;
    if (vcpu >= 0) thread.kvmVcpu = vcpu;
    this.kvm.add(this.time, thread.number, 0);
  }

  kvmExit(pid: number, vcpu: number, reason: string): void {
    if (pid === 0) return;
    const thread = this.threads.ofPid(pid);
    thread.kvmEvents++;
    if (vcpu >= 0) thread.kvmVcpu = vcpu;
    let index = this.reasonIndex.get(reason);
    if (index === undefined) {
      index = this.reasons.length < REASONS_MAX ? this.reasons.push(reason) - 1 : 1;
      if (index > 1) this.reasonIndex.set(reason, index);
    }
    this.kvm.add(this.time, thread.number, index);
  }

  msr(pid: number, cpu: number, access: MsrPayload, byGuest: boolean, line: number): void {
    this.msrAccesses++;
    if (!isLbrMsr(access.msr)) return;
    const { msr, low, high, write, fault } = access;
    const bits = (write ? MSR_WRITE : 0) | (byGuest ? MSR_BY_GUEST : 0) | (fault ? MSR_FAULT : 0);
    const place = (cpu & CPU_MAX) << MSR_CPU_SHIFT;
    const thread = this.threads.ofPid(pid).number;
    this.msrs.add(this.time, thread, msr, low, high, line, bits | place);
  }

  /** Events of a CPU were lost, or of any CPU (-1). */
  lost(cpu: number, machine: string): void {
    if (machine !== '' && !this.isOf(machine)) return;
    this.losses++;
    this.switches.noteLoss(cpu);
  }
}

/**
 * What the guests of one machine did in one action, as rows of numbers: the accesses with their
 * values, the samples with their records, what was opened, and what the kernel warned of. Text is
 * made of them only where two machines differ.
 */
import { BRANCH_ENTRY_WORDS, PERF_SAMPLE_BRANCH_HW_INDEX } from '../../../guest/perf/perf_event.js';
import { HOST, Observer } from '../../../host/observer.js';
import { assert } from '../../../hw/assert.js';
import { MSR_LBR_SELECT } from '../../../hw/msr_index.js';
import type { Machine } from '../../../machine/machine.js';

/** A row: what it is, whose it is (a vCPU, or a VM for a warning), and five words. */
export const ROW_WORDS = 7;

/** The MSR, eax, edx. */
export const ROW_READ = 1;
export const ROW_WRITE = 2;
/** An access that faulted: the MSR, eax and edx of a write, and whether it is a write. */
export const ROW_FAULT = 3;
/** The event, the number of records, hw_idx. Rows of the records follow. */
export const ROW_SAMPLE = 4;
/** The words of a record. */
export const ROW_RECORD = 5;
/** branch_sample_type, and what perf_event_open() returned. */
export const ROW_OPENED = 6;
/** The line, and which of `Trace.warnings` it is. */
export const ROW_WARNING = 7;

/** An access of the host: the MSR, on whose behalf, and whether it is a write. */
export const ROW_HOST = 8;
/** An access of the host that faulted: the MSR, and whether it is a write. */
export const ROW_HOST_FAULT = 9;

/** hw_idx of a sample that does not ask for it. */
const NOT_ASKED = -2;

/** Hears one machine. */
export class Trace extends Observer {
  /** Rows of the current action, one after the other; `length` counts words. */
  words: Int32Array = new Int32Array(1024 * ROW_WORDS);
  length = 0;
  /** Files of the warnings of the current action. */
  readonly warnings: string[] = [];
  /** Accesses and samples since the trace was made. */
  accesses = 0;
  samples = 0;
  /** What was opened: the port says so before its accesses, and C code after them. */
  private readonly openings: number[] = [];
  private machine: Machine | null = null;
  private readonly hearsHost: boolean;

  constructor(hearsHost = false) {
    super();
    this.hearsHost = hearsHost;
  }

  /** Must be called with the machine that this hears before anything happens. */
  attach(machine: Machine): void {
    this.machine = machine;
  }

  /** Forgets what has happened. */
  begin(): void {
    this.length = 0;
    this.openings.length = 0;
    this.warnings.length = 0;
  }

  /** Closes an action: all of it is in `words`, what was opened first. */
  end(): void {
    const { openings } = this;
    if (openings.length === 0) return;
    const rest = this.words.slice(0, this.length);
    this.length = 0;
    for (let i = 0; i < openings.length; i += 3) {
      this.row(ROW_OPENED, openings[i], openings[i + 1], openings[i + 2], 0);
    }
    this.reserve(rest.length);
    this.words.set(rest, this.length);
    this.length += rest.length;
  }

  /** Makes room for some more words. */
  private reserve(more: number): void {
    if (this.length + more <= this.words.length) return;
    const grown = new Int32Array(2 * this.words.length);
    grown.set(this.words);
    this.words = grown;
  }

  private row(kind: number, whose: number, a: number, b: number, c: number, d = 0, e = 0): void {
    const at = this.length;
    this.reserve(ROW_WORDS);
    const w = this.words;
    w[at] = kind;
    w[at + 1] = whose;
    w[at + 2] = a;
    w[at + 3] = b;
    w[at + 4] = c;
    w[at + 5] = d;
    w[at + 6] = e;
    this.length = at + ROW_WORDS;
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    this.accesses++;
    this.row(ROW_READ, vcpu, msr, eax, edx);
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    this.accesses++;
    this.row(ROW_WRITE, vcpu, msr, eax, edx);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    this.accesses++;
    this.row(ROW_FAULT, vcpu, msr, eax, edx, write ? 1 : 0);
  }

  override guestSample(vcpu: number, event: number): void {
    const { machine } = this;
    assert(machine !== null, 'a trace hears a machine');
    const cpu = machine.cpu(vcpu);
    const { lbr_stack_nr, lbr_stack_hw_idx } = cpu.cpuc;
    const { words, events } = cpu.kernel;
    const asked = (events[event].branch_sample_type & PERF_SAMPLE_BRANCH_HW_INDEX) !== 0;
    this.samples++;
    this.row(ROW_SAMPLE, vcpu, event, lbr_stack_nr, asked ? lbr_stack_hw_idx : NOT_ASKED);
    const first = cpu.lbr_entry(0);
    for (let i = 0; i < lbr_stack_nr; i++) {
      const at = first + i * BRANCH_ENTRY_WORDS;
      const from = words[at];
      this.row(ROW_RECORD, vcpu, from, words[at + 1], words[at + 2], words[at + 3], words[at + 4]);
    }
  }

  override guestOpened(vcpu: number, type: number, ret: number): void {
    this.openings.push(vcpu, type, ret);
  }

  /**
   * KVM's events of a guest's counters make perf disable and enable the PMU, and thereby write
   * DEBUGCTL and LBR_SELECT again: these two are left out where perf itself writes them.
   */
  override hostAccess(pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    const again = onBehalf === HOST && msr === MSR_LBR_SELECT;
    if (this.hearsHost && !again) this.row(ROW_HOST, pcpu, msr, onBehalf, write ? 1 : 0);
  }

  override hostFault(pcpu: number, msr: number, write: boolean): void {
    if (this.hearsHost) this.row(ROW_HOST_FAULT, pcpu, msr, write ? 1 : 0, 0);
  }

  override guestWarned(vm: number, file: string, line: number): void {
    this.row(ROW_WARNING, vm, line, this.warnings.push(file) - 1, 0);
  }
}

/** Word of the first row in which the actions of two traces differ, or -1. */
export function differingRow(a: Trace, b: Trace): number {
  const [x, y] = [a.words, b.words];
  const most = Math.min(a.length, b.length);
  for (let i = 0; i < most; i++) if (x[i] !== y[i]) return i - (i % ROW_WORDS);
  return a.length === b.length ? -1 : most;
}

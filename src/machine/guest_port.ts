/**
 * A guest kernel's way to its MSRs, and the place where time passes for it: the host may take
 * the pCPU away, and an NMI may arrive, before any access.
 *
 * Guest functions stay plain functions by re-execution. When one is entered that may be
 * interrupted, the kernel's memory is copied and its reads are logged; to interrupt it, it is
 * unwound by an exception; to go on, memory is put back and it runs again from its start, its
 * first accesses answered from the log. A function depends on its memory and its reads alone, so
 * this is exact, and a suspended function is plain words in the machine's block.
 */
import type { Kvm } from '../host/kvm.js';
import type { Vcpu } from '../host/vcpu.js';
import { type Cpu, driverOf, type Kernel } from '../guest/perf/kernel.js';
import { EVENT_CTX_AT, perf_event, task_struct } from '../guest/perf/perf_structs.js';
import { intel_pmu_handle_irq } from '../guest/perf/intel_core.js';
import { assert } from '../hw/assert.js';
import { CALL_SWITCH, CALL_WRMSR } from './guest_call.js';
import type { Layout } from '../hw/memory.js';
import type { MsrPort, Vector } from '../hw/msr_port.js';
import type { CpuModel } from '../hw/cpu_models.js';

/** Thrown to unwind a guest function that the host interrupts. */
export const PREEMPTED: symbol = Symbol('preempted');

const FN = 0;
const ARG_A = 1;
const ARG_B = 2;
const ARG_C = 3;
const EPILOGUE = 4;
/** Accesses that the function had made when it was last unwound. */
const ACCESSES = 5;
const READS = 6;
const NMIS = 7;
/** Accesses made before each NMI that has arrived inside the function. */
const NMI_AT = 8;
const NMIS_MAX = 4;
/** Tasks and contexts whose memory the function may touch: the locks it holds. */
const TASKS: number = NMI_AT + NMIS_MAX;
const CONTEXTS: number = TASKS + 1;
/** Accesses until the armed NMI, plus one; 0 if no NMI is armed. */
const NMI_AFTER: number = CONTEXTS + 1;
const NMI_COUNTER: number = NMI_AFTER + 1;
/** Words of a port before its log. */
export const PORT_WORDS: number = NMI_COUNTER + 1;

/** Words of a read in the log: the MSR's index, eax and edx. */
export const READ_WORDS = 3;

/** Reads in the log of a port whose words start at `at`; -1 if it has no suspended function. */
export function loggedReads(words: Int32Array, at: number): number {
  return words[at + FN] === 0 ? -1 : words[at + READS];
}

/** The MSR that a port's suspended function writes raw, or 0; the value is at WRITE_VALUE. */
export function suspendedWrite(words: Int32Array, at: number): number {
  return words[at + FN] === CALL_WRMSR ? words[at + ARG_A] : 0;
}

/** eax and edx of such a write, in the words of a port. */
export const WRITE_VALUE: number = ARG_B;

/** Renames the tasks in the words of a port, which start at `at`. */
export function renameTasksOf(
  words: Int32Array,
  at: number,
  renamed: (task: number) => number,
): void {
  let mask = 0;
  for (let t = 0; t < 32; t++) if ((words[at + TASKS] & (1 << t)) !== 0) mask |= 1 << renamed(t);
  words[at + TASKS] = mask;
  if (words[at + FN] !== CALL_SWITCH) return;
  words[at + ARG_A] = renamed(words[at + ARG_A]);
  words[at + ARG_B] = renamed(words[at + ARG_B]);
}

/** Reads that one function makes at the most: two saves, two restores, and four PMIs. */
function readsMax(model: CpuModel): number {
  return 32 * model.lbr_nr + 256;
}

/** What the machine does for a port at a boundary between two accesses. */
export interface PortOwner {
  /** Whether the host takes the pCPU before the next access; counts it down otherwise. */
  preemptBeforeAccess(vcpu: Vcpu): boolean;
  /** Makes a counter overflow, and the guest take its PMI. */
  raisePmi(vcpu: Vcpu, counter: number): void;
  returnFromPmi(vcpu: Vcpu): void;
}

/**
 * The MSR port of one vCPU's kernel, with the function that is suspended on it, if there is one.
 *
 * A kernel function runs between `begin`, `beginQuiet` or `rewind` and `end` or `suspend`. An
 * access may throw PREEMPTED after `begin` and `rewind`, and never after `beginQuiet`.
 */
export class GuestPort implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  /** Set once the kernel exists that uses this port. */
  cpu: Cpu | null = null;
  private readonly kvm: Kvm;
  private readonly vcpu: Vcpu;
  private readonly owner: PortOwner;
  private readonly w: Int32Array;
  /** Word offsets: PORT_WORDS, the log, and the copy of the kernel's memory. */
  readonly o: number;
  readonly log: number;
  private readonly logEnd: number;
  readonly snapshot: number;
  /** Nothing can happen between two accesses, and nothing is logged. */
  private quiet = true;
  private inNmi = false;
  /** Accesses that the running function has made, and how many of them are replayed. */
  private position = 0;
  private replayed = 0;
  private readCursor = 0;
  private nmiCursor = 0;

  constructor(
    w: Int32Array,
    offset: number,
    kvm: Kvm,
    vcpu: Vcpu,
    owner: PortOwner,
    model: CpuModel,
  ) {
    this.w = w;
    this.o = offset;
    this.kvm = kvm;
    this.vcpu = vcpu;
    this.owner = owner;
    this.log = offset + PORT_WORDS;
    this.logEnd = this.log + READ_WORDS * readsMax(model);
    this.snapshot = this.logEnd;
  }

  static allocate(layout: Layout, model: CpuModel, kernelWords: number): number {
    return layout.take(PORT_WORDS + READ_WORDS * readsMax(model) + kernelWords);
  }

  /** Number of the suspended function, or 0. */
  get suspended(): number {
    return this.w[this.o + FN];
  }
  get argA(): number {
    return this.w[this.o + ARG_A];
  }
  get argB(): number {
    return this.w[this.o + ARG_B];
  }
  get argC(): number {
    return this.w[this.o + ARG_C];
  }
  /** What the machine has to do once the function returns. */
  get epilogue(): number {
    return this.w[this.o + EPILOGUE];
  }
  /** Accesses that the suspended function has made. */
  get accesses(): number {
    return this.w[this.o + ACCESSES];
  }
  /** Bit mask of the tasks that the suspended function holds. */
  get lockedTasks(): number {
    return this.w[this.o + FN] === 0 ? 0 : this.w[this.o + TASKS];
  }

  /** Delivers a PMI after `after` more accesses of guest kernel functions. */
  armNmi(after: number, counter: number): void {
    this.w[this.o + NMI_AFTER] = after + 1;
    this.w[this.o + NMI_COUNTER] = counter;
  }

  get nmiArmed(): boolean {
    return this.w[this.o + NMI_AFTER] !== 0;
  }

  /** A kexec stops the counters, so it must also drop a PMI that has not arrived yet. */
  disarmNmi(): void {
    this.w[this.o + NMI_AFTER] = 0;
  }

  /** Zeroes the words of a function that has returned. */
  settle(): void {
    if (this.w[this.o + FN] !== 0) return;
    this.w.fill(0, this.o, this.o + NMI_AFTER);
    if (!this.nmiArmed) this.w[this.o + NMI_COUNTER] = 0;
  }

  /** Prepares for a function that may be interrupted; `tasks` are those it may touch. */
  begin(fn: number, a: number, b: number, c: number, epilogue: number, tasks: number): void {
    const { w, o } = this;
    const { kernel } = this.running();
    assert(w[o + FN] === 0, 'a function begins when no other is under way');
    w[o + FN] = fn;
    w[o + ARG_A] = a;
    w[o + ARG_B] = b;
    w[o + ARG_C] = c;
    w[o + EPILOGUE] = epilogue;
    w[o + ACCESSES] = 0;
    w[o + READS] = 0;
    w[o + NMIS] = 0;
    w[o + TASKS] = tasks;
    w[o + CONTEXTS] = this.contextsOf(kernel, tasks);
    const { start, size } = kernel.layout;
    w.copyWithin(this.snapshot, start, start + size);
    this.start();
  }

  /** Prepares for a function during which nothing can happen. */
  beginQuiet(): void {
    assert(this.w[this.o + FN] === 0, 'a function begins when no other is under way');
    this.quiet = !this.nmiArmed;
    this.inNmi = false;
    this.position = 0;
    this.replayed = -1;
    this.nmiCursor = 0;
  }

  /** Puts memory back to what it was when the suspended function was entered. */
  rewind(): void {
    const { kernel, cpuc } = this.running();
    assert(this.w[this.o + FN] !== 0, 'only a suspended function runs again');
    const { layout } = kernel;
    const contexts = this.w[this.o + CONTEXTS];
    this.putBack(cpuc.o, layout.percpuWords);
    for (const task of kernel.tasks) {
      if ((this.w[this.o + TASKS] & (1 << task.id)) !== 0) {
        this.putBack(task.o, task_struct.WORDS);
      }
    }
    for (const ctx of kernel.contexts) {
      if ((contexts & (1 << ctx.id)) === 0) continue;
      this.putBack(ctx.o, layout.contextWords);
      if (ctx.task_ctx_data !== 0) {
        this.putBack(kernel.data[ctx.task_ctx_data - 1].o, layout.dataWords);
      }
    }
    for (const event of kernel.events) {
      const address = this.w[this.snapshot + event.o - layout.start + EVENT_CTX_AT];
      const ctx = layout.contextTable.plusOne(address);
      if (ctx !== 0 && (contexts & (1 << (ctx - 1))) !== 0) {
        this.putBack(event.o, perf_event.WORDS);
      }
    }
    this.putBack(layout.statics, driverOf(kernel.config).staticWords);
    this.start();
  }

  end(): void {
    assert(this.position >= this.replayed, 'a function that runs again makes the same accesses');
    this.w[this.o + FN] = 0;
    this.quiet = true;
  }

  suspend(): void {
    assert(this.w[this.o + FN] !== 0, 'only a function that may be interrupted is suspended');
    this.w[this.o + ACCESSES] = this.position;
    this.quiet = true;
    this.inNmi = false;
  }

  /** Whether what happens now has happened before, in the run that was unwound. */
  get replaying(): boolean {
    return !this.quiet && this.replayed > 0 && this.position <= this.replayed;
  }

  /** Whether an NMI is being handled that came between two accesses of another function. */
  get nested(): boolean {
    return this.inNmi;
  }

  rdmsr(msr: number): number {
    const { kvm } = this;
    if (!this.quiet) {
      this.boundary();
      if (this.position++ < this.replayed) return this.logged(msr);
    }
    const eax = kvm.guestRdmsr(this.vcpu, msr);
    this.edx = kvm.edx;
    this.vector = kvm.vector;
    if (!this.quiet && this.replayed >= 0) this.append(msr, eax, this.edx);
    return eax;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    if (!this.quiet) {
      this.boundary();
      if (this.position++ < this.replayed) return 0;
    }
    return this.kvm.guestWrmsr(this.vcpu, msr, eax, edx);
  }

  private running(): Cpu {
    assert(this.cpu !== null, 'a port belongs to a CPU');
    return this.cpu;
  }

  private start(): void {
    this.quiet = false;
    this.inNmi = false;
    this.position = 0;
    this.replayed = this.w[this.o + ACCESSES];
    this.readCursor = this.log;
    this.nmiCursor = 0;
  }

  private contextsOf(kernel: Kernel, tasks: number): number {
    let mask = 1 << this.running().ctx.id;
    for (const task of kernel.tasks) {
      if ((tasks & (1 << task.id)) !== 0 && task.perf_event_ctxp !== 0) {
        mask |= 1 << (task.perf_event_ctxp - 1);
      }
    }
    return mask;
  }

  private putBack(at: number, size: number): void {
    const from = this.snapshot + at - this.running().kernel.layout.start;
    this.w.copyWithin(at, from, from + size);
  }

  private logged(msr: number): number {
    const at = this.readCursor;
    assert(this.w[at] === msr, 'a function that runs again reads what it has read before');
    this.edx = this.w[at + 2];
    this.readCursor = at + READ_WORDS;
    return this.w[at + 1];
  }

  private append(msr: number, eax: number, edx: number): void {
    const at = this.log + READ_WORDS * this.w[this.o + READS];
    assert(at < this.logEnd, 'the read log is long enough for every guest function');
    this.w[at] = msr;
    this.w[at + 1] = eax;
    this.w[at + 2] = edx;
    this.readCursor = at + READ_WORDS;
    this.w[this.o + READS]++;
  }

  /** What may come between two accesses: first the NMIs, those of an earlier run included. */
  private boundary(): void {
    const { w, o } = this;
    if (!this.inNmi && this.replayed >= 0) {
      const arrived = w[o + NMIS];
      while (this.nmiCursor < arrived && w[o + NMI_AT + this.nmiCursor] === this.position) {
        this.nmiCursor++;
        this.handleNmi();
      }
    }
    if (this.position < this.replayed) return;
    if (!this.inNmi && this.nmiDue()) {
      if (this.replayed >= 0) {
        w[o + NMI_AT + w[o + NMIS]] = this.position;
        w[o + NMIS]++;
        this.nmiCursor++;
      }
      this.owner.raisePmi(this.vcpu, w[o + NMI_COUNTER]);
      this.handleNmi();
    }
    if (this.replayed >= 0 && this.owner.preemptBeforeAccess(this.vcpu)) throw PREEMPTED;
  }

  private nmiDue(): boolean {
    const at = this.o + NMI_AFTER;
    if (this.w[at] === 0) return false;
    if (this.replayed >= 0 && this.w[this.o + NMIS] >= NMIS_MAX) return false;
    this.w[at]--;
    return this.w[at] === 0;
  }

  private handleNmi(): void {
    this.inNmi = true;
    intel_pmu_handle_irq(this.running());
    this.inNmi = false;
    // A handler that had returned before the function was unwound has made no new access.
    if (this.position > this.replayed) this.owner.returnFromPmi(this.vcpu);
  }
}

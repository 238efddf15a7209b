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
import type { Hypervisor } from '../host/hypervisor.js';
import type { Vcpu } from '../host/vcpu.js';
import { type Cpu, driverOf, type Kernel } from '../guest/perf/kernel.js';
import { EVENT_CTX_AT, perf_event, task_struct, USERS_AT } from '../guest/perf/perf_structs.js';
import { intel_pmu_handle_irq } from '../guest/perf/intel_core.js';
import { noActiveEvents } from '../guest/perf/x86_core.js';
import { assert } from '../hw/assert.js';
import {
  ACCESSES,
  CallPort,
  CONTEXTS,
  FN,
  NMI_AFTER,
  NMI_AT,
  NMI_COUNTER,
  NMIS,
  NMIS_MAX,
  PORT_WORDS,
  type PortOwner,
  READ_WORDS,
  READS,
  TASKS,
} from './call_port.js';
import { runGuestCall } from './guest_call.js';
import type { Layout } from '../hw/memory.js';
import { GP_VECTOR, type Vector } from '../hw/msr_port.js';
import type { CpuModel } from '../hw/cpu_models.js';

/** Thrown to unwind a guest function that the host interrupts. */
const PREEMPTED: symbol = Symbol('preempted');

/** Reads that one function makes at the most: two saves, two restores, and four PMIs. */
function readsMax(model: CpuModel): number {
  return 32 * model.lbr_nr + 320;
}

/** In the log, in place of an MSR: a word of memory that other CPUs may change. */
const WORD_OF_MEMORY = 0;

/** Word offsets of the log of a port whose words start at `at`, and of its copy of memory. */
export function tailOf(model: CpuModel, at: number): { log: number; snapshot: number } {
  const log = at + PORT_WORDS;
  return { log, snapshot: log + READ_WORDS * readsMax(model) };
}

/**
 * The MSR port of one vCPU's kernel, with the function that is suspended on it, if there is one.
 *
 * An access may throw PREEMPTED after `begin` and in `resume`, and never after `beginQuiet`.
 */
export class GuestPort extends CallPort {
  /** Set once the kernel exists that uses this port. */
  cpu: Cpu | null = null;
  private readonly kvm: Hypervisor;
  private readonly vcpu: Vcpu;
  private readonly owner: PortOwner;
  /** Word offsets, behind PORT_WORDS: the log, and the copy of the kernel's memory. */
  private readonly log: number;
  private readonly snapshot: number;
  /** Nothing can happen between two accesses, and nothing is logged. */
  private quiet = true;
  private inNmi = false;
  /** Accesses that the running function has made, and how many of them are replayed. */
  private position = 0;
  private replayed = 0;
  private readCursor = 0;
  private nmiCursor = 0;
  /** The next access that is not replayed was counted before the function was unwound there. */
  private counted = false;

  constructor(
    w: Int32Array,
    offset: number,
    kvm: Hypervisor,
    vcpu: Vcpu,
    owner: PortOwner,
    model: CpuModel,
  ) {
    super(w, offset);
    this.kvm = kvm;
    this.vcpu = vcpu;
    this.owner = owner;
    ({ log: this.log, snapshot: this.snapshot } = tailOf(model, offset));
  }

  static allocate(layout: Layout, model: CpuModel, kernelWords: number): number {
    return layout.take(PORT_WORDS + READ_WORDS * readsMax(model) + kernelWords);
  }

  begin(fn: number, a: number, b: number, c: number, epilogue: number, tasks: number): void {
    const { w, o } = this;
    const { kernel } = this.running();
    this.hold(fn, a, b, c, epilogue);
    w[o + TASKS] = tasks;
    w[o + CONTEXTS] = this.contextsOf(kernel, tasks);
    const { start, size } = kernel.layout;
    w.copyWithin(this.snapshot, start, start + size);
    this.start();
  }

  beginQuiet(): void {
    assert(this.w[this.o + FN] === 0, 'a function begins when no other is under way');
    this.quiet = !this.nmiArmed;
    this.inNmi = false;
    this.position = 0;
    this.replayed = -1;
    this.nmiCursor = 0;
    this.counted = false;
  }

  run(fn: number, a: number, b: number, c: number): boolean {
    try {
      runGuestCall(this.running(), fn, a, b, c);
    } catch (e) {
      if (e !== PREEMPTED) throw e;
      this.suspend();
      return false;
    }
    this.end();
    return true;
  }

  resume(): boolean {
    this.rewind();
    return this.run(this.suspended, this.argA, this.argB, this.argC);
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
    this.putBackTaskData(kernel);
    for (const event of kernel.events) {
      const address = this.w[this.snapshot + event.o - layout.start + EVENT_CTX_AT];
      const ctx = layout.contextTable.plusOne(address);
      if (ctx !== 0 && (contexts & (1 << (ctx - 1))) !== 0) {
        this.putBack(event.o, perf_event.WORDS);
      }
    }
    this.putBack(layout.statics, driverOf(kernel.config).staticWords);
    this.start();
    this.counted = true;
  }

  /** The blocks that the function's tasks had as it began; which these are, others may change. */
  private putBackTaskData({ tasks, data, layout }: Kernel): void {
    for (const { id } of tasks) {
      if ((this.w[this.o + TASKS] & (1 << id)) === 0) continue;
      const block = this.w[this.snapshot + layout.taskData + id - layout.start];
      if (block === 0) continue;
      const { o } = data[block - 1];
      const users = this.w[o + USERS_AT];
      this.putBack(o, layout.dataWords);
      // Which users there are, other CPUs may have changed, and the log has what this one did.
      this.w[o + USERS_AT] = users;
    }
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

  get replaying(): boolean {
    return !this.quiet && this.replayed > 0 && this.position <= this.replayed;
  }

  override get expectsFault(): boolean {
    return this.running().expectsFault;
  }

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

  /** Whether the running function has done before what it logs next. */
  private get inLog(): boolean {
    const { w, o } = this;
    return this.readCursor < this.log + READ_WORDS * w[o + READS];
  }

  loadWord(at: number): number {
    if (this.quiet || this.replayed < 0) return this.w[at];
    if (this.inLog) return this.logged(WORD_OF_MEMORY);
    this.vector = 0;
    this.append(WORD_OF_MEMORY, this.w[at], 0);
    return this.w[at];
  }

  storeWord(at: number, value: number): void {
    if (this.quiet || this.replayed < 0) {
      this.w[at] = value;
    } else if (this.inLog) {
      this.logged(WORD_OF_MEMORY);
    } else {
      this.w[at] = value;
      this.vector = 0;
      this.append(WORD_OF_MEMORY, value, 0);
    }
  }

  /** Nothing comes before it; what was done before the function was unwound is not done again. */
  setCounter(counter: number, on: boolean): void {
    if (!this.replaying) this.kvm.counters?.setCounter(this.vcpu, counter, on);
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
    this.counted = false;
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
    const faulted = this.w[at] === ~msr;
    assert(faulted || this.w[at] === msr, 'a function that runs again reads what it read before');
    this.vector = faulted ? GP_VECTOR : 0;
    this.edx = this.w[at + 2];
    this.readCursor = at + READ_WORDS;
    return this.w[at + 1];
  }

  private append(msr: number, eax: number, edx: number): void {
    const at = this.log + READ_WORDS * this.w[this.o + READS];
    assert(at < this.snapshot, 'the read log is long enough for every guest function');
    this.w[at] = this.vector === 0 ? msr : ~msr;
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
    const { counted } = this;
    this.counted = false;
    if (!this.inNmi && !counted && this.nmiDue()) {
      // What is left alone does nothing, so it need not be taken again either.
      const leftAlone = noActiveEvents(this.running().kernel);
      if (this.replayed >= 0 && !leftAlone) {
        w[o + NMI_AT + w[o + NMIS]] = this.position;
        w[o + NMIS]++;
        this.nmiCursor++;
      }
      this.owner.raisePmi(this.vcpu, w[o + NMI_COUNTER]);
      if (leftAlone) this.owner.returnFromPmi(this.vcpu);
      else this.handleNmi();
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

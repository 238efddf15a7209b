/**
 * The way to its MSRs of a guest's kernel that runs as C code. A function that the host interrupts
 * is left where it is, and goes on from there: `guest/image/instance.ts` says how.
 *
 * Perf programs its counters by MSRs, too. KVM emulates those, and none of them concerns LBR:
 * nothing comes between two accesses of counters.
 */
import type { Hypervisor } from '../host/hypervisor.js';
import type { Vcpu } from '../host/vcpu.js';
import { assert } from '../hw/assert.js';
import type { Layout } from '../hw/memory.js';
import type { Vector } from '../hw/msr_port.js';
import { COUNTER_WORDS, Counters, EVENTSEL_ENABLE, selectedBy } from '../guest/image/counters.js';
import {
  ACCESSES,
  CallPort,
  FN,
  NMI_AFTER,
  NMI_COUNTER,
  NMIS,
  PORT_WORDS,
  type PortOwner,
  TASKS,
} from './call_port.js';
import { tasksOf } from './guest_call.js';
import type { GuestImage } from './guest_image.js';

export class ImagePort extends CallPort {
  /** The kernel that uses this port, and the number of the CPU there. */
  private image: GuestImage | null = null;
  private readonly kvm: Hypervisor;
  private readonly vcpu: Vcpu;
  private readonly owner: PortOwner;
  private readonly counters: Counters;
  /** The function that runs, though nothing is to interrupt it. */
  private quiet: readonly [fn: number, a: number, b: number, c: number, epilogue: number] | null =
    null;

  constructor(w: Int32Array, offset: number, kvm: Hypervisor, vcpu: Vcpu, owner: PortOwner) {
    super(w, offset);
    this.kvm = kvm;
    this.vcpu = vcpu;
    this.owner = owner;
    const at = offset + PORT_WORDS;
    this.counters = new Counters(w.subarray(at, at + COUNTER_WORDS));
  }

  static allocate(layout: Layout): number {
    return layout.take(PORT_WORDS + COUNTER_WORDS);
  }

  /** Must be called with the kernel before anything runs. */
  attach(image: GuestImage): void {
    this.image = image;
  }

  private kernel(): GuestImage {
    assert(this.image !== null, 'a port belongs to a kernel');
    return this.image;
  }

  begin(fn: number, a: number, b: number, c: number, epilogue: number, tasks: number): void {
    this.hold(fn, a, b, c, epilogue);
    this.w[this.o + TASKS] = tasks;
    this.quiet = null;
  }

  beginQuiet(fn: number, a: number, b: number, c: number, epilogue: number): void {
    this.quiet = [fn, a, b, c, epilogue];
  }

  run(fn: number, a: number, b: number, c: number): boolean {
    return this.ended(this.kernel().run(this.vcpu.cpu, fn, a, b, c));
  }

  resume(): boolean {
    return this.ended(this.kernel().resume(this.vcpu.cpu));
  }

  private ended(returned: boolean): boolean {
    if (returned) {
      this.w[this.o + FN] = 0;
    } else if (this.quiet !== null) {
      // It waits for another CPU, which has left a function that holds what it wants.
      this.hold(...this.quiet);
      const [fn, a, b] = this.quiet;
      this.w[this.o + TASKS] = tasksOf(this.kernel().kernel.cpus[this.vcpu.cpu], fn, a, b);
    }
    this.quiet = null;
    return returned;
  }

  /** Whether an NMI is being handled, in words of the suspended function. */
  get nested(): boolean {
    return this.w[this.o + NMIS] !== 0;
  }

  get replaying(): boolean {
    return false;
  }

  override get expectsFault(): boolean {
    return this.kernel().expectsFault;
  }

  override get unseenEvents(): number {
    return this.kernel().unseenEvents;
  }

  /** Whether the vCPU has a pCPU. */
  get runs(): boolean {
    return this.vcpu.pcpu >= 0;
  }

  /** Whether the armed NMI comes before the next access, which is to `msr`; counts down else. */
  nmiComes(msr: number): boolean {
    const { w, o } = this;
    if (w[o + NMI_AFTER] === 0 || this.nested || this.counters.has(msr)) return false;
    w[o + NMI_AFTER]--;
    if (w[o + NMI_AFTER] !== 0) return false;
    w[o + NMIS] = 1;
    // The function may have made another task current by now, which is the one that is interrupted.
    this.kernel().look();
    if (this.owner.raisePmi(this.vcpu, w[o + NMI_COUNTER])) return true;
    w[o + NMIS] = 0;
    return false;
  }

  nmiReturns(): void {
    this.w[this.o + NMIS] = 0;
    this.owner.returnFromPmi(this.vcpu);
  }

  /** Whether the host takes the pCPU before the next access, which is to `msr`. */
  leaves(msr: number): boolean {
    if (this.quiet !== null || this.counters.has(msr)) return false;
    return this.owner.preemptBeforeAccess(this.vcpu);
  }

  override overflow(counter: number): void {
    this.counters.overflow(counter);
  }

  /** Whether an MSR is a counter's, and KVM is not asked. */
  private isOwn(msr: number): boolean {
    return this.counters.has(msr) && this.kvm.tree === null;
  }

  rdmsr(msr: number): number {
    if (this.isOwn(msr)) {
      const low = this.counters.rdmsr(msr);
      this.edx = this.counters.edx;
      this.vector = 0;
      return low;
    }
    this.accessed(msr);
    const eax = this.kvm.guestRdmsr(this.vcpu, msr);
    this.edx = this.kvm.edx;
    this.vector = this.kvm.vector;
    return eax;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    if (this.isOwn(msr)) {
      const counter = selectedBy(msr);
      const on = (eax & EVENTSEL_ENABLE) !== 0;
      if (counter >= 0) this.kvm.counters?.setCounter(this.vcpu, counter, on);
      return this.counters.wrmsr(msr, eax, edx);
    }
    this.accessed(msr);
    return this.kvm.guestWrmsr(this.vcpu, msr, eax, edx);
  }

  /** What is judged at an access is as the kernel has it then. */
  private accessed(msr: number): void {
    if (this.counters.has(msr)) return;
    this.w[this.o + ACCESSES]++;
    this.kernel().lookAtUsers(this.vcpu.cpu);
  }
}

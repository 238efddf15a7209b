/** The host's kernel as C code; its tasks are the threads of vCPUs and then the idle ones. */
import type { ImageInstance } from '../guest/image/instance.js';
import { PERF_EVENT_STATE_ACTIVE, PERF_EVENT_STATE_OFF } from '../guest/perf/perf_event.js';
import { perf_event } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { FIXED_COUNTER, type LogicalProcessor } from '../hw/logical_processor.js';
import { MSR_CORE_PERF_GLOBAL_CTRL, MSR_IA32_DEBUGCTLMSR } from '../hw/msr_index.js';
import { HOST } from '../host/observer.js';
import type { Vcpu } from '../host/vcpu.js';
import { COUNTER_EVENTS } from './host_perf.js';
import { KernelImage } from './kernel_image.js';
import { NoGuestLbr } from './no_guest_lbr.js';
import type { VmxCpus } from './vmx_cpus.js';

/** Words of `vlbr_vcpu_view()`. */
const VIEW_LBR_EVENT = 0;
const VIEW_PASSTHROUGH = 1;
const VIEW_GLOBAL_CTRL = 2;
const VIEW_REGISTERS = 4;
const VIEW_COUNTERS = 5;

/** Words of VIEW_REGISTERS: c/kvm/vmm.c. */
const REGISTERS_BY_EVENT = 0;
const REGISTERS_OF_GUEST = 2;

/** The module's own start, by the names of all trees. */
const KVM_INITCALLS: readonly string[] = ['kvm_x86_init', 'vmx_init', 'vt_init'];

export class HostCode extends KernelImage {
  /** Runs a function. Returns what that returns. */
  run(pcpu: number, name: string, ...args: readonly number[]): number {
    const returned = this.atOnce(pcpu, name, ...args);
    this.settle();
    return returned;
  }

  /** Makes an event, which takes a slot, unless the kernel refuses it. */
  make(slot: number, pcpu: number, name: string, ...args: readonly number[]): void {
    const made = this.atOnce(pcpu, name, ...args);
    if (made > 0) this.eventAt[slot] = made;
    this.settle();
  }

  task(thread: number): number {
    return this.taskAt[thread];
  }

  event(slot: number): number {
    return this.eventAt[slot];
  }

  /** Whether the kernel looks whether the access that it makes has faulted. */
  get expectsFault(): boolean {
    return this.instance.safe;
  }

  /** On whose behalf an MSR is accessed: a vCPU's, or HOST. */
  onBehalfAt(_msr: number): number {
    return HOST;
  }
}

/** What the machine has of a host whose KVM runs. */
export interface KvmParts {
  readonly vcpus: readonly Vcpu[];
  readonly pcpus: readonly LogicalProcessor[];
  readonly vmx: VmxCpus;
  /** For each vCPU the number of its file: words of the block. */
  readonly files: Int32Array;
  /** The slot of the first event of a counter. */
  readonly firstCounterEvent: number;
  /** A counter of a pCPU overflows. */
  overflow(pcpu: number, counter: number): void;
}

/** Starts the tree's KVM, and makes VMs and vCPUs; `tasks` are their threads. @throws NoGuestLbr */
export function startKvm(
  instance: ImageInstance,
  { vcpus, vmx, files, pcpus }: Pick<KvmParts, 'vcpus' | 'vmx' | 'files' | 'pcpus'>,
  tasks: readonly number[],
): void {
  vmx.attach(instance);
  instance.ask('vlbr_kvm_prepare');
  for (const name of KVM_INITCALLS) {
    if (instance.has(`initcall_${name}`)) instance.ask(`initcall_${name}`, 0);
  }
  instance.ask('vlbr_kvm_hooks');
  for (const { id } of vcpus) {
    vmx.make(id, () => {
      files[id] = makeVcpu(tasks[id], pcpus[0].model, (...call) => instance.ask(...call));
    });
  }
}

/**
 * Makes a vCPU, by its thread. Each has a `struct kvm` of its own, which nothing of the LBR depends
 * on: so one can migrate alone, and its VM is gone with it.
 */
function makeVcpu(
  task: number,
  model: CpuModel,
  ask: (name: string, ...args: readonly number[]) => number,
): number {
  const vm = ask('vlbr_vm_create', task);
  const vcpu = ask('vlbr_vcpu_create', vm, task, model.lbr_format);
  if (vcpu < 0) throw new NoGuestLbr(model);
  ask('vlbr_close_file', vm);
  return vcpu;
}

/** The host's kernel with its KVM. */
export class KvmCode extends HostCode {
  private parts: KvmParts | null = null;
  /** The vCPU whose thread runs KVM's code, or HOST. */
  private onBehalf: number = HOST;

  attach(parts: KvmParts): void {
    this.parts = parts;
  }

  private get kvm(): KvmParts {
    if (this.parts === null) throw new Error('KVM has not started');
    return this.parts;
  }

  get pcpus(): readonly LogicalProcessor[] {
    return this.kvm.pcpus;
  }

  /**
   * A vCPU's if KVM itself is at the MSR, or perf that has lent the registers to it. What is judged
   * at the access is as perf has it then.
   */
  override onBehalfAt(msr: number): number {
    if (this.onBehalf === HOST) return HOST;
    if (this.instance.ask('vlbr_msr_is_kvm') === 0) {
      const vcpu = this.kvm.vcpus[this.onBehalf];
      return msr !== MSR_IA32_DEBUGCTLMSR && this.isLentTo(vcpu) === true ? vcpu.id : HOST;
    }
    if (msr !== MSR_IA32_DEBUGCTLMSR) this.look();
    return this.onBehalf;
  }

  /**
   * Whether perf has lent the registers of its pCPU to a vCPU; null in a tree where a guest's event
   * has them.
   */
  isLentTo(vcpu: Vcpu): boolean | null {
    const registers = this.viewOf(vcpu, VIEW_REGISTERS);
    return registers === REGISTERS_BY_EVENT ? null : registers === REGISTERS_OF_GUEST;
  }

  /** Whether KVM has an event for the guest's LBR. */
  hasLbrEvent(vcpu: Vcpu): boolean {
    return this.viewOf(vcpu, VIEW_LBR_EVENT) !== 0;
  }

  /** A word of what KVM has of a vCPU now. */
  private viewOf({ id }: Vcpu, word: number): number {
    const at = this.instance.ask('vlbr_vcpu_view', this.kvm.files[id]) >> 2;
    return this.instance.ints()[at + word];
  }

  /** Whether perf has lent the registers of a pCPU. */
  isLentOn(pcpu: number): boolean {
    return this.kvm.vcpus.some((vcpu) => vcpu.pcpu === pcpu && this.isLentTo(vcpu) === true);
  }

  /** Runs a function of KVM's, on behalf of a vCPU. Returns what that returns. */
  runFor(vcpu: Vcpu, pcpu: number, name: string, ...args: readonly number[]): number {
    this.onBehalf = vcpu.id;
    const returned = this.run(pcpu, name, ...args);
    this.onBehalf = HOST;
    return returned;
  }

  /** A vCPU's thread begins KVM_RUN, or goes on with it, until it is left or ends. */
  runThread({ id, pcpu }: Vcpu): void {
    this.onBehalf = id;
    if (this.instance.hasLeft(id)) this.instance.resumeThread(id, pcpu);
    else this.instance.runThread(id, pcpu, 'vlbr_vcpu_run', this.kvm.files[id]);
    this.onBehalf = HOST;
    this.settle();
  }

  needResched({ id }: Vcpu): void {
    this.instance.ask('vlbr_need_resched', this.task(id));
  }

  /** Of the event that KVM has for a guest's counter. */
  private counterSlot({ id }: Vcpu, counter: number): number {
    return this.kvm.firstCounterEvent + id * COUNTER_EVENTS + counter;
  }

  /** The host's counter that counts for a guest's on the vCPU's pCPU now, or -1. */
  hostCounterOf(vcpu: Vcpu, counter: number): number {
    const event = this.kernel.events[this.counterSlot(vcpu, counter)];
    if (event.used === 0 || event.state !== PERF_EVENT_STATE_ACTIVE) return -1;
    return this.counts(vcpu.pcpu, event.idx) ? event.idx : -1;
  }

  /** Whether a counter of a pCPU is enabled there. */
  private counts(pcpu: number, counter: number): boolean {
    const cpu = this.kvm.pcpus[pcpu];
    const low = cpu.rdmsr(MSR_CORE_PERF_GLOBAL_CTRL);
    return ((counter < FIXED_COUNTER ? low : cpu.edx) & (1 << counter)) !== 0;
  }

  overflowWatchdog(pcpu: number): boolean {
    const counter = this.instance.ask('vlbr_watchdog_counter', pcpu);
    if (counter < 0 || !this.counts(pcpu, counter)) return false;
    this.overflow(pcpu, counter);
    return true;
  }

  /**
   * Why a counter that the guest has enabled does not count, or null if nothing is wrong: its event
   * may have found no counter of the host's.
   */
  whyNotCounted(vcpu: Vcpu, counter: number): string | null {
    if ((vcpu.global_ctrl & (1 << counter)) === 0) return null;
    const { used, state } = this.kernel.events[this.counterSlot(vcpu, counter)];
    if (used === 0) return `counter ${counter} is on, and KVM has no event for it`;
    if (state === PERF_EVENT_STATE_OFF) return `counter ${counter} is on, and KVM's event is off`;
    if (state !== PERF_EVENT_STATE_ACTIVE) return null;
    return `the host's event of counter ${counter} counts, and GLOBAL_CTRL has it off in the guest`;
  }

  overflow(pcpu: number, counter: number): void {
    this.kvm.overflow(pcpu, counter);
  }

  override look(): void {
    if (this.parts !== null) for (const vcpu of this.parts.vcpus) this.lookAtVcpu(vcpu);
    super.look();
  }

  /** KVM's events have slots of their own. */
  private lookAtVcpu(vcpu: Vcpu): void {
    const at = this.instance.ask('vlbr_vcpu_view', this.kvm.files[vcpu.id]) >> 2;
    const ints = this.instance.ints();
    vcpu.msr_passthrough = ints[at + VIEW_PASSTHROUGH] !== 0;
    vcpu.global_ctrl = ints[at + VIEW_GLOBAL_CTRL];
    vcpu.global_ctrl_hi = ints[at + VIEW_GLOBAL_CTRL + 1];
    this.setSlot(vcpu.id, ints[at + VIEW_LBR_EVENT]);
    for (let i = 0; i < COUNTER_EVENTS; i++) {
      this.setSlot(this.counterSlot(vcpu, i), ints[at + VIEW_COUNTERS + i]);
    }
  }

  private setSlot(slot: number, address: number): void {
    if (this.eventAt[slot] === address) return;
    this.eventAt[slot] = address;
    const { o } = this.kernel.events[slot];
    this.kernel.words.fill(0, o, o + perf_event.WORDS);
  }

  isInRun({ id }: Vcpu): boolean {
    return this.instance.hasLeft(id);
  }

  /** A signal ends KVM_RUN: the vCPU's thread is in userspace. */
  toUserspace(vcpu: Vcpu): void {
    const task = this.task(vcpu.id);
    if (!this.instance.hasLeft(vcpu.id)) return;
    this.instance.ask('vlbr_signal', task, 1);
    this.runThread(vcpu);
    this.instance.ask('vlbr_signal', task, 0);
    assert(!this.instance.hasLeft(vcpu.id), 'a signal ends KVM_RUN');
  }

  /** The machine monitor takes LBR from a guest. Returns whether KVM agrees. */
  takeLbr(vcpu: Vcpu, pcpu: number, byCpuid: boolean): boolean {
    const call = byCpuid ? 'vlbr_vcpu_take_pmu' : 'vlbr_vcpu_take_lbr';
    return this.runFor(vcpu, pcpu, call, this.kvm.files[vcpu.id]) !== 0;
  }

  /** A new vCPU, with the MSRs that KVM lists, in place of one whose thread is in userspace. */
  migrate(vcpu: Vcpu): void {
    const { id, pcpu } = vcpu;
    const { files, vmx, pcpus } = this.kvm;
    this.runFor(vcpu, pcpu, 'vlbr_vcpu_save', files[id]);
    const task = this.task(id);
    this.atOnce(pcpu, 'vlbr_close_file', files[id]);
    vmx.make(id, () => {
      files[id] = makeVcpu(task, pcpus[0].model, (...call) => this.atOnce(pcpu, ...call));
    });
    this.runFor(vcpu, pcpu, 'vlbr_vcpu_restore', files[id]);
  }
}

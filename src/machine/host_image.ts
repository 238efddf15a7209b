/**
 * The host's perf as C code: the image of the tree that guests run, with the pCPUs as its CPUs and
 * the vCPU threads as its tasks. Nothing interrupts the host inside a function.
 */
import { COUNTER_WORDS, Counters } from '../guest/image/counters.js';
import type { Image, ImageInstance } from '../guest/image/instance.js';
import {
  driverOf,
  type KernelConfig,
  type KernelLayout,
  type KernelOutput,
} from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import type { LogicalProcessor } from '../hw/logical_processor.js';
import type { Memory } from '../hw/memory.js';
import { MSR_CORE_PERF_GLOBAL_OVF_CTRL, MSR_CORE_PERF_GLOBAL_STATUS } from '../hw/msr_index.js';
import type { Vector } from '../hw/msr_port.js';
import { vmxMsr } from '../hw/vmx_msrs.js';
import { HOST, type Observer } from '../host/observer.js';
import type { GuestLbrEvent } from '../host/policy/policy.js';
import type { Vcpu } from '../host/vcpu.js';
import { type MachineConfig, totalVcpus } from './config.js';
import { HostCode, KvmCode, startKvm } from './host_code.js';
import {
  firstCounterEvent,
  HOST_COUNTERS,
  HOST_EVENT_PINNED,
  HOST_EVENT_TASK,
  INTERRUPT_COUNTERS,
} from './host_perf.js';
import { HostKernel, HostPort } from './host_perf.js';
import { KernelImage } from './kernel_image.js';
import { KvmImage } from './kvm_image.js';
import { VmxCpus } from './vmx_cpus.js';

/** Counters are programmed as they are: nothing of LBR is in them. */
class CountingPort extends HostPort {
  private readonly counters: Counters;

  /** The kernel, once it runs here. */
  code: HostCode | null = null;

  /** @param words - COUNTER_WORDS words. */
  constructor(cpu: LogicalProcessor, pcpu: number, observer: Observer, words: Int32Array) {
    super(cpu, pcpu, observer);
    this.counters = new Counters(words);
  }

  protected override onBehalf(msr: number): number {
    return this.code?.onBehalfAt(msr) ?? HOST;
  }

  protected override expectsFault(): boolean {
    return this.code?.expectsFault === true;
  }

  override overflow(counter: number): void {
    this.counters.overflow(counter);
    super.overflow(counter);
  }

  override rdmsr(msr: number): number {
    const constant = vmxMsr(msr);
    if (constant !== undefined) {
      [this.edx, this.vector] = [constant[1], 0];
      return constant[0];
    }
    if (!this.counters.has(msr)) return super.rdmsr(msr);
    const low = this.counters.rdmsr(msr);
    this.edx = this.counters.edx;
    this.vector = 0;
    return low;
  }

  override wrmsr(msr: number, eax: number, edx: number): Vector {
    if (vmxMsr(msr) !== undefined) return 0;
    if (!this.counters.has(msr)) return super.wrmsr(msr, eax, edx);
    return this.counters.wrmsr(msr, eax, edx);
  }
}

/** A host whose KVM runs as well. */
class KvmHost {
  readonly vmx: VmxCpus;
  readonly files: Int32Array;
  readonly vcpus: readonly Vcpu[];
  readonly pcpus: readonly LogicalProcessor[];
  private readonly words: Int32Array;
  /** The words as they are after KVM has started. */
  private started: readonly Int32Array[] = [];
  private kvm: KvmImage | null = null;

  /** @param words - as many as `wordsFor` says. */
  constructor(
    vcpus: readonly Vcpu[],
    pcpus: readonly LogicalProcessor[],
    observer: Observer,
    words: Int32Array,
  ) {
    this.vcpus = vcpus;
    this.pcpus = pcpus;
    this.words = words;
    this.files = words.subarray(0, vcpus.length);
    this.vmx = new VmxCpus(vcpus, pcpus, observer, words.subarray(vcpus.length));
  }

  static wordsFor(vcpus: number, pcpus: number): number {
    return vcpus + VmxCpus.wordsFor(vcpus, pcpus);
  }

  /** An interrupt of another CPU makes a guest exit. */
  kick(pcpu: number): void {
    const running = this.vcpus.find((vcpu) => vcpu.pcpu === pcpu && vcpu.inGuest);
    if (running !== undefined) this.kvm?.exit(running);
  }

  start(instance: ImageInstance, tasks: readonly number[]): void {
    startKvm(instance, this, tasks);
    this.started = this.all().map((words) => words.slice());
  }

  /** All words of the block that are KVM's. */
  private all(): readonly Int32Array[] {
    return [this.words, ...this.vcpus.map(({ id }) => this.vmx.vmcs(id).all)];
  }

  boot(): void {
    this.all().forEach((words, i) => words.set(this.started[i]));
  }

  attach(code: KvmCode, ports: readonly CountingPort[], observer: Observer): KvmImage {
    const { vcpus, pcpus, vmx, files } = this;
    const firstSlot = firstCounterEvent(vcpus.length, pcpus.length);
    const overflow = (pcpu: number, counter: number): void => ports[pcpu].overflow(counter);
    code.attach({ vcpus, pcpus, vmx, files, firstCounterEvent: firstSlot, overflow });
    this.kvm = new KvmImage(code, vmx, observer);
    return this.kvm;
  }
}

export class HostImage extends HostKernel {
  private readonly code: HostCode;
  private readonly kvmHost: KvmHost | null;
  private readonly hypervisor: KvmImage | null;

  /** @param words - as many words of the machine's block as `hostImageWords` says. */
  constructor(
    image: Image,
    vcpus: readonly Vcpu[],
    memory: Memory,
    layout: KernelLayout,
    config: MachineConfig,
    pcpus: readonly LogicalProcessor[],
    observer: Observer,
    output: KernelOutput,
    words: Int32Array,
  ) {
    const ports = pcpus.map((cpu, i) => {
      const counters = words.subarray(i * COUNTER_WORDS, (i + 1) * COUNTER_WORDS);
      return new CountingPort(cpu, i, observer, counters);
    });
    super(memory, layout, config, pcpus, observer, output, ports);
    const { tasks, events } = this.kernel.config;
    const objects = words.subarray(pcpus.length * COUNTER_WORDS);
    const after = objects.subarray(KernelImage.objectWords(events, tasks));
    const host = config.policy.ofTree === true ? new KvmHost(vcpus, pcpus, observer, after) : null;
    this.kvmHost = host;
    const prepare = (instance: ImageInstance): void => {
      const threads = Array.from({ length: tasks }, () => instance.ask('vlbr_task'));
      threads.slice(-pcpus.length).forEach((task, i) => {
        instance.ask('vlbr_set_current', task, i);
      });
      host?.start(instance, threads);
    };
    const told = {
      sample: (cpu: number, event: perf_event): void => output.sample(this.kernel.cpus[cpu], event),
      warned: (file: string, line: number): void => observer.hostWarned(file, line),
    };
    const runs = (cpu: number): boolean => {
      host?.kick(cpu);
      return true;
    };
    const never = { runs, nmi: () => false, nmiReturns: () => {}, leave: () => false };
    const boot = { image, isGuest: false, prepare };
    if (host === null) {
      this.code = new HostCode(boot, this.kernel, ports, objects, told, never);
      this.hypervisor = null;
    } else {
      const threads = { ...boot, threads: vcpus.length };
      const withVmx = { ...never, vmx: host.vmx };
      const code = new KvmCode(threads, this.kernel, ports, objects, told, withVmx);
      this.code = code;
      this.hypervisor = host.attach(code, ports, observer);
      host.vmx.onInterrupt((pcpu, what) => this.interrupted(pcpu, what));
    }
    for (const port of ports) port.code = this.code;
  }

  override get images(): readonly KernelImage[] {
    return [this.code];
  }

  override get kvm(): KvmImage | null {
    return this.hypervisor;
  }

  override boot(): void {
    this.kvmHost?.boot();
    this.code.boot();
  }

  override schedOut(pcpu: number, next: number): void {
    this.code.run(pcpu, 'vlbr_sched_out', this.code.task(next));
  }

  override schedIn(pcpu: number, next: number): void {
    this.code.run(pcpu, 'vlbr_sched_in', this.code.task(next));
  }

  override createGuestLbrEvent(vcpu: Vcpu, kind: GuestLbrEvent): void {
    assert(kind !== 'exclusive', 'no tree has the guest LBR event of v8');
    const { id } = this.cpuOf(vcpu.id);
    const pinned = kind === 'fake-counter' ? 1 : 0;
    this.code.make(vcpu.id, id, 'vlbr_guest_lbr', this.code.task(vcpu.id), pinned);
  }

  override releaseGuestLbrEvent(vcpu: Vcpu): void {
    const event = this.code.event(vcpu.id);
    if (event !== 0) this.code.run(this.cpuOf(vcpu.id).id, 'vlbr_kernel_event_free', event);
  }

  protected override createCounterEvent({ id }: Vcpu, slot: number): void {
    this.code.make(slot, this.cpuOf(id).id, 'vlbr_guest_counter', this.code.task(id));
  }

  protected override releaseCounterEvent({ id }: Vcpu, slot: number): void {
    this.code.run(this.cpuOf(id).id, 'vlbr_kernel_event_free', this.code.event(slot));
  }

  override hostEventOn(pcpu: number, which: number): void {
    const slot = this.slot(pcpu, which);
    const event = this.code.event(slot);
    if (event !== 0) {
      this.code.run(pcpu, 'vlbr_enable', event);
      return;
    }
    const { current } = this.kernel.cpus[pcpu].cpuctx;
    const ofTask = which === HOST_EVENT_TASK;
    const pid = ofTask ? current + 1 : -1;
    const attr = which === HOST_EVENT_PINNED ? perf.ATTR_PINNED : 0;
    const type = this.hostEventType(which);
    this.code.make(slot, pcpu, 'vlbr_open', pid, ofTask ? -1 : pcpu, type, attr);
  }

  override hostEventOff(pcpu: number, which: number, close: boolean): void {
    const event = this.code.event(this.slot(pcpu, which));
    this.code.run(pcpu, close ? 'vlbr_close' : 'vlbr_disable', event);
  }

  protected override load(pcpu: number): void {
    this.code.run(pcpu, 'vlbr_load_guest');
  }

  override putGuestContext(pcpu: number): void {
    this.code.run(pcpu, 'vlbr_put_guest');
  }

  protected override openCounter(pcpu: number, slot: number, which: number): void {
    this.code.make(slot, pcpu, 'vlbr_open_counter', pcpu, HOST_COUNTERS[which]);
  }

  protected override closeCounter(pcpu: number, slot: number): void {
    this.code.run(pcpu, 'vlbr_close', this.code.event(slot));
  }

  override togglePt(pcpu: number): void {
    this.code.run(pcpu, 'vlbr_toggle_pt');
  }

  /** The handler of an interrupt by which another CPU has perf turn its events on or off here. */
  private interrupted(pcpu: number, what: number): void {
    this.code.look();
    if (what === INTERRUPT_COUNTERS) {
      this.takeCounters(pcpu, !this.countersTaken(pcpu));
    } else if (this.hostEventState(pcpu, HOST_EVENT_PINNED) === 'on') {
      this.hostEventOff(pcpu, HOST_EVENT_PINNED, false);
    } else {
      this.hostEventOn(pcpu, HOST_EVENT_PINNED);
    }
  }

  /**
   * As long as perf has no event its handler leaves every NMI to others. The watchdog would be an
   * event of perf's, and its NMI would be acked.
   */
  override handleIrq(pcpu: number): void {
    this.code.run(pcpu, 'vlbr_nmi', 0, 1);
    const port = this.ports[pcpu];
    const low = port.rdmsr(MSR_CORE_PERF_GLOBAL_STATUS);
    port.wrmsr(MSR_CORE_PERF_GLOBAL_OVF_CTRL, low, port.edx);
  }
}

/** The host's perf of a machine: the tree's C, or the port. */
export function hostOf(
  words: Int32Array,
  vcpus: readonly Vcpu[],
  ...parts: ConstructorParameters<typeof HostKernel>
): HostKernel {
  const [, , config] = parts;
  const { image } = driverOf(config);
  // What v8 changes in perf no tree has.
  const isPort = image === undefined || config.policy.changesPerf === true;
  if (isPort) return new HostKernel(...parts);
  const [memory, layout, , pcpus, observer, output] = parts;
  return new HostImage(image, vcpus, memory, layout, config, pcpus, observer, output, words);
}

/** Words that a host which runs as C code keeps beside its kernel's. */
export function hostImageWords(config: MachineConfig, { events, tasks }: KernelConfig): number {
  const { pcpus } = config.shape;
  const ofKvm = config.policy.ofTree === true ? KvmHost.wordsFor(totalVcpus(config), pcpus) : 0;
  return pcpus * COUNTER_WORDS + KernelImage.objectWords(events, tasks) + ofKvm;
}

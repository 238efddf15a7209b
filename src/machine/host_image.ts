/**
 * The host's perf as C code: the image of the tree that guests run, with the pCPUs as its CPUs and
 * the vCPU threads as its tasks. Nothing interrupts the host inside a function.
 */
import { COUNTER_WORDS, Counters } from '../guest/image/counters.js';
import type { Image, ImageInstance } from '../guest/image/instance.js';
import { driverOf, type KernelLayout, type KernelOutput } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import { assert } from '../hw/assert.js';
import type { LogicalProcessor } from '../hw/logical_processor.js';
import type { Memory } from '../hw/memory.js';
import type { Vector } from '../hw/msr_port.js';
import type { Observer } from '../host/observer.js';
import type { GuestLbrEvent } from '../host/policy/policy.js';
import type { Vcpu } from '../host/vcpu.js';
import type { MachineConfig } from './config.js';
import { HOST_EVENT_PINNED, HOST_EVENT_TASK, HostKernel, HostPort } from './host_perf.js';
import { KernelImage } from './kernel_image.js';

/** Counters are programmed as they are: nothing of LBR is in them. */
class CountingPort extends HostPort {
  private readonly counters: Counters;

  /** @param words - COUNTER_WORDS words. */
  constructor(cpu: LogicalProcessor, pcpu: number, observer: Observer, words: Int32Array) {
    super(cpu, pcpu, observer);
    this.counters = new Counters(words);
  }

  override overflow(counter: number): void {
    this.counters.overflow(counter);
    super.overflow(counter);
  }

  override rdmsr(msr: number): number {
    if (!this.counters.has(msr)) return super.rdmsr(msr);
    const low = this.counters.rdmsr(msr);
    this.edx = this.counters.edx;
    this.vector = 0;
    return low;
  }

  override wrmsr(msr: number, eax: number, edx: number): Vector {
    if (!this.counters.has(msr)) return super.wrmsr(msr, eax, edx);
    return this.counters.wrmsr(msr, eax, edx);
  }
}

/** The C kernel itself; its tasks are the threads of vCPUs and then the idle ones. */
class HostCode extends KernelImage {
  run(pcpu: number, name: string, ...args: readonly number[]): void {
    this.atOnce(pcpu, name, ...args);
    this.settle();
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
}

export class HostImage extends HostKernel {
  private readonly code: HostCode;

  /** @param words - as many words of the machine's block as `hostImageWords` says. */
  constructor(
    image: Image,
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
    const { tasks } = this.kernel.config;
    const prepare = (instance: ImageInstance): void => {
      for (let i = 0; i < tasks; i++) {
        const task = instance.ask('vlbr_task');
        if (i >= tasks - pcpus.length) {
          instance.ask('vlbr_set_current', task, i - (tasks - pcpus.length));
        }
      }
    };
    const objects = words.subarray(pcpus.length * COUNTER_WORDS);
    const told = {
      sample: (cpu: number, event: perf_event): void => output.sample(this.kernel.cpus[cpu], event),
      warned: (file: string, line: number): void => observer.hostWarned(file, line),
    };
    const never = { runs: () => true, nmi: () => false, nmiReturns: () => {}, leave: () => false };
    const boot = { image, isGuest: false, prepare };
    this.code = new HostCode(boot, this.kernel, ports, objects, told, never);
  }

  override get images(): readonly KernelImage[] {
    return [this.code];
  }

  override boot(): void {
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
    if (event !== 0) this.code.run(this.cpuOf(vcpu.id).id, 'vlbr_guest_lbr_free', event);
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

  protected override handleIrq(pcpu: number): void {
    this.code.run(pcpu, 'vlbr_nmi', 0, 1);
  }
}

/** The host's perf of a machine: the tree's C, or the port. */
export function hostOf(
  words: Int32Array,
  ...parts: ConstructorParameters<typeof HostKernel>
): HostKernel {
  const [, , config] = parts;
  const { image } = driverOf(config);
  // What v8 changes in perf no tree has.
  const isPort = image === undefined || config.policy.changesPerf === true;
  if (isPort) return new HostKernel(...parts);
  const [memory, layout, , pcpus, observer, output] = parts;
  return new HostImage(image, memory, layout, config, pcpus, observer, output, words);
}

/** Words that a host which runs as C code keeps beside its kernel's. */
export function hostImageWords(pcpus: number, events: number, tasks: number): number {
  return pcpus * COUNTER_WORDS + KernelImage.objectWords(events, tasks);
}

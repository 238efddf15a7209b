/** The guests' kernels and their ports: the port of the kernel, or a tree's own C code. */
import { perf_event_init_task, freeTask } from '../guest/perf/events_syscall.js';
import type { Image } from '../guest/image/instance.js';
import { endGracePeriod } from '../guest/perf/task_data.js';
import { type Cpu, driverOf, Kernel, type KernelConfig } from '../guest/perf/kernel.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import type { Memory } from '../hw/memory.js';
import type { Hypervisor } from '../host/hypervisor.js';
import type { Observer } from '../host/observer.js';
import type { Vcpu } from '../host/vcpu.js';
import type { CallPort, PortOwner } from './call_port.js';
import type { MachineConfig } from './config.js';
import { GuestImage } from './guest_image.js';
import { GuestPort } from './guest_port.js';
import { ImagePort } from './image_port.js';
import { guestKernelConfig, type MachineLayout } from './machine_layout.js';

/** The machine that the guests run in. */
export interface GuestsOwner extends PortOwner {
  readonly config: MachineConfig;
  readonly memory: Memory;
  readonly layout: MachineLayout;
  readonly hypervisor: Hypervisor;
  readonly vcpus: readonly Vcpu[];
  /** What perf_event_open() of a guest has returned. */
  opened(vcpu: number, type: number, ret: number): void;
}

/** What a kernel tells of a sample. */
type Sampled = (cpu: Cpu, event: perf_event) => void;

/** One kernel per VM, one port per vCPU. */
export class Guests {
  readonly guests: Kernel[] = [];
  readonly ports: CallPort[] = [];
  /** The guests that run as C code, in place of the port. */
  readonly images: GuestImage[] = [];
  private readonly owner: GuestsOwner;
  private readonly observer: Observer;
  private readonly kernelConfig: KernelConfig;

  constructor(owner: GuestsOwner, observer: Observer) {
    this.owner = owner;
    this.observer = observer;
    this.kernelConfig = guestKernelConfig(owner.config);
    for (let vm = 0; vm < owner.config.shape.vms; vm++) this.add(vm);
  }

  private add(vm: number): void {
    const { cpus } = this.kernelConfig;
    const first = vm * cpus;
    const vcpus = this.owner.vcpus.slice(first, first + cpus);
    const sample: Sampled = (cpu, event) => {
      const vcpu = first + cpu.id;
      if (!this.ports[vcpu].replaying) this.observer.guestSample(vcpu, event.id);
    };
    const { image } = driverOf(this.owner.config);
    if (image === undefined) this.addPort(vm, vcpus, sample);
    else this.addImage(image, vm, vcpus, sample);
  }

  private addPort(vm: number, vcpus: readonly Vcpu[], sample: Sampled): void {
    const { config, hypervisor, layout, memory } = this.owner;
    const ports = vcpus.map((vcpu) => {
      const at = layout.ports[vcpu.id];
      return new GuestPort(memory.words, at, hypervisor, vcpu, this.owner, config.model);
    });
    const kernel = new Kernel(memory, layout.guests[vm], this.kernelConfig, ports, { sample });
    ports.forEach((port, i) => {
      port.cpu = kernel.cpus[i];
    });
    this.guests.push(kernel);
    this.ports.push(...ports);
  }

  private addImage(image: Image, vm: number, vcpus: readonly Vcpu[], sample: Sampled): void {
    const { owner, observer } = this;
    const { config, hypervisor, layout, memory } = owner;
    const { words } = memory;
    const ports = vcpus.map((vcpu) => {
      return new ImagePort(words, layout.ports[vcpu.id], hypervisor, vcpu, owner);
    });
    const kernel = new Kernel(memory, layout.guests[vm], this.kernelConfig, ports, { sample });
    const output = {
      sample: (cpu: number, event: perf_event): void => sample(kernel.cpus[cpu], event),
      opened: (cpu: number, type: number, ret: number): void =>
        owner.opened(vcpus[cpu].id, type, ret),
      warned: (file: string, line: number): void => observer.guestWarned(vm, file, line),
    };
    const at = layout.objects[vm];
    const own = words.subarray(at, at + layout.objectWords);
    this.guests.push(kernel);
    this.ports.push(...ports);
    this.images.push(new GuestImage(image, kernel, ports, config.shape.tasks, own, output));
  }

  /** A kernel as it stands after its boot: task i is current on CPU i. */
  boot(vm: number): void {
    const { shape } = this.owner.config;
    if (driverOf(this.owner.config).image !== undefined) {
      this.images[vm].boot();
      return;
    }
    const kernel = this.guests[vm];
    kernel.clear();
    for (let i = 0; i < shape.tasks; i++) kernel.tasks[i].alive = 1;
    for (const cpu of kernel.cpus) {
      cpu.cpuctx.current = cpu.id;
      kernel.tasks[cpu.id].on_cpu = cpu.id + 1;
      kernel.tasks[cpu.id].cpu = cpu.id;
    }
  }

  /** A function has returned: if no other is under way, what nobody refers to is free. */
  endGracePeriod(vm: number): void {
    const { vcpus } = this.owner.config.shape;
    for (let i = vm * vcpus; i < (vm + 1) * vcpus; i++) if (this.ports[i].suspended !== 0) return;
    endGracePeriod(this.guests[vm]);
  }

  /** The task that is current on a CPU forks a child, which is returned. */
  fork(vm: number, cpu: number): number {
    const kernel = this.guests[vm];
    const child = freeTask(kernel);
    if (driverOf(this.owner.config).image !== undefined) {
      this.images[vm].fork(cpu);
      return child;
    }
    perf_event_init_task(kernel.cpus[cpu], child);
    kernel.tasks[child].cpu = cpu;
    return child;
  }
}

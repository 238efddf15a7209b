/** Where everything of a machine lies in its block of memory. */
import { driverOf, type KernelConfig, KernelLayout } from '../guest/perf/kernel.js';
import { KVM_FEATURE_PV_LBR_CTRL } from '../guest/pv/kvm_para.js';
import { kvmCpuidFeatures } from '../host/kvm.js';
import { Vcpu, type VcpuLayout } from '../host/vcpu.js';
import { LbrStack } from '../hw/lbr_stack.js';
import { LogicalProcessor } from '../hw/logical_processor.js';
import { Layout } from '../hw/memory.js';
import { GUEST_EVENTS, type MachineConfig, taskSlots, totalVcpus } from './config.js';
import { GuestImage } from './guest_image.js';
import { GuestPort } from './guest_port.js';
import { hostKernelConfig } from './host_perf.js';
import { hostImageWords } from './host_image.js';
import { ImagePort } from './image_port.js';

/** PMU version that KVM lets a guest have: pmu.h:kvm_init_pmu_capability(), 6.1. */
const GUEST_PMU_VERSION = 2;

/** The guest's kernel as KVM lets it see the CPU. */
export function guestKernelConfig(config: MachineConfig): KernelConfig {
  const announced = (kvmCpuidFeatures(config.policy) & (1 << KVM_FEATURE_PV_LBR_CTRL)) !== 0;
  return {
    model: config.model,
    cpus: config.shape.vcpus,
    tasks: taskSlots(config),
    events: GUEST_EVENTS,
    pmu_version: GUEST_PMU_VERSION,
    version: config.kernel,
    pv: announced ? config.policy.pv : 'none',
    withoutLbr: config.policy.withoutGuestLbr === true,
    driver: driverOf(config),
  };
}

/** Words of the machine itself: per vCPU, then per pCPU. */
export const CPL = 0;
export const BOOTING = 1;
/** The guest kernel function that runs, or ran last. */
export const CALL = 2;
export const SIM_VCPU_WORDS = 3;
export const ARMED_AFTER = 0;
export const ARMED_TARGET = 1;
export const SIM_PCPU_WORDS = 2;

/** Word offsets; where there are several of a thing, one for each. */
export class MachineLayout {
  readonly block: Layout = new Layout();
  /** The number of the last branch of each VM. */
  readonly seq: number;
  /** SIM_VCPU_WORDS for each vCPU. */
  readonly simVcpus: number;
  /** SIM_PCPU_WORDS for each pCPU; all that is the pCPUs' alone follows, up to `pcpusEnd`. */
  readonly simPcpus: number;
  readonly pcpus: readonly number[];
  /** What the host's event has lent, a stack for each pCPU, and whether it has. */
  readonly lent: readonly number[];
  readonly lentFlags: number;
  readonly pcpusEnd: number;
  readonly vcpus: readonly VcpuLayout[];
  readonly vcpuWords: number;
  readonly host: KernelLayout;
  readonly guests: readonly KernelLayout[];
  readonly ports: readonly number[];
  /** What a host that runs as C code keeps beside its kernel's words. */
  readonly hostImage: number;
  readonly hostImageWords: number;
  /** Addresses of the objects of each guest that runs as C code. */
  readonly objects: readonly number[];
  readonly objectWords: number;

  constructor(config: MachineConfig) {
    const { model, policy, shape } = config;
    const { vms, pcpus } = shape;
    const { block } = this;
    const vcpus = totalVcpus(config);
    this.seq = block.take(vms);
    this.simVcpus = block.take(vcpus * SIM_VCPU_WORDS);
    this.simPcpus = block.take(pcpus * SIM_PCPU_WORDS);
    this.pcpus = times(pcpus, () => LogicalProcessor.allocate(block, model));
    this.lent = times(pcpus, () => LbrStack.allocate(block, model));
    this.lentFlags = block.take(pcpus);
    this.pcpusEnd = block.size;
    this.vcpus = times(vcpus, () =>
      Vcpu.allocate(block, model, policy.words, policy.ofTree === true),
    );
    this.vcpuWords = (block.size - this.pcpusEnd) / vcpus;
    this.host = new KernelLayout(block, hostKernelConfig(config));
    const guest = guestKernelConfig(config);
    this.guests = times(vms, () => new KernelLayout(block, guest));
    const kernelWords = this.guests[0].size;
    const isC = driverOf(config).image !== undefined;
    const host = hostKernelConfig(config);
    this.hostImageWords = isC ? hostImageWords(config, host) : 0;
    this.hostImage = block.take(this.hostImageWords);
    this.ports = times(vcpus, () =>
      isC ? ImagePort.allocate(block) : GuestPort.allocate(block, model, kernelWords),
    );
    this.objectWords = isC ? GuestImage.objectWords(guest.events, guest.tasks) : 0;
    this.objects = times(vms, () => block.take(this.objectWords));
  }
}

function times<T>(n: number, make: () => T): T[] {
  return Array.from({ length: n }, make);
}

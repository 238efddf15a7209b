/**
 * The host's perf: the same kernel code as the guests', with the pCPUs as its CPUs and the vCPU
 * threads as its tasks. KVM's guest LBR event lives here, and so do the host's own LBR users.
 */
import { intel_pmu_handle_irq } from '../guest/perf/intel_core.js';
import * as core from '../guest/perf/events_core.js';
import * as syscall from '../guest/perf/events_syscall.js';
import { perf_load_guest_context, perf_put_guest_context } from '../guest/perf/events_guest.js';
import type { Cpu, KernelConfig, KernelLayout, KernelOutput } from '../guest/perf/kernel.js';
import { driverOf, Kernel } from '../guest/perf/kernel.js';
import * as perf from '../guest/perf/perf_event.js';
import type { perf_event } from '../guest/perf/perf_structs.js';
import { endGracePeriod } from '../guest/perf/task_data.js';
import { assert } from '../hw/assert.js';
import { NUM_COUNTERS } from '../guest/perf/cpu_structs.js';
import { FIXED_COUNTER, type LogicalProcessor } from '../hw/logical_processor.js';
import { KIND_NONE, lbrMap } from '../hw/lbr_map.js';
import type { Memory } from '../hw/memory.js';
import { MSR_CORE_PERF_GLOBAL_CTRL, MSR_IA32_DEBUGCTLMSR } from '../hw/msr_index.js';
import type { MsrPort, Vector } from '../hw/msr_port.js';
import type { Hypervisor } from '../host/hypervisor.js';
import { HOST, type Observer } from '../host/observer.js';
import { KVM_FEATURES } from '../host/kvm_versions.js';
import { type GuestLbrEvent, hearsCounters, type HostPerf } from '../host/policy/policy.js';
import type { Vcpu } from '../host/vcpu.js';
import { type MachineConfig, totalVcpus } from './config.js';
import type { KernelImage } from './kernel_image.js';

const { PERF_SAMPLE_BRANCH_ANY, PERF_SAMPLE_BRANCH_KERNEL, PERF_SAMPLE_BRANCH_USER } = perf;

/**
 * The host's own LBR users: `perf record -b -a` pinned to a CPU (`:D`), `--call-graph lbr -p` on a
 * vCPU's thread, and plain `perf record -b -a`.
 */
export const HOST_EVENT_PINNED = 0;
export const HOST_EVENT_TASK = 1;
const HOST_EVENT_FLEXIBLE = 2;
export const HOST_EVENTS = ['pinned', 'thread', 'flexible'] as const;

/** What happens to one of them. */
export const HOST_EVENT_ON = 0;
export const HOST_EVENT_OFF = 1;
export const HOST_EVENT_CLOSE = 2;
export const HOST_EVENT_OPS = ['on', 'off', 'close'] as const;

/** What an interrupt of the host's does, by another CPU's wish. */
export const INTERRUPT_COUNTERS = 0;
export const INTERRUPTS = ['counters', 'pinned'] as const;

const GUEST_LBR_ATTR: Readonly<Record<GuestLbrEvent, number>> = {
  flexible: perf.ATTR_VLBR,
  exclusive: perf.ATTR_PINNED | perf.ATTR_VLBR | perf.ATTR_VLBR_EXCLUDES,
  'fake-counter': perf.ATTR_PINNED | perf.ATTR_VLBR,
};

/** The host kernel's accesses go straight to the pCPU; it is told apart by the observer only. */
export class HostPort implements MsrPort {
  edx = 0;
  vector: Vector = 0;
  /** Whether perf makes way for a guest: no call of the host's is left half done. */
  forGuest = false;
  private readonly cpu: LogicalProcessor;
  private readonly pcpu: number;
  private readonly observer: Observer;

  constructor(cpu: LogicalProcessor, pcpu: number, observer: Observer) {
    this.cpu = cpu;
    this.pcpu = pcpu;
    this.observer = observer;
  }

  /** On whose behalf an LBR MSR is accessed. */
  protected onBehalf(_msr: number): number {
    return HOST;
  }

  /** Whether the kernel looks whether the access that it makes has faulted. */
  protected expectsFault(): boolean {
    return false;
  }

  /** A counter overflows; fixed ones are from FIXED_COUNTER on. */
  overflow(counter: number): void {
    this.cpu.counterOverflow(counter);
  }

  rdmsr(msr: number): number {
    const { cpu, observer } = this;
    const eax = cpu.rdmsr(msr);
    this.edx = cpu.edx;
    this.vector = cpu.vector;
    if (cpu.vector !== 0 && !this.expectsFault()) observer.hostFault(this.pcpu, msr, false);
    if (lbrMap(cpu.model).kind(msr) !== KIND_NONE) {
      observer.hostAccess(this.pcpu, this.onBehalf(msr), msr, false);
    }
    return eax;
  }

  wrmsr(msr: number, eax: number, edx: number): Vector {
    const { cpu, observer } = this;
    const vector = cpu.wrmsr(msr, eax, edx);
    if (msr === MSR_IA32_DEBUGCTLMSR) {
      // What KVM puts back after a VM exit is what is judged, and no new value.
      if (this.onBehalf(msr) === HOST && !this.forGuest) observer.hostDebugctl(this.pcpu, eax);
    } else if (lbrMap(cpu.model).kind(msr) !== KIND_NONE) {
      observer.hostAccess(this.pcpu, this.onBehalf(msr), msr, true);
    }
    if (vector !== 0 && !this.expectsFault()) observer.hostFault(this.pcpu, msr, true);
    return vector;
  }
}

/** After the guest LBR event and a task event of each thread, and two CPU events of each pCPU. */
export function firstCounterEvent(vcpus: number, pcpus: number): number {
  return 2 * vcpus + 2 * pcpus;
}

/** Events that the tree's KVM makes for the counters of a guest. */
export const COUNTER_EVENTS = 8;

/**
 * Counters of the host's own on a pCPU that fill its PMU, by their configs: four that any general
 * counter can count, and one for each fixed counter (instructions, cycles, reference cycles).
 */
export const HOST_COUNTERS = [0x412e, 0x412e, 0x412e, 0x412e, 0xc0, 0x3c, 0x300] as const;

/** Of each, what it is for the port: its ATTR_* bits. */
const COUNTER_ATTRS: readonly number[] = HOST_COUNTERS.map((_, i) => {
  const kind = i < NUM_COUNTERS ? perf.ATTR_COUNTER : perf.onFixedCounter(i - NUM_COUNTERS);
  return perf.ATTR_PINNED | kind;
});

/** Slots of the events that KVM makes for the counters of guests: a tree's, or one a vCPU. */
function eventsOfKvm({ policy, kernel }: MachineConfig, vcpus: number): number {
  if (policy.ofTree === true) return COUNTER_EVENTS * vcpus;
  return hearsCounters(policy, KVM_FEATURES[kernel]) ? vcpus : 0;
}

/** Task slots are the vCPU threads and then one idle thread for each pCPU. */
export function hostKernelConfig(config: MachineConfig): KernelConfig {
  const { pcpus } = config.shape;
  const vcpus = totalVcpus(config);
  return {
    model: config.model,
    cpus: pcpus,
    tasks: vcpus + pcpus,
    events:
      firstCounterEvent(vcpus, pcpus) + eventsOfKvm(config, vcpus) + HOST_COUNTERS.length * pcpus,
    pmu_version: config.model.pmu_version,
    version: config.kernel,
    pv: 'none',
    driver: driverOf(config),
  };
}

/**
 * The host's kernel as far as perf goes. Its task slots are the vCPUs' threads, by the numbers of
 * the vCPUs, and then the idle thread of each pCPU.
 */
export class HostKernel implements HostPerf {
  readonly kernel: Kernel;
  protected readonly vcpus: number;
  private readonly firstCounter: number;
  protected readonly ports: readonly HostPort[];

  constructor(
    memory: Memory,
    layout: KernelLayout,
    config: MachineConfig,
    pcpus: readonly LogicalProcessor[],
    observer: Observer,
    output: KernelOutput,
    ports: readonly HostPort[] = pcpus.map((cpu, i) => new HostPort(cpu, i, observer)),
  ) {
    this.vcpus = totalVcpus(config);
    this.firstCounter =
      firstCounterEvent(this.vcpus, pcpus.length) + eventsOfKvm(config, this.vcpus);
    this.ports = ports;
    this.kernel = new Kernel(memory, layout, hostKernelConfig(config), ports, output);
  }

  /** The KVM that is part of the host's kernel, if it runs as C code. */
  get kvm(): Hypervisor | null {
    return null;
  }

  /** The host's kernel, if it runs as C code. */
  get images(): readonly KernelImage[] {
    return [];
  }

  /** Boots: every thread exists, and each pCPU runs its idle thread. */
  boot(): void {
    this.kernel.clear();
    for (const task of this.kernel.tasks) task.alive = 1;
    for (const cpu of this.kernel.cpus) cpu.cpuctx.current = this.idle(cpu.id);
  }

  idle(pcpu: number): number {
    return this.vcpus + pcpu;
  }

  /** prepare_task_switch(), the part before the preempt notifiers. */
  schedOut(pcpu: number, next: number): void {
    const cpu = this.kernel.cpus[pcpu];
    core.__perf_event_task_sched_out(cpu, cpu.cpuctx.current, next);
  }

  /** finish_task_switch(), the part before the preempt notifiers. */
  schedIn(pcpu: number, next: number): void {
    const cpu = this.kernel.cpus[pcpu];
    const { tasks } = this.kernel;
    tasks[cpu.cpuctx.current].on_cpu = 0;
    assert(tasks[next].on_cpu === 0, 'a thread runs on one pCPU at a time');
    cpu.cpuctx.current = next;
    tasks[next].on_cpu = pcpu + 1;
    tasks[next].cpu = pcpu;
    core.__perf_event_task_sched_in(cpu, next);
  }

  /** The pCPU whose perf has to be asked about a thread: where it runs, or last ran. */
  protected cpuOf(thread: number): Cpu {
    return this.kernel.cpus[this.kernel.tasks[thread].cpu];
  }

  createGuestLbrEvent(vcpu: Vcpu, kind: GuestLbrEvent): void {
    const cpu = this.cpuOf(vcpu.id);
    const attr = GUEST_LBR_ATTR[kind];
    if (syscall.perf_event_open(cpu, vcpu.id, vcpu.id, attr, perf.CALLSTACK_USER) !== 0) return;
    core.perf_install_in_context(cpu, this.kernel.events[vcpu.id]);
  }

  releaseGuestLbrEvent(vcpu: Vcpu): void {
    const event = this.kernel.events[vcpu.id];
    if (event.used === 0) return;
    syscall.perf_event_release_kernel(this.cpuOf(vcpu.id), event);
    endGracePeriod(this.kernel);
  }

  setCounterEvent(vcpu: Vcpu, there: boolean): void {
    const slot = firstCounterEvent(this.vcpus, this.ports.length) + vcpu.id;
    if ((this.kernel.events[slot].used !== 0) === there) return;
    if (there) this.createCounterEvent(vcpu, slot);
    else this.releaseCounterEvent(vcpu, slot);
  }

  protected createCounterEvent({ id }: Vcpu, slot: number): void {
    const cpu = this.cpuOf(id);
    syscall.perf_event_open(cpu, slot, id, COUNTER_ATTRS[0] | perf.ATTR_DISABLED, 0);
    core.perf_install_in_context(cpu, this.kernel.events[slot]);
  }

  protected releaseCounterEvent({ id }: Vcpu, slot: number): void {
    syscall.perf_event_release_kernel(this.cpuOf(id), this.kernel.events[slot]);
    endGracePeriod(this.kernel);
  }

  guestLbrEvent(vcpu: Vcpu): 'none' | 'inactive' | 'active' {
    const event = this.kernel.events[vcpu.id];
    if (event.used === 0) return 'none';
    return event.state === perf.PERF_EVENT_STATE_ACTIVE ? 'active' : 'inactive';
  }

  /** Slot of the host's own event: of the pCPU's, or of the task that is current on it. */
  protected slot(pcpu: number, which: number): number {
    const pcpus = this.ports.length;
    if (which === HOST_EVENT_PINNED) return this.vcpus + pcpu;
    if (which === HOST_EVENT_FLEXIBLE) return this.vcpus + pcpus + pcpu;
    return this.vcpus + 2 * pcpus + this.kernel.cpus[pcpu].cpuctx.current;
  }

  /** Whether an event is one of the host's own LBR users; -1 is none. */
  isOwnEvent(event: number): boolean {
    return event >= this.vcpus && event < firstCounterEvent(this.vcpus, this.ports.length);
  }

  private hostEvent(pcpu: number, which: number): perf_event {
    return this.kernel.events[this.slot(pcpu, which)];
  }

  /** 'none', 'off', or 'on' when it is to be scheduled wherever it can be. */
  hostEventState(pcpu: number, which: number): 'none' | 'off' | 'on' {
    const event = this.hostEvent(pcpu, which);
    if (event.used === 0) return 'none';
    return event.state <= perf.PERF_EVENT_STATE_OFF ? 'off' : 'on';
  }

  /** Opens the host's own event, or enables it again. `which` is HOST_EVENT_*. */
  hostEventOn(pcpu: number, which: number): void {
    const cpu = this.kernel.cpus[pcpu];
    const id = this.slot(pcpu, which);
    const event = this.kernel.events[id];
    if (event.used !== 0) {
      syscall.enableFamily(cpu, event);
      return;
    }
    const isCpu = which !== HOST_EVENT_TASK;
    const type = this.hostEventType(which);
    const attr = which === HOST_EVENT_PINNED ? perf.ATTR_PINNED : 0;
    const task = isCpu ? -1 : cpu.cpuctx.current;
    // The port can serve it; a driver that is under review may refuse.
    if (syscall.perf_event_open(cpu, id, task, attr, type) !== 0) return;
    core.perf_install_in_context(cpu, event);
  }

  /** branch_sample_type of the host's own event. */
  protected hostEventType(which: number): number {
    const plm = PERF_SAMPLE_BRANCH_USER | PERF_SAMPLE_BRANCH_KERNEL;
    const callstack = which === HOST_EVENT_TASK && this.kernel.config.model.callstack;
    return callstack ? perf.CALLSTACK_USER : PERF_SAMPLE_BRANCH_ANY | plm;
  }

  hostEventOff(pcpu: number, which: number, close: boolean): void {
    const cpu = this.kernel.cpus[pcpu];
    const event = this.hostEvent(pcpu, which);
    if (close) syscall.perf_event_release_kernel(cpu, event);
    else syscall.disableFamily(cpu, event);
    endGracePeriod(this.kernel);
  }

  /** Slot of the first of the host's own counters of a pCPU. */
  private counterSlot(pcpu: number): number {
    return this.firstCounter + HOST_COUNTERS.length * pcpu;
  }

  /** Whether counters of the host's own fill the PMU of a pCPU. */
  countersTaken(pcpu: number): boolean {
    return this.kernel.events[this.counterSlot(pcpu)].used !== 0;
  }

  /** Opens the counters that fill a PMU, or closes them. */
  takeCounters(pcpu: number, taken: boolean): void {
    for (let i = 0; i < HOST_COUNTERS.length; i++) {
      const slot = this.counterSlot(pcpu) + i;
      if (taken) this.openCounter(pcpu, slot, i);
      else this.closeCounter(pcpu, slot);
    }
  }

  /** @param which - a place in HOST_COUNTERS. */
  protected openCounter(pcpu: number, slot: number, which: number): void {
    const cpu = this.kernel.cpus[pcpu];
    syscall.perf_event_open(cpu, slot, -1, COUNTER_ATTRS[which], 0);
    core.perf_install_in_context(cpu, this.kernel.events[slot]);
  }

  protected closeCounter(pcpu: number, slot: number): void {
    syscall.perf_event_release_kernel(this.kernel.cpus[pcpu], this.kernel.events[slot]);
  }

  /** A use of Intel PT begins on the host, if perf does not refuse it, or ends. */
  togglePt(_pcpu: number): void {
    syscall.togglePt(this.kernel);
  }

  /** While a guest LBR event is on, the host's own get no LBR (lbr.c:vlbr_exclude_host()). */
  hostLbrActive(pcpu: number): boolean {
    const { cpuc } = this.kernel.cpus[pcpu];
    if (cpuc.lbr_users === 0 || cpuc.guest_mask_vlbr !== 0) return false;
    for (let i = 0; i < cpuc.n_events; i++) {
      if (this.isOwnEvent(cpuc.event_list(i))) return true;
    }
    return false;
  }

  /**
   * KVM clears GLOBAL_CTRL after it: Kernel: pmu.c:kvm_mediated_pmu_load(). What perf turns off for
   * the time in the guest, it does not want off after the exit.
   */
  loadGuestContext(pcpu: number): void {
    const port = this.ports[pcpu];
    port.forGuest = true;
    this.load(pcpu);
    port.forGuest = false;
    port.wrmsr(MSR_CORE_PERF_GLOBAL_CTRL, 0, 0);
  }

  protected load(pcpu: number): void {
    perf_load_guest_context(this.kernel.cpus[pcpu]);
  }

  putGuestContext(pcpu: number): void {
    perf_put_guest_context(this.kernel.cpus[pcpu]);
  }

  /** Overflows the counter of every event of the host's own that counts here, if there is one. */
  pmi(pcpu: number): boolean {
    const overflown = this.overflowOwn(pcpu);
    if (overflown) this.handleIrq(pcpu);
    return overflown;
  }

  /** @param enabled - the counters that may count, as a mask. */
  overflowOwn(pcpu: number, enabled = -1): boolean {
    const { cpuc } = this.kernel.cpus[pcpu];
    let overflown = false;
    for (let counter = 0; counter < 4; counter++) {
      if ((enabled & (1 << counter)) === 0) continue;
      if (!this.isOwnEvent(cpuc.events(counter) - 1)) continue;
      this.ports[pcpu].overflow(counter);
      overflown = true;
    }
    return overflown;
  }

  /** The NMI watchdog's counter overflows: a fixed one, of cycles. */
  overflowWatchdog(pcpu: number): void {
    this.ports[pcpu].overflow(FIXED_COUNTER + 1);
  }

  /** Takes the NMI of all counters that have overflowed. */
  handleIrq(pcpu: number): void {
    intel_pmu_handle_irq(this.kernel.cpus[pcpu]);
  }
}

/** What befalls the threads of vCPUs and their pCPUs, some of it where the KVM of a tree runs. */
import { MSR_CORE_PERF_GLOBAL_CTRL } from '../hw/msr_index.js';
import { HOST_EVENTS } from './host_perf.js';
import type { Machine } from './machine.js';

/** A switch to a vCPU that does not enter its guest yet. */
export function arriveAt(machine: Machine, pcpu: number, next: number): void {
  machine.switchOut(pcpu, next);
  machine.arrive(pcpu, next);
}

/** A CPU starts in the kernel that took over: by INIT, where KVM carries that out. */
export function startCpu(machine: Machine, vcpu: number): void {
  machine.hypervisor.tree?.init(machine.vcpus[vcpu]);
  machine.startCpu(vcpu);
}

/** The host has a pCPU for itself until the next entry. */
function exitGuest(machine: Machine, pcpu: number): void {
  const vcpu = machine.loaded(pcpu);
  if (vcpu !== null) machine.hypervisor.exit(vcpu);
}

/** The host's NMI watchdog starts on a pCPU, or ends. */
export function toggleWatchdog(machine: Machine, pcpu: number): void {
  exitGuest(machine, pcpu);
  machine.hypervisor.tree?.toggleWatchdog(pcpu);
}

/** A use of Intel PT begins on the host, or ends. */
export function togglePt(machine: Machine, pcpu: number): void {
  exitGuest(machine, pcpu);
  machine.host.togglePt(pcpu);
}

/**
 * Counters of the host's own overflow while the guest runs, if they count there: those of its LBR
 * events, and the NMI watchdog's, which always counts under the model of KVM. The freeze acts on
 * the guest's DEBUGCTL; the NMI is an exit. Its handler comes after the host's DEBUGCTL is back
 * (vmx.c:handle_exception_nmi_irqoff()), and the guest hears nothing of it.
 */
export function hostOverflow(machine: Machine, pcpu: number): void {
  const { host, hypervisor, pcpus } = machine;
  const vcpu = machine.loaded(pcpu);
  if (vcpu === null) return;
  hypervisor.enter(vcpu);
  const enabled = pcpus[pcpu].rdmsr(MSR_CORE_PERF_GLOBAL_CTRL);
  const own = host.overflowOwn(pcpu, enabled);
  const { tree } = hypervisor;
  if (tree === null) {
    host.overflowWatchdog(pcpu);
    hypervisor.exit(vcpu);
    host.handleIrq(pcpu);
    return;
  }
  const watchdog = tree.overflowWatchdog(pcpu);
  if (own || watchdog) tree.hostNmi(vcpu);
}

/** The host's own pinned counters fill the PMU of a pCPU, or are closed. */
export function hostCounters(machine: Machine, pcpu: number, taken: boolean): void {
  exitGuest(machine, pcpu);
  // An interrupt may have come with the exit, and have done so.
  if (machine.host.countersTaken(pcpu) === taken) return;
  const { host, hypervisor } = machine;
  const loaded = machine.loaded(pcpu);
  // An LBR event of the host's that waits for a counter may go on, of which perf tells KVM before.
  const waits = HOST_EVENTS.some((_, which) => host.hostEventState(pcpu, which) === 'on');
  if (waits) hypervisor.hostPerfEvent(pcpu, loaded, true);
  host.takeCounters(pcpu, taken);
  if (waits && !host.hostLbrActive(pcpu)) hypervisor.hostPerfEvent(pcpu, loaded, false);
}

/** Somebody writes to freeze_on_smi of the host, which an interrupt tells all pCPUs. */
export function freezeOnSmi(machine: Machine): void {
  for (const vcpu of machine.vcpus) machine.hypervisor.exit(vcpu);
  machine.hypervisor.tree?.toggleFreezeOnSmi();
}

/** The thread of a vCPU that is off does something in userspace: it is on its last pCPU for it. */
function byThread(machine: Machine, vcpu: number, does: () => void): void {
  const pcpu = machine.host.kernel.tasks[vcpu].cpu;
  const before = machine.loaded(pcpu)?.id ?? -1;
  arriveAt(machine, pcpu, vcpu);
  does();
  machine.switchTo(pcpu, before);
}

/** Live migration of a vCPU whose thread is off, by that thread. */
export function migrateByThread(machine: Machine, vcpu: number): void {
  byThread(machine, vcpu, () => machine.hypervisor.migrate(machine.vcpus[vcpu]));
}

/** The machine monitor takes LBR from a vCPU whose thread is off, by that thread. */
export function takeLbr(machine: Machine, vcpu: number, byCpuid: boolean): void {
  byThread(machine, vcpu, () => machine.hypervisor.tree?.takeLbr(machine.vcpus[vcpu], byCpuid));
}

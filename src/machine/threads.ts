/** What befalls the threads of vCPUs, where the KVM of a tree runs. */
import { MSR_CORE_PERF_GLOBAL_CTRL } from '../hw/msr_index.js';
import type { Machine } from './machine.js';

/** A switch to a vCPU that does not enter its guest yet. */
export function arriveAt(machine: Machine, pcpu: number, next: number): void {
  machine.switchOut(pcpu, next);
  machine.arrive(pcpu, next);
}

/** A counter of the host's own event overflows while the guest runs, if it counts there. */
export function hostOverflow(machine: Machine, pcpu: number): void {
  const { host, hypervisor, pcpus } = machine;
  const vcpu = machine.loaded(pcpu);
  if (vcpu === null) return;
  hypervisor.enter(vcpu);
  const enabled = pcpus[pcpu].rdmsr(MSR_CORE_PERF_GLOBAL_CTRL);
  if (host.overflowOwn(pcpu, enabled)) hypervisor.tree?.hostNmi(vcpu);
}

/** Live migration of a vCPU whose thread is off, by that thread: it is on its last pCPU for it. */
export function migrateByThread(machine: Machine, vcpu: number): void {
  const pcpu = machine.host.kernel.tasks[vcpu].cpu;
  const before = machine.loaded(pcpu)?.id ?? -1;
  arriveAt(machine, pcpu, vcpu);
  machine.hypervisor.migrate(machine.vcpus[vcpu]);
  machine.switchTo(pcpu, before);
}

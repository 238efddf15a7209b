/** What the machine asks of KVM: the model of it (kvm.ts), or the C code of a tree. */
import type { Vector } from '../hw/msr_port.js';
import type { Vcpu } from './vcpu.js';

export interface Hypervisor {
  /** High half of the value of the last RDMSR of a guest, and the vector that it has raised. */
  readonly edx: number;
  readonly vector: Vector;
  /** Whether guests' accesses to counters come here as well. */
  readonly emulatesCounters: boolean;
  /** All vCPUs are as new; they are on no pCPU. */
  boot(vcpus: readonly Vcpu[]): void;
  /** VM entry, unless the vCPU is in the guest already. */
  enter(vcpu: Vcpu): void;
  /** VM exit for the host's sake, unless the vCPU is out already. */
  exit(vcpu: Vcpu): void;
  /** A guest's RDMSR. Returns eax; `edx` and `vector` hold the rest. */
  guestRdmsr(vcpu: Vcpu, msr: number): number;
  /** A guest's WRMSR. Returns the vector that it raises. */
  guestWrmsr(vcpu: Vcpu, msr: number, eax: number, edx: number): Vector;
  /** A counter of a guest overflows. Returns whether the guest takes a PMI now. */
  injectPmi(vcpu: Vcpu, counter: number): boolean;
  /** The guest has returned from the handler of a PMI. */
  pmiHandled(vcpu: Vcpu): void;
  /** The vCPU's thread leaves its pCPU for another thread of the host. */
  schedOut(vcpu: Vcpu, next: number): void;
  /** The vCPU's thread arrives on a pCPU. */
  schedIn(vcpu: Vcpu, pcpu: number): void;
  /** An LBR event of the host's own comes to a pCPU, or has gone; `loaded` is on it, or null. */
  hostPerfEvent(pcpu: number, loaded: Vcpu | null, on: boolean): void;
  /** Whether a vCPU's own thread has to be on a pCPU for its migration. */
  readonly migratesByThread: boolean;
  /** Live migration of a vCPU. */
  migrate(vcpu: Vcpu): void;
  /** Whether registers of a pCPU that the host's own event had are lent out. */
  lentOut(pcpu: number): boolean;
}

/** What the machine asks of KVM: the model of it (kvm.ts), or the C code of a tree. */
import type { Vector } from '../hw/msr_port.js';
import type { Vcpu } from './vcpu.js';

/** What the KVM of a tree has besides. */
export interface TreeKvm {
  /** An NMI of the host's while the guest runs. */
  hostNmi(vcpu: Vcpu): void;
  /** An INIT of the vCPU's, and what the guest then makes of its APIC. */
  init(vcpu: Vcpu): void;
  /**
   * The machine monitor takes LBR from a guest that may have it in use: by PERF_CAPABILITIES, or by
   * a CPUID without a PMU. KVM may refuse that.
   */
  takeLbr(vcpu: Vcpu, byCpuid: boolean): void;
  /**
   * Whether perf has lent a vCPU the LBR registers of its pCPU. Null for a KVM that has an event
   * for it instead.
   */
  lbrLentTo(vcpu: Vcpu): boolean | null;
  /** Whether KVM has made an event for a guest's LBR, also in the middle of its functions. */
  hasLbrEvent(vcpu: Vcpu): boolean;
  /** The host's NMI watchdog starts on a pCPU, or ends. */
  toggleWatchdog(pcpu: number): void;
  /** Its counter overflows, if it counts there now. Returns whether it does. */
  overflowWatchdog(pcpu: number): boolean;
  /**
   * An interrupt of the host's is to come on a pCPU while KVM runs there, after `after` places
   * where KVM turns interrupts on or off, or before it accesses an LBR MSR with them on. `what` is
   * INTERRUPT_*.
   */
  interrupt(pcpu: number, what: number, after: number): void;
  /** The host is told to freeze counters in SMM, or not to any more; no guest runs. */
  toggleFreezeOnSmi(): void;
}

/** Hears how guests program their counters. */
export interface GuestCounters {
  /** A guest's WRMSR of IA32_PERFEVTSELx turns a general counter on or off. */
  setCounter(vcpu: Vcpu, counter: number, on: boolean): void;
}

export interface Hypervisor {
  /** High half of the value of the last RDMSR of a guest, and the vector that it has raised. */
  readonly edx: number;
  readonly vector: Vector;
  /** Whether the last access of a guest has caused a VM exit. */
  readonly intercepted: boolean;
  /**
   * The KVM of a tree, or null for the model of KVM. With it, guests' accesses to counters come
   * here as well, and a vCPU's own thread is on a pCPU for its migration.
   */
  readonly tree: TreeKvm | null;
  /** Who is told of guests' counters beside MSR accesses, or null if that does not matter. */
  readonly counters: GuestCounters | null;
  /** All vCPUs are as new; they are on no pCPU. */
  boot(vcpus: readonly Vcpu[]): void;
  /** VM entry, unless the vCPU is in the guest already. */
  enter(vcpu: Vcpu): void;
  /** VM exit for the host's sake, unless the vCPU is out already. */
  exit(vcpu: Vcpu): void;
  /** Whether a vCPU's thread is in KVM_RUN. */
  isInRun(vcpu: Vcpu): boolean;
  /** A signal ends KVM_RUN, until the guest is to do something again. The thread is on a pCPU. */
  toUserspace(vcpu: Vcpu): void;
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
  /** Live migration of a vCPU. */
  migrate(vcpu: Vcpu): void;
  /** Whether registers of a pCPU that the host's own event had are lent out. */
  lentOut(pcpu: number): boolean;
}

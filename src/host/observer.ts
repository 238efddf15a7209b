/**
 * What a machine tells whoever watches it. Nothing flows back: a machine behaves the same under
 * every observer. vCPUs are numbered over all VMs.
 */
export interface Observer {
  /** A guest's RDMSR returned; the access did not fault. */
  guestRead(vcpu: number, msr: number, eax: number, edx: number): void;
  /** A guest's WRMSR was accepted. */
  guestWrite(vcpu: number, msr: number, eax: number, edx: number): void;
  /** A guest's access raised #GP; eax and edx are what a WRMSR was to write, else 0. */
  guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void;
  /** A guest took a branch; `cpl` is the privilege level it ended in. */
  guestBranch(
    vcpu: number,
    kind: number,
    cpl: number,
    seq: number,
    fromHi: number,
    toHi: number,
  ): void;
  /** Host code accessed an LBR MSR of a pCPU for a vCPU, or for itself (HOST). */
  hostAccess(pcpu: number, onBehalf: number, msr: number, write: boolean): void;
  /** Host code read or wrote the whole stack: so many LBR MSRs of a pCPU. */
  hostStack(pcpu: number, onBehalf: number, accesses: number, write: boolean): void;
  /** The host's kernel wrote DEBUGCTL for itself. */
  hostDebugctl(pcpu: number, value: number): void;
  /** A host access raised #GP. */
  hostFault(pcpu: number, msr: number, write: boolean): void;
  /** A VM entry was refused for a reserved bit. */
  entryFailed(vcpu: number): void;
  /** A VM exit is over and the host's own DEBUGCTL should be back. */
  exited(vcpu: number): void;
  /** The vCPU's thread was scheduled in or out, and the policy has had its say. */
  vcpuSwitch(vcpu: number, pcpu: number, scheduledIn: boolean): void;
  /** A counter of the guest overflowed, and KVM is about to inject the PMI. */
  guestPmi(vcpu: number, counter: number): void;
  /** The guest's kernel emitted a sample of an event; the entries are in its cpuc. */
  guestSample(vcpu: number, event: number): void;
  /** The host's kernel emitted a sample of an event; the entries are in its cpuc. */
  hostSample(pcpu: number, event: number): void;
  /** The host took a branch while it was recording. */
  hostBranch(pcpu: number): void;
  /** The pCPU's records were wiped by a deep C-state. */
  cstate(pcpu: number): void;
  /** perf_event_open() of a guest returned 0 or a negative errno for a branch_sample_type. */
  guestOpened?(vcpu: number, type: number, ret: number): void;
  /** A guest kernel function has returned, and no other of that vCPU is under way. */
  guestIdle(vcpu: number): void;
}

/** Stands for the host in `hostAccess`. */
export const HOST = -1;

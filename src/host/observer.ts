/**
 * Hears what a machine tells whoever watches it, and does nothing: an observer overrides what it
 * wants to hear. Nothing flows back: a machine behaves the same under every observer. vCPUs are
 * numbered over all VMs.
 */
export class Observer {
  /** A guest's RDMSR returned; the access did not fault. */
  guestRead(_vcpu: number, _msr: number, _eax: number, _edx: number): void {}
  guestWrite(_vcpu: number, _msr: number, _eax: number, _edx: number): void {}
  /** A guest's access raised #GP; eax and edx are what a WRMSR was to write, else 0. */
  guestFault(_vcpu: number, _msr: number, _write: boolean, _eax: number, _edx: number): void {}
  /** A guest took a branch; `cpl` is the privilege level it ended in. */
  guestBranch(
    _vcpu: number,
    _kind: number,
    _cpl: number,
    _seq: number,
    _fromHi: number,
    _toHi: number,
  ): void {}
  /** Host code accessed an LBR MSR of a pCPU for a vCPU, or for itself (HOST). */
  hostAccess(_pcpu: number, _onBehalf: number, _msr: number, _write: boolean): void {}
  /**
   * Host code read or wrote the whole stack of a pCPU, `accesses` LBR MSRs; with `zeroes` it wrote
   * nothing else.
   */
  hostStack(
    _pcpu: number,
    _onBehalf: number,
    _accesses: number,
    _write: boolean,
    _zeroes?: boolean,
  ): void {}
  /** The host's kernel wrote DEBUGCTL for itself. */
  hostDebugctl(_pcpu: number, _value: number): void {}
  hostFault(_pcpu: number, _msr: number, _write: boolean): void {}
  /** A guest is told no longer that it has LBR, and its kernel does not know. */
  lbrTaken(): void {}
  /** A VM entry was refused for a reserved bit. */
  entryFailed(_vcpu: number): void {}
  /** The KVM of a tree has entered a guest. */
  entered(_vcpu: number): void {}
  /** A counter of a guest that is to count does not, or its overflow brings no PMI; says why. */
  pmiMissed(_vcpu: number, _why: string): void {}
  /** A VM exit is over and the host's own DEBUGCTL should be back. */
  exited(_vcpu: number): void {}
  /** The vCPU's thread was scheduled in or out, and the policy's hook has run. */
  vcpuSwitch(_vcpu: number, _pcpu: number, _scheduledIn: boolean): void {}
  /** A counter of the guest overflowed, and KVM is about to inject the PMI. */
  guestPmi(_vcpu: number, _counter: number): void {}
  /** The guest's kernel emitted a sample of an event; the entries are in its cpuc. */
  guestSample(_vcpu: number, _event: number): void {}
  /** The host's kernel emitted a sample of an event; the entries are in its cpuc. */
  hostSample(_pcpu: number, _event: number): void {}
  /** The host took a branch while it was recording. */
  hostBranch(_pcpu: number): void {}
  /** The pCPU's records were wiped by a deep C-state. */
  cstate(_pcpu: number): void {}
  /** perf_event_open() of a guest returned 0 or a negative errno for a branch_sample_type. */
  guestOpened(_vcpu: number, _type: number, _ret: number): void {}
  /** A function of a guest's kernel begins: CALL_* of machine/guest_call.ts, and arguments. */
  guestCall(_vcpu: number, _fn: number, _a: number, _b: number): void {}
  /** The task that is current on a vCPU has made a child. */
  guestForked(_vcpu: number, _child: number): void {}
  /** The memory of the vCPU's VM is that of a new kernel. */
  guestKexec(_vcpu: number): void {}
  /** A WARN_ON of a VM's kernel, at a line of a file of its tree. */
  guestWarned(_vm: number, _file: string, _line: number): void {}
  /** A WARN_ON of the host's kernel, likewise. */
  hostWarned(_file: string, _line: number): void {}
  /** A guest kernel function has returned, and no other of that vCPU is under way. */
  guestIdle(_vcpu: number): void {}
}

const HEARD = Object.getOwnPropertyNames(Observer.prototype).filter(
  (name) => name !== 'constructor',
) as (keyof Observer)[];

/** Joins two observers: each call reaches the first one and then the second. */
export function tee(first: Observer, second: Observer): Observer {
  const both = HEARD.map((name) => {
    const hear = (...args: readonly unknown[]): void => {
      Reflect.apply(first[name], first, args);
      Reflect.apply(second[name], second, args);
    };
    return [name, hear] as const;
  });
  return Object.assign(new Observer(), Object.fromEntries(both));
}

/** Stands for the host in `hostAccess`. */
export const HOST = -1;

/** The threads that a recording names, and what it says of each. */
import { printable } from './trace_error.js';
import { utf8 } from './bytes.js';

/** How programs name the threads that run vCPUs. The group is the number of the vCPU. */
const NAMES: readonly RegExp[] = [
  // QEMU with `-name ...,debug-threads=on`, as libvirt starts it.
  /^(?:.* )?CPU (\d{1,5})\/(?:KVM|TCG|MSHV)$/,
  // Firecracker, crosvm, cloud-hypervisor, kvmtool.
  /^fc_vcpu (\d{1,5})$/,
  /^crosvm_vcpu(\d{1,5})$/,
  /^vcpu ?(\d{1,5})$/,
  /^kvm-vcpu-(\d{1,5})$/,
];

/** Xen, converted to ftrace text: domain and vCPU. */
const XEN_NAME = /^d(\d{1,5})v(\d{1,5})$/;

/** What the name of a vCPU's thread says. */
export interface VcpuName {
  readonly index: number;
  /** The domain of Xen, else null. */
  readonly domain: number | null;
}

/** Null for every name that is no known one; a number at its end means nothing then. */
export function vcpuName(comm: string): VcpuName | null {
  const xen = XEN_NAME.exec(comm);
  if (xen !== null) return { index: Number(xen[2]), domain: Number(xen[1]) };
  for (const pattern of NAMES) {
    const match = pattern.exec(comm);
    if (match !== null) return { index: Number(match[1]), domain: null };
  }
  return null;
}

/** What is known of a thread. */
export interface Thread {
  readonly pid: number;
  /** Numbers threads in the order in which they are met. */
  readonly number: number;
  /** The first name by which it was known for a vCPU, or else its first one. */
  comm: string;
  /** What the name says, if it is that of a vCPU. */
  name: VcpuName | null;
  /** Sum over the bytes of its latest name. */
  hash: number;
  /** Its process; -1 where the form has no such column. */
  tgid: number;
  /** The vCPU that KVM says it runs; -1 where kvm_entry has not told. */
  kvmVcpu: number;
  /** Number of kvm_entry and kvm_exit events. */
  kvmEvents: number;
}

export class Threads {
  readonly all: Map<number, Thread> = new Map();
  /** The pid of each thread, by its number. */
  readonly pids: number[] = [];
  private readonly isVcpu: (comm: string) => boolean;

  /** @param isVcpu - tells by a name whether the thread is a vCPU. */
  constructor(isVcpu: (comm: string) => boolean) {
    this.isVcpu = isVcpu;
  }

  /** The thread of a pid, under a name of the text. */
  named(pid: number, bytes: Uint8Array, from: number, to: number): Thread {
    let hash = to - from;
    for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + bytes[i]) | 0;
    const thread = this.all.get(pid);
    if (thread !== undefined && thread.hash === hash) return thread;
    return this.rename(pid, utf8(bytes, from, to), hash);
  }

  /** The thread of a pid, whatever its name. */
  ofPid(pid: number): Thread {
    return this.all.get(pid) ?? this.rename(pid, '', 0);
  }

  rename(pid: number, name: string, hash: number): Thread {
    const comm = printable(name);
    const known = this.all.get(pid);
    if (known === undefined) {
      const says = vcpuName(comm);
      const number = this.pids.push(pid) - 1;
      const made = { pid, number, comm, name: says, hash, tgid: -1, kvmVcpu: -1, kvmEvents: 0 };
      this.all.set(pid, made);
      return made;
    }
    known.hash = hash;
    // A thread gets its name after it was created; it is one thread all the while.
    if (known.comm === '' || (!this.isVcpu(known.comm) && this.isVcpu(comm))) known.comm = comm;
    known.name ??= vcpuName(comm);
    return known;
  }
}

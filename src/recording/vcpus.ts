/**
 * Who is a vCPU in a recording. Each guess keeps what it rests on.
 *
 * A thread is a vCPU by the word of the caller, by KVM's own events, or by its name. Its identity
 * is its pid.
 */
import type { Kept } from './kept.js';
import type { Thread } from './threads.js';
import { TraceError } from './trace_error.js';

/** What says that a thread is a vCPU: the caller; kvm_entry or kvm_exit of it; its name. */
export type VcpuEvidence = 'given' | 'kvm' | 'name';

/**
 * What says to which VM a vCPU belongs, from certain to guessed: the caller; the name alone
 * (`d0v1`, or a CPU 0, which each VM has only one of); its process, where the recording has a
 * column of it; hand-overs to the VM's main thread; the order of pids.
 */
export type VmEvidence = 'given' | 'name' | 'process' | 'hand-overs' | 'pids';

/** How sure that is. */
export type Sureness = 'certain' | 'likely' | 'guess';

export interface VcpuThread {
  readonly pid: number;
  /** The first name under which it was known for a vCPU; control characters are spelled out. */
  readonly comm: string;
  /** Index into `vms`. */
  readonly vm: number;
  /** Number of the vCPU in its VM, as KVM or its name has it. */
  readonly index: number;
  readonly vcpuFrom: VcpuEvidence;
  readonly vmFrom: VmEvidence;
  readonly sure: Sureness;
}

/** VMs as the caller gives them: a name, and the pids of the threads of its vCPUs. */
export type GivenVms = ReadonlyMap<string, readonly number[]>;

/** The most vCPUs that a recording may have. */
export const VCPUS_MAX = 4096;

/** A thread that is a vCPU, before it has a VM. */
export interface Candidate {
  readonly thread: Thread;
  readonly vcpuFrom: VcpuEvidence;
  /** As KVM or the name has it; null if neither tells. */
  readonly index: number | null;
  /** The VM that the caller names, else null. */
  readonly given: string | null;
}

/**
 * Finds the vCPUs of a recording, by ascending pid.
 *
 * @param vcpuThreads - in place of the names of known programs and of KVM's events: is searched in
 * the names of threads. The idle threads (pid 0) never count.
 * @throws TraceError when there is none, when there are too many, and when a pid that the caller
 * gives does not occur.
 */
export function findVcpus(
  { threads }: Kept,
  given: GivenVms,
  vcpuThreads: RegExp | null,
  file: string,
): Candidate[] {
  const vmOfPid = new Map<number, string>();
  for (const [vm, pids] of given) {
    for (const pid of pids) {
      const other = vmOfPid.get(pid);
      if (other !== undefined) {
        throw new TraceError(file, 0, `pid ${pid} is given to both VM ${other} and VM ${vm}`);
      }
      if (!threads.all.has(pid) || pid === 0)
        throw noThread(pid, vm, [...threads.all.values()], file);
      vmOfPid.set(pid, vm);
    }
  }
  const found: Candidate[] = [];
  for (const thread of threads.all.values()) {
    const vm = vmOfPid.get(thread.pid) ?? null;
    const evidence = vm !== null ? 'given' : evidenceOf(thread, vcpuThreads);
    if (evidence === null) continue;
    found.push({ thread, vcpuFrom: evidence, index: indexOf(thread, vcpuThreads), given: vm });
  }
  if (found.length === 0) throw noVcpu([...threads.all.values()], vcpuThreads, file);
  if (found.length > VCPUS_MAX) {
    throw new TraceError(
      file,
      0,
      `there are ${found.length} vCPU threads, and vlbr reads at most ${VCPUS_MAX}; say with ` +
        '--vcpu-threads REGEX or --vm NAME=PID,PID which of them are to be read',
    );
  }
  return found.sort((a, b) => a.thread.pid - b.thread.pid);
}

function evidenceOf(thread: Thread, vcpuThreads: RegExp | null): VcpuEvidence | null {
  if (thread.pid === 0) return null;
  if (vcpuThreads !== null) return vcpuThreads.test(thread.comm) ? 'name' : null;
  if (thread.kvmEvents > 0) return 'kvm';
  return thread.name === null ? null : 'name';
}

function indexOf(thread: Thread, vcpuThreads: RegExp | null): number | null {
  if (thread.kvmVcpu >= 0) return thread.kvmVcpu;
  if (thread.name !== null) return thread.name.index;
  if (vcpuThreads === null) return null;
  // Whoever gives an expression names vCPUs in a way of their own; the last number counts them.
  const match = /(\d{1,5})\D*$/.exec(thread.comm);
  return match === null ? null : Number(match[1]);
}

function noThread(pid: number, vm: string, all: readonly Thread[], file: string): TraceError {
  const known = all
    .filter((thread) => thread.pid > 0)
    .map((thread) => `${thread.pid} (${thread.comm})`);
  const rest = known.length > 10 ? ` and ${known.length - 10} more` : '';
  return new TraceError(
    file,
    0,
    `no thread has the pid ${pid}, which is given to VM ${vm}; there are: ` +
      `${known.slice(0, 10).join(', ')}${rest}`,
  );
}

function noVcpu(all: readonly Thread[], vcpuThreads: RegExp | null, file: string): TraceError {
  const counts = new Map<string, number>();
  for (const { pid, comm } of all) if (pid > 0) counts.set(comm, (counts.get(comm) ?? 0) + 1);
  const names = [...counts].sort((a, b) => b[1] - a[1]).map(([comm]) => `'${comm}'`);
  const rest = names.length > 10 ? ` and ${names.length - 10} more` : '';
  const why =
    vcpuThreads === null
      ? 'no thread has kvm_entry or kvm_exit events, nor the name of a vCPU (such as CPU 0/KVM)'
      : `no thread name matches ${String(vcpuThreads)}`;
  return new TraceError(
    file,
    0,
    `${why}, so there is no vCPU; the threads are ` +
      `${names.slice(0, 10).join(', ') || 'idle threads only'}${rest}; say with ` +
      '--vcpu-threads REGEX or --vm NAME=PID,PID which of them are vCPUs, or record the events ' +
      'kvm:kvm_entry and kvm:kvm_exit as well',
  );
}

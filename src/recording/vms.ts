/** Puts the vCPUs of a recording into VMs. */
import type { Kept } from './kept.js';
import { TraceError } from './trace_error.js';
import type { Candidate, Sureness, VcpuThread, VmEvidence } from './vcpus.js';

/** A VM, and how messages speak of it. */
export interface Vm {
  readonly name: string;
}

/** A VM while its threads are being collected in the order of their pids. */
interface Draft {
  readonly name: string;
  lastPid: number;
  lastIndex: number;
  /** Pid of the process's main thread, as far as hand-overs show it. */
  readonly mainPid: number | undefined;
  readonly members: Member[];
}

interface Member {
  readonly candidate: Candidate;
  readonly vmFrom: VmEvidence;
}

const SURE: Readonly<Record<VmEvidence, Sureness>> = {
  given: 'certain',
  name: 'certain',
  process: 'certain',
  'hand-overs': 'likely',
  pids: 'guess',
};

/**
 * Puts vCPUs into VMs. In this order:
 *
 * 1. The caller's word.
 * 2. A name `d<domain>v<vcpu>`: the domain is the VM.
 * 3. The process, where the recording has a column of it.
 * 4. Otherwise the threads are taken in the order of their pids, since a process creates its vCPU
 *    threads in the order of their numbers. A CPU 0, or a thread without a number, starts a VM. A
 *    CPU n may belong to each VM that has its CPU n-1 and no CPU n yet (or, if there is none, to
 *    each whose vCPUs so far are all below n: an idle vCPU may not appear in the recording).
 *    If several VMs are possible, which happens when VMs were started at the same
 *    time, the main thread decides (see mainThread()); without such evidence, the VM whose
 *    latest thread has the nearest pid below.
 *
 * The last rule is a guess. In examples/two-vms-one-cpu, pids 13242 (CPU 0), 13243 (CPU 0), 13244
 * (CPU 1), it alone would put 13244 with 13243; the hand-overs put it with 13242, which is right.
 *
 * @throws TraceError when two threads are the same vCPU of a VM by the caller's word.
 */
export function groupIntoVms(
  candidates: readonly Candidate[],
  kept: Kept,
  file: string,
): { readonly vms: Vm[]; readonly vcpus: VcpuThread[] } {
  const drafts: Draft[] = [];
  const byKey = new Map<string, Draft>();
  const rest: Candidate[] = [];
  for (const candidate of candidates) {
    const [key, name, vmFrom] = certainVm(candidate);
    if (key === null) {
      rest.push(candidate);
      continue;
    }
    let draft = byKey.get(key);
    if (draft === undefined) {
      draft = { name, lastPid: 0, lastIndex: 0, mainPid: undefined, members: [] };
      byKey.set(key, draft);
      drafts.push(draft);
    }
    draft.members.push({ candidate, vmFrom });
  }
  guessVms(rest, kept, drafts);
  const ordered = orderedDrafts(drafts);
  const vms = ordered.map(({ name }, vm) => ({ name: name === '' ? String(vm) : name }));
  const vcpus = ordered.flatMap((draft, vm) => numbered(draft, vm, vms[vm].name, file));
  return { vms, vcpus };
}

/** The VM of a vCPU where nothing has to be guessed; a key of null where it has to. */
function certainVm({ thread, given }: Candidate): [string | null, string, VmEvidence] {
  if (given !== null) return [`given ${given}`, given, 'given'];
  const domain = thread.name?.domain ?? null;
  if (domain !== null) return [`domain ${domain}`, `d${domain}`, 'name'];
  if (thread.tgid > 0) return [`process ${thread.tgid}`, `pid ${thread.tgid}`, 'process'];
  return [null, '', 'pids'];
}

function guessVms(rest: readonly Candidate[], kept: Kept, drafts: Draft[]): void {
  const handOvers = countHandOvers(rest, kept);
  const guessed: Draft[] = [];
  for (const candidate of rest) {
    const { index, thread } = candidate;
    const mainPid = mainThread(handOvers.get(thread.pid));
    const found = index === null ? null : findVm(guessed, index, mainPid);
    if (found !== null && index !== null) {
      found.draft.lastPid = thread.pid;
      found.draft.lastIndex = index;
      found.draft.members.push({ candidate, vmFrom: found.vmFrom });
      continue;
    }
    const members: Member[] = [{ candidate, vmFrom: index === 0 ? 'name' : 'pids' }];
    guessed.push({ name: '', lastPid: thread.pid, lastIndex: index ?? 0, mainPid, members });
  }
  drafts.push(...guessed);
}

/** The caller's VMs first, as they were given; domains by number; then by the first pid. */
function orderedDrafts(drafts: readonly Draft[]): Draft[] {
  const rank = ({ members }: Draft): [number, number] => {
    const [{ candidate, vmFrom }] = members;
    if (vmFrom === 'given') return [0, 0];
    const domain = candidate.thread.name?.domain ?? null;
    return domain !== null ? [1, domain] : [2, candidate.thread.pid];
  };
  return [...drafts].sort((a, b) => {
    const [[kindA, a1], [kindB, b1]] = [rank(a), rank(b)];
    return kindA - kindB || a1 - b1;
  });
}

/** The vCPUs of a VM by their number; who has none gets the next that is free. */
function numbered({ members }: Draft, vm: number, name: string, file: string): VcpuThread[] {
  const taken = new Map<number, number>();
  for (const { candidate } of members) {
    const { index, thread } = candidate;
    if (index === null) continue;
    const other = taken.get(index);
    if (other !== undefined) {
      throw new TraceError(
        file,
        0,
        `pids ${other} and ${thread.pid} are both vCPU ${index} of VM ${name}; put one into ` +
          `another VM: --vm NAME=${thread.pid}`,
      );
    }
    taken.set(index, thread.pid);
  }
  let free = 0;
  const vcpus = members.map(({ candidate, vmFrom }) => {
    let { index } = candidate;
    if (index === null) {
      while (taken.has(free)) free++;
      index = free++;
    }
    const { pid, comm } = candidate.thread;
    return { pid, comm, vm, index, vcpuFrom: candidate.vcpuFrom, vmFrom, sure: SURE[vmFrom] };
  });
  return vcpus.sort((a, b) => a.index - b.index || a.pid - b.pid);
}

/** Finds the VM of a CPU n, n > 0, as groupIntoVms() says; null when it starts a VM. */
function findVm(
  drafts: readonly Draft[],
  index: number,
  mainPid: number | undefined,
): { readonly draft: Draft; readonly vmFrom: VmEvidence } | null {
  const nextInLine = drafts.filter((draft) => draft.lastIndex === index - 1);
  const possible =
    nextInLine.length > 0 ? nextInLine : drafts.filter((draft) => draft.lastIndex < index);
  const sameMain = possible.filter((draft) => draft.mainPid === mainPid);
  if (mainPid !== undefined && sameMain.length === 1) {
    return { draft: sameMain[0], vmFrom: 'hand-overs' };
  }
  // Pids ascend, so the nearest one below is the greatest.
  let nearest: Draft | null = null;
  for (const draft of possible) {
    if (nearest === null || draft.lastPid > nearest.lastPid) nearest = draft;
  }
  return nearest === null ? null : { draft: nearest, vmFrom: 'pids' };
}

/** Counts, for each vCPU thread, the direct switches from it to each of QEMU's other threads. */
function countHandOvers(
  vcpus: readonly Candidate[],
  { switches, threads }: Kept,
): Map<number, Map<number, number>> {
  const counts = new Map(vcpus.map(({ thread }) => [thread.pid, new Map<number, number>()]));
  if (vcpus.length < 2) return counts;
  const qemu = new Set<number>();
  for (const { pid, comm } of threads.all.values()) {
    if (comm.startsWith('qemu') && !counts.has(pid)) qemu.add(pid);
  }
  switches.forEachRow(({ prevPid, nextPid }) => {
    if (!qemu.has(nextPid)) return;
    const of = counts.get(prevPid);
    of?.set(nextPid, (of.get(nextPid) ?? 0) + 1);
  });
  return counts;
}

/** Fewer hand-overs than this, or a smaller part of them, say nothing about the process. */
const MIN_HAND_OVERS = 20;
const MIN_HAND_OVER_SHARE = 0.75;

/**
 * Returns the pid of a vCPU's main thread, or undefined without clear evidence. On a shared CPU
 * the thread that preempts a vCPU is most often the one that the vCPU itself has just woken:
 * the main thread of its own process, for device emulation. In examples/two-vms-one-cpu the shares
 * are 99%, 99% and 83%.
 */
function mainThread(handOvers: ReadonlyMap<number, number> | undefined): number | undefined {
  let total = 0;
  let bestPid: number | undefined;
  let best = 0;
  for (const [pid, count] of handOvers ?? []) {
    total += count;
    if (count > best) [bestPid, best] = [pid, count];
  }
  return total >= MIN_HAND_OVERS && best >= total * MIN_HAND_OVER_SHARE ? bestPid : undefined;
}

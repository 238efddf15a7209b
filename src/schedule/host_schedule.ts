/**
 * Turns the sched_switch events of a host into the vCPU switches that a policy sees: which vCPU is
 * resident on which pCPU, in the recorded order.
 *
 * A vCPU is a host thread whose name matches a regular expression; its identity is its pid. What
 * other threads do matters only in that they are not vCPUs. Left out: exits, wake-ups, priorities.
 */
import { type SchedSwitch, TraceError } from './ftrace.js';

/** QEMU's names for vCPU threads; it gives them with `-name ...,debug-threads=on`, as libvirt. */
export const DEFAULT_VCPU_THREADS: RegExp = /CPU \d+\/(KVM|TCG)/;

/**
 * What says that a thread belongs to its VM, from certain to guessed: the caller; the name alone
 * (`d0v1`, or a CPU 0, which each VM has only one of); hand-overs to the VM's main thread; the
 * order of pids.
 */
export type VmEvidence = 'given' | 'name' | 'hand-overs' | 'pids';

export interface VcpuThread {
  readonly pid: number;
  /** The first name under which the thread matched. */
  readonly comm: string;
  /** Number of the VM: the caller's, the domain's of `d0v1`, else counted from 0. */
  readonly vm: number;
  /** Index of the vCPU in its VM, as in its name. */
  readonly index: number;
  readonly vm_from: VmEvidence;
}

/** From this moment on, until the next step of the same pCPU, `vcpu` is resident on `pcpu`. */
export interface ScheduleStep {
  readonly pcpu: number;
  /** Index into `vcpus`; -1 for any other thread, idle included. */
  readonly vcpu: number;
  /** Microseconds on the clock of the recording, with a fraction if the text has 9 decimals. */
  readonly time_us: number;
  readonly line: number;
  /**
   * True when the recording does not hold this switch but proves that it happened by this line: who
   * ran before the first event of a pCPU, and what changed while events were lost.
   */
  readonly inferred: boolean;
}

export interface HostSchedule {
  readonly file: string;
  /** Sorted by VM, index and pid. */
  readonly vcpus: readonly VcpuThread[];
  /** Numbers of the CPUs that have a sched_switch, ascending. */
  readonly pcpus: readonly number[];
  /** Ordered by time. Before its first step a pCPU runs no vCPU. */
  readonly steps: readonly ScheduleStep[];
}

/**
 * Extracts the vCPU switches from a host's sched_switch events. A switch between two threads that
 * are no vCPUs is dropped; a vCPU that leaves its pCPU and comes back makes two steps, since
 * it is a real sched-out and sched-in. Steps never place a vCPU on two pCPUs at once.
 *
 * The text does not say which process a thread belongs to, so threads are put into VMs as
 * groupIntoVms() says; `vm_from` tells how sure that is, and `vm_of_pid` overrides it.
 *
 * @param vcpuThreads - is searched in thread names; the idle threads (pid 0) never count.
 * @param file - the name that error messages show.
 * @param vm_of_pid - VM numbers by pid; may cover some of the vCPU threads only.
 * @throws TraceError when there is no sched_switch or no vCPU thread, when time goes back, when
 * the outgoing thread is not the one that came in last on that CPU, when a vCPU is on two CPUs at
 * once (lost events excuse both), and when `vm_of_pid` does not fit the threads.
 */
export function hostSchedule(
  switches: readonly SchedSwitch[],
  vcpuThreads: RegExp,
  file: string,
  vm_of_pid: ReadonlyMap<number, number> = new Map(),
): HostSchedule {
  if (switches.length === 0) {
    throw new TraceError(
      file,
      0,
      'there is no sched_switch event; record it, for example with ' +
        'trace-cmd record -e sched:sched_switch, and print it with trace-cmd report',
    );
  }
  checkTime(switches, file);
  const threads = findVcpuThreads(switches, vcpuThreads, file);
  const vcpus = groupIntoVms(threads, switches, vm_of_pid, file);
  const pcpus = [...new Set(switches.map((event) => event.cpu))].sort((a, b) => a - b);
  return { file, vcpus, pcpus, steps: new Walk(file, vcpus, pcpus).run(switches) };
}

/** Refuses a text whose lines are out of order: the order of the steps would mean nothing. */
function checkTime(switches: readonly SchedSwitch[], file: string): void {
  let latest = switches[0];
  for (const event of switches) {
    if (latest !== undefined && event.time_ns < latest.time_ns) {
      throw new TraceError(
        file,
        event.line,
        `time goes back from ${seconds(latest.time_ns)} (line ${latest.line}) to ` +
          `${seconds(event.time_ns)}; give one recording per file, with one clock for all CPUs ` +
          `(trace-cmd record -C mono)`,
      );
    }
    latest = event;
  }
}

function seconds(time_ns: bigint): string {
  const decimals = String(time_ns % 1_000_000_000n).padStart(9, '0');
  return `${time_ns / 1_000_000_000n}.${decimals} s`;
}

/**
 * Returns the first matching name of each vCPU thread by pid. A thread counts as a vCPU from the
 * start, even if it gets its name later: QEMU names a thread after it was created.
 */
function findVcpuThreads(
  switches: readonly SchedSwitch[],
  vcpuThreads: RegExp,
  file: string,
): Map<number, string> {
  // A sticky or global expression would start each search where the last one ended.
  const matcher = new RegExp(vcpuThreads.source, vcpuThreads.flags.replace(/[gy]/g, ''));
  const threads = new Map<number, string>();
  const others = new Map<string, number>();
  const look = (pid: number, comm: string): void => {
    if (pid === 0 || threads.has(pid)) return;
    if (matcher.test(comm)) threads.set(pid, comm);
    else others.set(comm, (others.get(comm) ?? 0) + 1);
  };
  for (const event of switches) {
    look(event.prev_pid, event.prev_comm);
    look(event.next_pid, event.next_comm);
  }
  if (threads.size > 0) return threads;
  const names = [...others].sort((a, b) => b[1] - a[1]).map(([comm]) => `'${comm}'`);
  const rest = names.length > 10 ? ` and ${names.length - 10} more` : '';
  throw new TraceError(
    file,
    0,
    `no thread name matches ${String(vcpuThreads)}, so there is no vCPU; the threads are ` +
      `${names.slice(0, 10).join(', ') || 'idle threads only'}${rest}; say with ` +
      `--vcpu-threads REGEX which of them are vCPUs`,
  );
}

/** A VM while its threads are being collected in the order of their pids. */
interface VmDraft {
  readonly vm: number;
  last_pid: number;
  last_index: number;
  /** Pid of the process's main thread, as far as hand-overs show it. */
  readonly main_pid: number | undefined;
}

/**
 * Puts vCPU threads into VMs. In this order:
 *
 * 1. `vm_of_pid`, the caller's word.
 * 2. A name `d<domain>v<vcpu>`: the domain is the VM.
 * 3. Otherwise the last number in the name is the vCPU's index (`CPU 1/KVM`, `fc_vcpu 1`), and the
 *    threads are taken in the order of their pids, since a process creates its vCPU threads in
 *    the order of their indices. A CPU 0, or a name without a number, starts a VM. A CPU n may
 *    belong to each VM that has its CPU n-1 and no CPU n yet (or, if there is none, to each whose
 *    vCPUs so far are all below n: an idle vCPU may not appear in the recording).
 *    If several VMs are possible, which happens when VMs were started at the same
 *    time, the main thread decides (see mainThread()); without such evidence, the VM whose
 *    latest thread has the nearest pid below.
 *
 * The last rule is a guess. In examples/two-vms-one-cpu, pids 13242 (CPU 0), 13243 (CPU 0), 13244
 * (CPU 1), it alone would put 13244 with 13243; the hand-overs put it with 13242, which is right.
 */
function groupIntoVms(
  threads: ReadonlyMap<number, string>,
  switches: readonly SchedSwitch[],
  vm_of_pid: ReadonlyMap<number, number>,
  file: string,
): VcpuThread[] {
  const vcpus: VcpuThread[] = [];
  const rest: (readonly [pid: number, comm: string])[] = [];
  for (const [pid, comm] of [...threads].sort((a, b) => a[0] - b[0])) {
    const given = vm_of_pid.get(pid);
    const domain = /^d(\d+)v(\d+)$/.exec(comm);
    if (given !== undefined) {
      const index = indexInName(comm) ?? vcpus.filter((vcpu) => vcpu.vm === given).length;
      vcpus.push({ pid, comm, vm: given, index, vm_from: 'given' });
    } else if (domain !== null) {
      const [vm, index] = [Number(domain[1]), Number(domain[2])];
      vcpus.push({ pid, comm, vm, index, vm_from: 'name' });
    } else {
      rest.push([pid, comm]);
    }
  }
  checkGiven(vcpus, threads, vm_of_pid, file);
  const taken = new Set([...vcpus.map((vcpu) => vcpu.vm), ...vm_of_pid.values()]);
  const hand_overs = countHandOvers(threads, switches);
  const drafts: VmDraft[] = [];
  let next_vm = 0;
  for (const [pid, comm] of rest) {
    const index = indexInName(comm);
    const main_pid = mainThread(hand_overs.get(pid));
    const found = index === undefined ? undefined : findVm(drafts, index, main_pid);
    if (found !== undefined && index !== undefined) {
      [found.draft.last_pid, found.draft.last_index] = [pid, index];
      vcpus.push({ pid, comm, vm: found.draft.vm, index, vm_from: found.vm_from });
      continue;
    }
    while (taken.has(next_vm)) next_vm++;
    const draft = { vm: next_vm++, last_pid: pid, last_index: index ?? 0, main_pid };
    drafts.push(draft);
    const vm_from = index === 0 ? 'name' : 'pids';
    vcpus.push({ pid, comm, vm: draft.vm, index: index ?? 0, vm_from });
  }
  return vcpus.sort((a, b) => a.vm - b.vm || a.index - b.index || a.pid - b.pid);
}

/** Returns the last number of a thread's name, which is the vCPU's index in all names known. */
function indexInName(comm: string): number | undefined {
  const match = /(\d+)\D*$/.exec(comm);
  return match === null ? undefined : Number(match[1]);
}

/** Checks that the caller's map names vCPU threads only and gives no VM the same vCPU twice. */
function checkGiven(
  vcpus: readonly VcpuThread[],
  threads: ReadonlyMap<number, string>,
  vm_of_pid: ReadonlyMap<number, number>,
  file: string,
): void {
  for (const [pid, vm] of vm_of_pid) {
    if (threads.has(pid)) continue;
    const known = [...threads].map(([other, comm]) => `${other} (${comm})`).slice(0, 10);
    throw new TraceError(
      file,
      0,
      `pid ${pid} was put into VM ${vm}, but is no vCPU thread; these are: ${known.join(', ')}`,
    );
  }
  const owner = new Map<string, number>();
  for (const { pid, vm, index } of vcpus) {
    const other = owner.get(`${vm}.${index}`);
    if (other !== undefined) {
      throw new TraceError(
        file,
        0,
        `pids ${other} and ${pid} are both vCPU ${index} of VM ${vm}; put one into another VM`,
      );
    }
    owner.set(`${vm}.${index}`, pid);
  }
}

/** Finds the VM of a CPU n, n > 0, as groupIntoVms() says; undefined when it starts a VM. */
function findVm(
  drafts: readonly VmDraft[],
  index: number,
  main_pid: number | undefined,
): { readonly draft: VmDraft; readonly vm_from: VmEvidence } | undefined {
  const next_in_line = drafts.filter((draft) => draft.last_index === index - 1);
  const possible =
    next_in_line.length > 0 ? next_in_line : drafts.filter((draft) => draft.last_index < index);
  const same_main = possible.filter((draft) => draft.main_pid === main_pid);
  const [only] = same_main;
  if (main_pid !== undefined && only !== undefined && same_main.length === 1) {
    return { draft: only, vm_from: 'hand-overs' };
  }
  // Pids ascend, so the nearest one below is the greatest.
  let nearest: VmDraft | undefined;
  for (const draft of possible) {
    if (nearest === undefined || draft.last_pid > nearest.last_pid) nearest = draft;
  }
  return nearest === undefined ? undefined : { draft: nearest, vm_from: 'pids' };
}

/** Counts, for each vCPU thread, the direct switches from it to each of QEMU's other threads. */
function countHandOvers(
  threads: ReadonlyMap<number, string>,
  switches: readonly SchedSwitch[],
): Map<number, Map<number, number>> {
  const counts = new Map<number, Map<number, number>>();
  for (const { prev_pid, next_pid, next_comm } of switches) {
    if (!threads.has(prev_pid) || threads.has(next_pid) || !next_comm.startsWith('qemu')) continue;
    const of_vcpu = counts.get(prev_pid) ?? new Map<number, number>();
    of_vcpu.set(next_pid, (of_vcpu.get(next_pid) ?? 0) + 1);
    counts.set(prev_pid, of_vcpu);
  }
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
function mainThread(hand_overs: ReadonlyMap<number, number> | undefined): number | undefined {
  let total = 0;
  let best_pid: number | undefined;
  let best = 0;
  for (const [pid, count] of hand_overs ?? []) {
    total += count;
    if (count > best) [best_pid, best] = [pid, count];
  }
  return total >= MIN_HAND_OVERS && best >= total * MIN_HAND_OVER_SHARE ? best_pid : undefined;
}

/** What is known of a pCPU at a line of the recording. */
interface PcpuState {
  /** Pid of the thread that runs; undefined before the first event and where a gap disproved it. */
  pid: number | undefined;
  /** Index of the resident vCPU, -1 for none. */
  vcpu: number;
  /** Line of the switch that brought the running thread. */
  line: number;
  /**
   * True when the recorder lost the events that follow the latest one, so `vcpu` may have left
   * unseen. The text reports a loss only where the CPU's events resume, hence the look ahead.
   */
  may_have_changed: boolean;
}

/** Walks the events once, and keeps who runs where. */
class Walk {
  readonly #file: string;
  readonly #pcpu_of_cpu: ReadonlyMap<number, number>;
  readonly #vcpu_of_pid: ReadonlyMap<number, number>;
  readonly #vcpus: readonly VcpuThread[];
  readonly #pcpus: PcpuState[];
  /** pCPU on which each vCPU is resident, -1 for none. */
  readonly #where: number[];
  readonly #steps: ScheduleStep[] = [];

  constructor(file: string, vcpus: readonly VcpuThread[], pcpus: readonly number[]) {
    this.#file = file;
    this.#vcpus = vcpus;
    this.#pcpu_of_cpu = new Map(pcpus.map((cpu, pcpu) => [cpu, pcpu]));
    this.#vcpu_of_pid = new Map(vcpus.map(({ pid }, vcpu) => [pid, vcpu]));
    this.#pcpus = pcpus.map(() => ({ pid: undefined, vcpu: -1, line: 0, may_have_changed: false }));
    this.#where = vcpus.map(() => -1);
  }

  run(switches: readonly SchedSwitch[]): ScheduleStep[] {
    const gap_follows = findGaps(switches);
    for (const [i, event] of switches.entries()) {
      const pcpu = this.#pcpu_of_cpu.get(event.cpu);
      const state = pcpu === undefined ? undefined : this.#pcpus[pcpu];
      if (pcpu === undefined || state === undefined) continue;
      if (event.after_lost) state.pid = undefined;
      if (state.pid !== undefined && state.pid !== event.prev_pid) {
        throw this.#contradiction(event, state.pid, state.line);
      }
      this.#place(pcpu, state, event, event.prev_pid, true);
      this.#place(pcpu, state, event, event.next_pid, false);
      [state.pid, state.line] = [event.next_pid, event.line];
      state.may_have_changed = gap_follows[i] === 1;
    }
    return this.#steps;
  }

  /** Makes the thread `pid` the one that runs on a pCPU; a step records a change of vCPU. */
  #place(pcpu: number, state: PcpuState, event: SchedSwitch, pid: number, inferred: boolean): void {
    const vcpu = this.#vcpu_of_pid.get(pid) ?? -1;
    if (vcpu === state.vcpu) return;
    if (vcpu !== -1) this.#leaveOther(vcpu, event);
    if (state.vcpu !== -1) this.#where[state.vcpu] = -1;
    if (vcpu !== -1) this.#where[vcpu] = pcpu;
    state.vcpu = vcpu;
    this.#push(pcpu, vcpu, event, inferred);
  }

  /** A vCPU that comes in here has left the pCPU where it was; only a gap may have hidden that. */
  #leaveOther(vcpu: number, event: SchedSwitch): void {
    const pcpu = this.#where[vcpu] ?? -1;
    const state = this.#pcpus[pcpu];
    if (state === undefined) return;
    if (!state.may_have_changed) {
      const thread = this.#vcpus[vcpu];
      const cpu = [...this.#pcpu_of_cpu.keys()][pcpu];
      throw new TraceError(
        this.#file,
        event.line,
        `vCPU thread '${thread?.comm}' (pid ${thread?.pid}) runs on CPU ${event.cpu} here, but ` +
          `since line ${state.line} it runs on CPU ${cpu}; record with one clock for all CPUs ` +
          `(trace-cmd record -C mono) and without event filters`,
      );
    }
    [state.pid, state.vcpu] = [undefined, -1];
    this.#push(pcpu, -1, event, true);
  }

  #push(pcpu: number, vcpu: number, event: SchedSwitch, inferred: boolean): void {
    const time_us = Number(event.time_ns) / 1000;
    this.#steps.push({ pcpu, vcpu, time_us, line: event.line, inferred });
  }

  #contradiction(event: SchedSwitch, pid: number, line: number): TraceError {
    return new TraceError(
      this.#file,
      event.line,
      `pid ${event.prev_pid} ('${event.prev_comm}') leaves CPU ${event.cpu}, but since line ` +
        `${line} pid ${pid} runs there; a line is missing in between: record sched_switch ` +
        `without filters, for all threads, and keep the lines that report lost events`,
    );
  }
}

/** Returns, per event, 1 when events of its CPU were lost right after it, else 0. */
function findGaps(switches: readonly SchedSwitch[]): Uint8Array {
  const gap_follows = new Uint8Array(switches.length);
  const latest = new Map<number, number>();
  for (const [i, event] of switches.entries()) {
    const before = latest.get(event.cpu);
    if (event.after_lost && before !== undefined) gap_follows[before] = 1;
    latest.set(event.cpu, i);
  }
  return gap_follows;
}

export interface ScheduleSummary {
  readonly vcpus: number;
  readonly vms: number;
  readonly pcpus: number;
  /** Recorded switches in which a vCPU goes out, comes in, or both. */
  readonly vcpu_switches: number;
  /**
   * Times that a vCPU comes in on a pCPU where the last vCPU before was another one; other threads
   * in between do not count. These are the switches at which LBR records could get mixed up.
   */
  readonly changes: number;
  /** The same, per index into `pcpus`. */
  readonly changes_by_pcpu: readonly number[];
  /** Those of `changes` whose two vCPUs belong to different VMs. */
  readonly changes_across_vms: number;
  /** Times that a vCPU comes in on another pCPU than the one it ran on last. */
  readonly migrations: number;
  /** Seconds from the first step to the last. */
  readonly span_s: number;
}

/**
 * Counts switches, changes and migrations. Inferred steps are no recorded switches, but a change or
 * migration that they prove did happen and is counted.
 */
export function summarize(schedule: HostSchedule): ScheduleSummary {
  const { vcpus, pcpus, steps } = schedule;
  const last_vcpu = pcpus.map(() => -1);
  const last_pcpu = vcpus.map(() => -1);
  const changes_by_pcpu = pcpus.map(() => 0);
  let [vcpu_switches, changes, changes_across_vms, migrations] = [0, 0, 0, 0];
  for (const { pcpu, vcpu, inferred } of steps) {
    if (!inferred) vcpu_switches++;
    if (vcpu === -1) continue;
    const before = last_vcpu[pcpu] ?? -1;
    if (before !== -1 && before !== vcpu) {
      changes++;
      changes_by_pcpu[pcpu] = (changes_by_pcpu[pcpu] ?? 0) + 1;
      if (vcpus[before]?.vm !== vcpus[vcpu]?.vm) changes_across_vms++;
    }
    const left = last_pcpu[vcpu] ?? -1;
    if (left !== -1 && left !== pcpu) migrations++;
    [last_vcpu[pcpu], last_pcpu[vcpu]] = [vcpu, pcpu];
  }
  return {
    vcpus: vcpus.length,
    vms: new Set(vcpus.map((vcpu) => vcpu.vm)).size,
    pcpus: pcpus.length,
    vcpu_switches,
    changes,
    changes_by_pcpu,
    changes_across_vms,
    migrations,
    span_s: ((steps.at(-1)?.time_us ?? 0) - (steps[0]?.time_us ?? 0)) / 1e6,
  };
}

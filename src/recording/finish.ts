/** Makes a recording of what was kept of its text. */
import type { Kept } from './kept.js';
import { MSR_BY_GUEST, MSR_CPU_SHIFT, MSR_FAULT, MSR_WRITE } from './kept.js';
import { sharedBytes, sharedFloats, sharedIndices, sharedWords } from './rows.js';
import { type HostSchedule, KvmEvents, type MsrAccess, type Recording } from './recording.js';
import type { TextReader } from './text_reader.js';
import { TraceError } from './trace_error.js';
import { findVcpus, type GivenVms, type VcpuThread } from './vcpus.js';
import { groupIntoVms } from './vms.js';
import { Walk } from './walk.js';

/** How what was read is to be understood. */
export interface FinishOptions {
  /** In place of the guess: VMs by name, with the pids of their vCPUs' threads. */
  readonly vms?: GivenVms;
  /** Which threads are vCPUs, by their names. */
  readonly vcpuThreads?: RegExp | null;
  /** Whether to read on where a switch is missing and no line tells why. */
  readonly allowGaps?: boolean;
  readonly machine?: string;
}

/**
 * @param reader - has read all that there is. What it has kept is let go of.
 * @throws TraceError when the text has no sched_switch or no vCPU, when it has several machines
 * and none was chosen, and where a switch is missing, unless gaps are allowed.
 */
export function finish(
  reader: TextReader,
  options: FinishOptions,
  interrupted: boolean,
): Recording {
  const { kept, file } = reader;
  checkMachines(kept, options.machine, file);
  if (kept.switches.length === 0) throw nothingRead(file);
  const { vcpuThreads = null, vms: given = new Map<string, number[]>() } = options;
  const candidates = findVcpus(kept, given, vcpuThreads, file);
  const { vms, vcpus } = groupIntoVms(candidates, kept, file);
  const switches = kept.switches.length;
  const { from, to } = spanOf(kept);
  const { steps, pcpus, walk } = walkAll(kept, vcpus, options.allowGaps ?? false, file);
  const { gaps, gapCount } = walk;
  const { losses, baseSeconds, msrAccesses, reasons } = kept;
  const schedule = { file, vms, vcpus, pcpus, steps };
  const vcpuOfThread = new Map(
    vcpus.map(({ pid }, vcpu) => [kept.threads.ofPid(pid).number, vcpu]),
  );
  return {
    ...schedule,
    form: reader.form,
    machines: [...kept.machines],
    interrupted,
    lines: reader.lines,
    switches,
    baseSeconds,
    from,
    to,
    losses,
    gaps,
    gapCount,
    msrAccesses,
    kvmEvents: () => new KvmEvents(kept.kvm.cursor(), kept.kvm.length, vcpuOfThread, reasons, from),
    lbrAccesses: () => lbrAccesses(kept, vcpuOfThread, from),
  };
}

function nothingRead(file: string): TraceError {
  return new TraceError(
    file,
    0,
    'there is no sched_switch event; record it, for example with ' +
      'trace-cmd record -e sched:sched_switch -e kvm, and print it with trace-cmd report',
  );
}

/** Refuses to mix what two kernels have recorded: their pids and CPUs mean different things. */
function checkMachines({ machines }: Kept, asked: string | undefined, file: string): void {
  const names = [...machines].map((name) => (name === '' ? "'' (lines without a prefix)" : name));
  if (asked !== undefined && !machines.has(asked)) {
    const there = machines.size === 0 ? 'none has an event' : `there are: ${names.join(', ')}`;
    throw new TraceError(file, 0, `there is no machine '${asked}'; ${there}`);
  }
  if (asked !== undefined || machines.size < 2) return;
  throw new TraceError(
    file,
    0,
    `the text has the events of ${machines.size} machines: ${names.join(', ')}; choose the host ` +
      `with --machine ${[...machines].find((name) => name !== '')}, or another one of them`,
  );
}

function spanOf({ switches }: Kept): { readonly from: number; readonly to: number } {
  let [from, to] = [-1, 0];
  switches.forEachRow(({ time }) => {
    if (from < 0) from = time;
    to = time;
  });
  return { from, to };
}

function walkAll(
  kept: Kept,
  vcpus: readonly VcpuThread[],
  allowGaps: boolean,
  file: string,
): Pick<HostSchedule, 'steps' | 'pcpus'> & { readonly walk: Walk } {
  let length = 0;
  const seen = new Set<number>();
  const counting = new Walk(file, vcpus, allowGaps, (cpu) => {
    length++;
    seen.add(cpu);
  });
  kept.switches.forEachRow((row) => counting.see(row));
  const pcpus = [...seen].sort((a, b) => a - b);
  const pcpuOf = new Map(pcpus.map((cpu, pcpu) => [cpu, pcpu]));
  const steps = {
    length,
    time: sharedFloats(length),
    pcpu: sharedIndices(length, pcpus.length - 1),
    vcpu: sharedIndices(length, vcpus.length - 1),
    line: sharedWords(length),
    bits: sharedBytes(length),
  };
  let i = 0;
  const walk = new Walk(file, vcpus, allowGaps, (cpu, vcpu, time, line, bits) => {
    steps.time[i] = time;
    steps.pcpu[i] = pcpuOf.get(cpu) ?? -1;
    steps.vcpu[i] = vcpu;
    steps.line[i] = line;
    steps.bits[i] = bits;
    i++;
  });
  kept.switches.forEachRow((row) => walk.see(row), true);
  return { steps, pcpus, walk };
}

function* lbrAccesses(
  { msrs }: Kept,
  vcpuOfThread: ReadonlyMap<number, number>,
  from: number,
): Generator<MsrAccess> {
  const cursor = msrs.cursor();
  while (cursor.next()) {
    if (cursor.time < from) continue;
    const [thread, msr, low, high, line, bits] = [0, 1, 2, 3, 4, 5].map((c) => cursor.number(c));
    yield {
      time: cursor.time,
      line,
      cpu: bits >> MSR_CPU_SHIFT,
      vcpu: vcpuOfThread.get(thread) ?? -1,
      write: (bits & MSR_WRITE) !== 0,
      byGuest: (bits & MSR_BY_GUEST) !== 0,
      fault: (bits & MSR_FAULT) !== 0,
      msr,
      low,
      high,
    };
  }
}

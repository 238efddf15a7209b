/** What a recording is like: how often its vCPUs are switched, and how long they run. */
import type { Recording } from './recording.js';
import { INFERRED } from './walk.js';

/** Slices shorter than each bound, and not shorter than the one before, in nanoseconds. */
export const SLICE_BOUNDS: readonly number[] = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, Infinity];

export interface VcpuStatistics {
  /** Times that it comes in. */
  readonly switches: number;
  /** Times that it comes in on another pCPU than the one it ran on last. */
  readonly migrations: number;
  /** Nanoseconds in which it is resident; a slice that the recording cuts counts as far as seen. */
  readonly resident: number;
  /** Number of slices by SLICE_BOUNDS, where both ends were recorded. */
  readonly slices: readonly number[];
  /** Exits and entries that KVM's events tell. */
  readonly exits: number;
  readonly entries: number;
}

export interface Statistics {
  readonly vcpus: readonly VcpuStatistics[];
  /** Steps that the recording does not hold but proves. */
  readonly inferred: number;
  /** Exits by their reason, the most frequent first. */
  readonly reasons: readonly (readonly [reason: string, count: number])[];
}

interface Tally {
  switches: number;
  migrations: number;
  resident: number;
  slices: number[];
  exits: number;
  entries: number;
}

export function statisticsOf(recording: Recording): Statistics {
  const vcpus = recording.vcpus.map((): Tally => {
    const slices = SLICE_BOUNDS.map(() => 0);
    return { switches: 0, migrations: 0, resident: 0, slices, exits: 0, entries: 0 };
  });
  const inferred = countSteps(recording, vcpus);
  return { vcpus, inferred, reasons: countExits(recording, vcpus) };
}

/** Returns the number of inferred steps. */
function countSteps({ steps, pcpus, to }: Recording, vcpus: readonly Tally[]): number {
  const resident = pcpus.map(() => -1);
  const since = pcpus.map(() => 0);
  const recorded = pcpus.map(() => false);
  const lastPcpu = vcpus.map(() => -1);
  let inferred = 0;
  const leave = (pcpu: number, time: number, isRecorded: boolean): void => {
    if (resident[pcpu] < 0) return;
    const tally = vcpus[resident[pcpu]];
    const length = time - since[pcpu];
    tally.resident += length;
    if (!isRecorded || !recorded[pcpu]) return;
    tally.slices[SLICE_BOUNDS.findIndex((bound) => length < bound)]++;
  };
  for (let i = 0; i < steps.length; i++) {
    const [pcpu, vcpu, time] = [steps.pcpu[i], steps.vcpu[i], steps.time[i]];
    const isRecorded = (steps.bits[i] & INFERRED) === 0;
    if (!isRecorded) inferred++;
    leave(pcpu, time, isRecorded);
    resident[pcpu] = vcpu;
    since[pcpu] = time;
    recorded[pcpu] = isRecorded;
    if (vcpu < 0) continue;
    vcpus[vcpu].switches++;
    if (lastPcpu[vcpu] >= 0 && lastPcpu[vcpu] !== pcpu) vcpus[vcpu].migrations++;
    lastPcpu[vcpu] = pcpu;
  }
  pcpus.forEach((_, pcpu) => leave(pcpu, to, false));
  return inferred;
}

function countExits(
  recording: Recording,
  vcpus: readonly Tally[],
): (readonly [reason: string, count: number])[] {
  const counts = new Map<string, number>();
  const events = recording.kvmEvents();
  while (events.next()) {
    const { reason } = events;
    if (reason === null) {
      vcpus[events.vcpu].entries++;
      continue;
    }
    vcpus[events.vcpu].exits++;
    counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]);
}

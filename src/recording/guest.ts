/**
 * What a guest has recorded of its own switches of tasks, and how its clock stands to the host's.
 *
 * A guest can't switch tasks while its vCPU is not resident. So a shift of the clocks is judged by
 * the guest's switches that it puts into slices of the right vCPU. Candidates come from how soon
 * a guest switches after its vCPU has come in: it was woken, or its tick was late.
 */
import type { Recording } from './recording.js';
import { openSource } from './source.js';
import { TextReader, type TextOptions } from './text_reader.js';
import { TraceError } from './trace_error.js';

/** Switches of tasks in a guest, as columns by ascending time. */
export interface GuestRecording {
  readonly file: string;
  readonly length: number;
  /** Seconds on the guest's clock at which its times begin. */
  readonly baseSeconds: number;
  /** Nanoseconds from the first event. */
  readonly time: Float64Array;
  /** CPU of the guest: the number of the vCPU in its VM. */
  readonly cpu: Int16Array;
  /** Tasks by their pid in the guest; 0 is idle. */
  readonly prev: Uint32Array;
  readonly next: Uint32Array;
}

/** How a guest's clock stands to the host's. */
export interface ClockShift {
  /**
   * Nanoseconds from the time of a guest's event, as its recording counts, to the time of the
   * same moment, as the host's recording counts.
   */
  readonly shift: number;
  /** Host's clock less guest's clock, in nanoseconds; beyond 104 days not exact. */
  readonly offset: number;
  /** The shift may be wrong by so many nanoseconds in either direction; 0 where it was given. */
  readonly uncertainty: number;
  readonly from: 'given' | 'estimated';
  /** The guest's switches within the host's recording, and those of them in a slice. */
  readonly compared: number;
  readonly inSlice: number;
}

/** Reads the recording of a guest. @throws TraceError for whatever is wrong with it. */
export async function readGuest(path: string, options: TextOptions = {}): Promise<GuestRecording> {
  const source = await openSource(path);
  const reader = new TextReader(path, options);
  try {
    for await (const chunk of source.chunks) reader.feed(chunk);
  } finally {
    source.stop();
  }
  reader.end(false);
  return guestOf(reader);
}

/** @param reader - has read all that there is. */
export function guestOf({ kept, file }: TextReader): GuestRecording {
  const { length } = kept.switches;
  if (length === 0) {
    throw new TraceError(file, 0, 'there is no sched_switch event; record it in the guest');
  }
  const guest = {
    file,
    length,
    baseSeconds: kept.baseSeconds,
    time: new Float64Array(length),
    cpu: new Int16Array(length),
    prev: new Uint32Array(length),
    next: new Uint32Array(length),
  };
  let i = 0;
  kept.switches.forEachRow(({ time, cpu, prevPid, nextPid }) => {
    guest.time[i] = time;
    guest.cpu[i] = cpu;
    guest.prev[i] = prevPid;
    guest.next[i] = nextPid;
    i++;
  }, true);
  return guest;
}

/** The slices of one vCPU, and the switches that its guest has recorded there. */
interface Side {
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  readonly events: Float64Array;
  /** Share of the host's time in which the vCPU is resident. */
  readonly share: number;
}

/** A clock as the caller gives it. @param offset - host's clock less guest's, in nanoseconds. */
export function givenShift(
  recording: Recording,
  vm: number,
  guest: GuestRecording,
  offset: number,
): ClockShift {
  const shift = offset + secondsBetween(recording, guest) * 1e9;
  const { compared, inSlice } = judged(sidesOf(recording, vm, guest), recording, shift);
  return { shift, offset, uncertainty: 0, from: 'given', compared, inSlice };
}

function secondsBetween(recording: Recording, guest: GuestRecording): number {
  return guest.baseSeconds - recording.baseSeconds;
}

/** The least number of a guest's switches that a clock is estimated from. */
const EVENTS_MIN = 50;

/** Fewer of them in slices than this share, and the estimate is none. */
const AGREEMENT_MIN = 0.9;

/**
 * Estimates the shift of a guest's clock.
 *
 * @param vm - index into the recording's `vms`.
 * @throws TraceError when the recordings do not tell: too few switches, no overlap, no shift by
 * which the guest's switches fall into slices of its vCPUs, or two that are as good.
 */
export function estimateShift(recording: Recording, vm: number, guest: GuestRecording): ClockShift {
  const all = sidesOf(recording, vm, guest);
  const sides = all.map((side) => ({ ...side, events: sampled(side.events, JUDGED_MAX) }));
  const candidates = candidatesOf(sides, recording);
  let best = { shift: 0, score: -Infinity };
  for (const { from, to, step } of candidates) {
    for (let shift = from; shift <= to; shift += step) {
      const { score } = judged(sides, recording, shift);
      if (score > best.score) best = { shift, score };
    }
  }
  const { low, high } = plateau(sides, recording, best);
  const shift = Math.round((low + high) / 2);
  const { compared, inSlice } = judged(all, recording, shift);
  if (compared < EVENTS_MIN || inSlice < AGREEMENT_MIN * compared) {
    throw new TraceError(
      guest.file,
      0,
      `the clock of this guest can't be estimated: at best, ${inSlice} of ${compared} switches ` +
        `of its tasks fall into slices of VM ${recording.vms[vm].name}; say host's clock less ` +
        "guest's clock with --clock-offset VM=NANOSECONDS, or record both at the same time",
    );
  }
  const offset = shift - secondsBetween(recording, guest) * 1e9;
  const uncertainty = Math.ceil((high - low) / 2);
  return { shift, offset, uncertainty, from: 'estimated', compared, inSlice };
}

function sidesOf(recording: Recording, vm: number, guest: GuestRecording): Side[] {
  const { vcpus, from, to } = recording;
  return vcpus.flatMap((vcpu, i) => {
    if (vcpu.vm !== vm) return [];
    const events = guest.time.filter((_, e) => guest.cpu[e] === vcpu.index);
    const { begins, ends } = slicesOf(recording, i);
    if (events.length === 0 || begins.length === 0) return [];
    const resident = begins.reduce((sum, begin, s) => sum + ends[s] - begin, 0);
    return [{ begins, ends, events, share: resident / Math.max(1, to - from) }];
  });
}

function slicesOf(
  { steps, to }: Recording,
  vcpu: number,
): { readonly begins: Float64Array; readonly ends: Float64Array } {
  const begins: number[] = [];
  const ends: number[] = [];
  let on = -1;
  for (let i = 0; i < steps.length; i++) {
    if (steps.vcpu[i] === vcpu) {
      begins.push(steps.time[i]);
      on = steps.pcpu[i];
    } else if (steps.pcpu[i] === on) {
      ends.push(steps.time[i]);
      on = -1;
    }
  }
  if (ends.length < begins.length) ends.push(to);
  return { begins: Float64Array.from(begins), ends: Float64Array.from(ends) };
}

/** How likely a switch outside of every slice is nevertheless: lost events, clocks that drift. */
const ODD = 0.01;

/**
 * Judges a shift: by how much it explains the guest's switches better than chance does, which puts
 * a switch into a slice as often as the vCPU is resident.
 */
function judged(
  sides: readonly Side[],
  { from, to }: Recording,
  shift: number,
): { readonly score: number; readonly compared: number; readonly inSlice: number } {
  let [score, compared, inSlice] = [0, 0, 0];
  for (const { begins, ends, events, share } of sides) {
    const chance = Math.min(0.99, Math.max(0.01, share));
    const inside = Math.log((1 - ODD) / chance);
    const outside = Math.log(ODD / (1 - chance));
    let s = 0;
    for (const event of events) {
      const time = event + shift;
      if (time < from || time > to) continue;
      compared++;
      while (s < ends.length && ends[s] < time) s++;
      if (s < begins.length && begins[s] <= time) {
        inSlice++;
        score += inside;
      } else {
        score += outside;
      }
    }
  }
  return { score, compared, inSlice };
}

/** Nanoseconds of a bin of differences; wider where recordings are long. */
const BIN = 100_000;
const BINS_MAX = 4_000_000;
/** Times of each side that differences are made of, and switches that shifts are judged by. */
const SAMPLES_MAX = 2000;
const JUDGED_MAX = 10_000;
const CANDIDATES = 150;
/** Steps in which the neighbourhood of a candidate is tried. */
const FINE = 20;

/** Some of the times, from all of the recording: more would only take longer. */
function sampled(times: Float64Array, most: number): Float64Array {
  const every = Math.ceil(times.length / most);
  return every <= 1 ? times : times.filter((_, i) => i % every === 0);
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** Where many differences from a guest's switch to the coming in of its vCPU are alike. */
function candidatesOf(sides: readonly Side[], { from, to }: Recording): Range[] {
  const lasts = sides.map(({ events }) => events[events.length - 1]);
  const least = from - Math.max(0, ...lasts);
  const span = to - least;
  const width = Math.max(BIN, Math.ceil(span / BINS_MAX));
  const bins = new Uint32Array(Math.ceil(span / width) + 1);
  for (const { begins, events } of sides) {
    const guestTimes = sampled(events, SAMPLES_MAX);
    for (const begin of sampled(begins, SAMPLES_MAX)) {
      for (const event of guestTimes) {
        const bin = Math.floor((begin - event - least) / width);
        if (bin >= 0 && bin < bins.length) bins[bin]++;
      }
    }
  }
  const order = Array.from(bins, (count, bin) => ({ count, bin }))
    .filter(({ count }) => count > 1)
    .sort((a, b) => b.count - a.count)
    .slice(0, CANDIDATES);
  // A switch comes after its vCPU, so the shift is in this bin or in one above.
  return order.map(({ bin }) => {
    const at = least + bin * width;
    return { from: at - width, to: at + 3 * width, step: width / FINE };
  });
}

/** Shifts whose scores differ by less are as good as each other: odds of 1 to 7. */
const AS_GOOD = 2;

/** The shifts around the best one that are as good as it is. */
function plateau(
  sides: readonly Side[],
  recording: Recording,
  best: { readonly shift: number; readonly score: number },
): { readonly low: number; readonly high: number } {
  let { shift: top, score } = best;
  // The best of the steps need not be the best of all.
  for (let step = BIN / FINE; step >= 1000; step /= 2) {
    for (const shift of [top - step, top + step]) {
      const other = judged(sides, recording, shift).score;
      if (other > score) [top, score] = [shift, other];
    }
  }
  const edge = (direction: number): number => {
    let shift = top;
    for (let step = 64_000; step >= 500; step /= 2) {
      while (judged(sides, recording, shift + direction * step).score > score - AS_GOOD) {
        shift += direction * step;
        if (Math.abs(shift - top) > 1e9) return shift;
      }
    }
    return shift;
  };
  return { low: edge(-1), high: edge(1) };
}

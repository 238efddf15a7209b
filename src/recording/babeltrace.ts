/**
 * A line of `babeltrace` or `babeltrace2` about a kernel that LTTng has recorded:
 * `[hh:mm:ss.nnnnnnnnn] (+d) host event: { cpu_id = 0 }, { context }, { fields }`.
 */

export interface BabeltraceLine {
  readonly name: string;
  readonly cpu: number;
  /** Seconds of the day, or since the epoch with --clock-seconds. */
  readonly seconds: number;
  readonly nanos: number;
  /** Whether the seconds begin again at midnight. */
  readonly ofDay: boolean;
  /** The thread, where the recording has the context `tid`; else -1. */
  readonly tid: number;
  /** All behind the name. */
  readonly rest: string;
}

/** Who goes and who comes. */
export interface LttngSwitch {
  readonly prevComm: string;
  readonly prevPid: number;
  readonly nextComm: string;
  readonly nextPid: number;
}

const CLOCK =
  /^\[(?:(\d{4})-(\d\d)-(\d\d) )?(?:(\d\d):(\d\d):)?(\d{1,15})\.(\d{9})\] (?:\(\+\S{1,20}\) )?/;
const NAME = /^(?:\S{1,80} )?(\S{1,120}): \{/;
const CPU = /\bcpu_id = (\d{1,5}) /;
const TID = /[{ ]tid = (\d{1,10})\b/;
const UNTIMED = /^(?:\S{1,80} )?\S{1,120}: \{ cpu_id = \d/;

/** Whether this is such a line without a time that can be read: ticks, or no time at all. */
export function isUntimed(line: string): boolean {
  return UNTIMED.test(line) || /^\[\d{10,20}\] \(\+/.test(line);
}

/** Returns null for a line of another form. */
export function readBabeltrace(line: string): BabeltraceLine | null {
  const clock = CLOCK.exec(line);
  if (clock === null) return null;
  const name = NAME.exec(line.slice(clock[0].length));
  if (name === null) return null;
  const rest = line.slice(clock[0].length + name[0].length - 1);
  const cpu = CPU.exec(rest);
  if (cpu === null) return null;
  const [, year, month, day, hours, minutes, seconds, nanos] = clock;
  const date = year === undefined ? 0 : Date.UTC(Number(year), Number(month) - 1, Number(day));
  const time = Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds);
  return {
    name: name[1].slice(name[1].lastIndexOf(':') + 1),
    cpu: Number(cpu[1]),
    seconds: date / 1000 + time,
    nanos: Number(nanos),
    ofDay: hours !== undefined && year === undefined,
    tid: Number(TID.exec(rest)?.[1] ?? -1),
    rest,
  };
}

/** The fields of sched_switch; null where they are not all there. */
export function lttngSwitch(rest: string): LttngSwitch | null {
  const prev = thread(rest, 'prev');
  const next = thread(rest, 'next');
  // A line that was cut has no closing brace.
  if (prev === null || next === null || !rest.trimEnd().endsWith('}')) return null;
  return { prevComm: prev.comm, prevPid: prev.pid, nextComm: next.comm, nextPid: next.pid };
}

function thread(rest: string, which: string): { comm: string; pid: number } | null {
  const opening = `${which}_comm = "`;
  const from = rest.indexOf(opening);
  if (from < 0) return null;
  const closing = `", ${which}_tid = `;
  const to = rest.indexOf(closing, from + opening.length);
  if (to < 0) return null;
  const pid = /^\d{1,10}\b/.exec(rest.slice(to + closing.length, to + closing.length + 11));
  if (pid === null) return null;
  return { comm: rest.slice(from + opening.length, to), pid: Number(pid[0]) };
}

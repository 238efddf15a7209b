/**
 * The part of a line before the payload: thread, CPU, time and name of the event, in every form
 * that ftrace, trace-cmd and perf print.
 *
 * A head is found by its time and read from there backwards, since the name of a thread, which
 * begins the line, may hold anything: brackets, colons and whole heads.
 */
import {
  blanksBefore,
  digitsBefore,
  isBlank,
  isDigit,
  isLetter,
  numberIn,
  skipBlanks,
  skipDigits,
  skipWord,
  word,
  wordBefore,
  isAt,
} from './bytes.js';

const COLON = 0x3a;
const DOT = 0x2e;
const DASH = 0x2d;
const SLASH = 0x2f;
const HASH = 0x23;
const OPEN = 0x28;
const CLOSE = 0x29;
const LEFT = 0x5b;
const RIGHT = 0x5d;

/** Longest name of a thread in bytes: TASK_COMM_LEN is 16. */
export const COMM_MAX = 15;

/** No flags, TGID or time difference is longer. */
const COLUMN_MAX = 50;

/** What the number before the colon counts. */
export type TimeUnit = 'seconds' | 'microseconds' | 'ticks';

/** What a line says before its payload; one object is filled for each line. */
export class Head {
  /** -1 where the form has no such column. */
  cpu = -1;
  pid = -1;
  /** The process of the thread, where the form tells. */
  tgid = -1;
  unit: TimeUnit = 'seconds';
  /** Whole units. */
  time = 0;
  /** Nanoseconds beyond the whole seconds. */
  nanos = 0;
  /** Name of the event without its subsystem, [from, to). */
  nameFrom = 0;
  nameTo = 0;
  /** Whether a colon follows the name. */
  named = false;
  payload = 0;
  /** What `trace-cmd report` puts before the lines of one of several files; empty for none. */
  machineFrom = 0;
  machineTo = 0;
}

/** Finds the first head of the line [start, end). Returns whether there is one. */
export function findHead(bytes: Uint8Array, start: number, end: number, head: Head): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i] !== COLON) continue;
    if (i + 1 < end && !isBlank(bytes[i + 1])) continue;
    if (!readTime(bytes, start, i, head)) continue;
    readName(bytes, i + 1, end, head);
    // Without a name, what looks like a head was a part of a thread's name, or is no event.
    if (head.named || isLossRecord(bytes, head)) return true;
  }
  return false;
}

/** A time difference, as `trace-cmd report --ts-diff` prints one. Returns what is outside of it. */
function beforeDifference(bytes: Uint8Array, at: number, start: number): number {
  if (at <= start || bytes[at - 1] !== CLOSE) return at;
  for (let i = at - 2; i >= start && at - i < COLUMN_MAX; i--) {
    if (bytes[i] === OPEN) return blanksBefore(bytes, i, start);
  }
  return at;
}

/** Reads the time that ends before a colon, and all that stands before it. */
function readTime(bytes: Uint8Array, start: number, colon: number, head: Head): boolean {
  let to = beforeDifference(bytes, blanksBefore(bytes, colon, start), start);
  if (to <= start) return false;
  let unit: TimeUnit = 'ticks';
  if (!isDigit(bytes[to - 1])) {
    to = beforeMicroseconds(bytes, start, to);
    if (to < 0) return false;
    unit = 'microseconds';
  }
  const last = digitsBefore(bytes, to, start);
  let from = last;
  let nanos = 0;
  if (unit === 'ticks' && last > start && bytes[last - 1] === DOT) {
    from = digitsBefore(bytes, last - 1, start);
    if (from === last - 1 || to - last > 9) return false;
    nanos = numberIn(bytes, last, to) * 10 ** (9 - (to - last));
    unit = 'seconds';
  }
  if (!readThread(bytes, start, from, head)) return false;
  head.unit = unit;
  head.time = numberIn(bytes, from, unit === 'seconds' ? last - 1 : to);
  head.nanos = nanos;
  return true;
}

/** Of `203us`, `203us!`: where the digits end; -1 if these are no microseconds. */
function beforeMicroseconds(bytes: Uint8Array, start: number, at: number): number {
  const MARKS = '!+#*@$';
  const marked = MARKS.includes(String.fromCharCode(bytes[at - 1])) ? at - 1 : at;
  const to = marked - 2;
  if (to <= start || bytes[to] !== 0x75 || bytes[to + 1] !== 0x73) return -1;
  return isDigit(bytes[to - 1]) ? to : -1;
}

/** Reads flags, CPU, TGID and thread, which end before the time at `time`. */
function readThread(bytes: Uint8Array, start: number, time: number, head: Head): boolean {
  head.cpu = -1;
  head.pid = -1;
  head.tgid = -1;
  let at = blanksBefore(bytes, time, start);
  if (at <= start) return false;
  if (bytes[at - 1] !== RIGHT) {
    if (at === time) return false;
    const from = wordBefore(bytes, at, start, COLUMN_MAX);
    const before = blanksBefore(bytes, from, start);
    // The flags stand between CPU and time; otherwise the column is another one.
    if (before > start && bytes[before - 1] === RIGHT && isCpu(bytes, start, before)) at = before;
    else if (isLatency(bytes, from, at)) return readLatency(bytes, start, from, at, head);
    else return readWithoutCpu(bytes, start, at, head);
  }
  const from = digitsBefore(bytes, at - 1, start);
  if (from === at - 1 || from <= start || bytes[from - 1] !== LEFT) return false;
  head.cpu = numberIn(bytes, from, at - 1);
  return readPid(bytes, start, from - 1, head);
}

function isCpu(bytes: Uint8Array, start: number, at: number): boolean {
  const from = digitsBefore(bytes, at - 1, start);
  return from < at - 1 && from > start && bytes[from - 1] === LEFT;
}

/** `1d..2.`: the latency format has the CPU before the flags, without brackets. */
function isLatency(bytes: Uint8Array, from: number, to: number): boolean {
  const flags = skipDigits(bytes, from, to);
  if (flags === from || flags === to) return false;
  return bytes[flags] === DOT || bytes[flags] === HASH || isLetter(bytes[flags]);
}

function readLatency(
  bytes: Uint8Array,
  start: number,
  from: number,
  to: number,
  head: Head,
): boolean {
  head.cpu = numberIn(bytes, from, skipDigits(bytes, from, to));
  return readPid(bytes, start, from, head) && head.pid >= 0;
}

/** perf script without the field `cpu`: the thread stands right before the time. */
function readWithoutCpu(bytes: Uint8Array, start: number, at: number, head: Head): boolean {
  return isDigit(bytes[at - 1]) && readPid(bytes, start, at, head) && head.pid >= 0;
}

/** Reads the TGID, the flags of newer perf, and the pid, which end at `end`. */
function readPid(bytes: Uint8Array, start: number, end: number, head: Head): boolean {
  let at = blanksBefore(bytes, end, start);
  // perf script without comm and tid.
  if (at === start) {
    head.machineTo = head.machineFrom;
    return true;
  }
  if (bytes[at - 1] === CLOSE) {
    const close = at - 1;
    let open = close - 1;
    while (open > start && close - open < COLUMN_MAX && bytes[open] !== OPEN) open--;
    if (bytes[open] !== OPEN) return false;
    const digits = digitsBefore(bytes, close, open + 1);
    if (digits < close) head.tgid = numberIn(bytes, digits, close);
    at = blanksBefore(bytes, open, start);
  } else if (!isDigit(bytes[at - 1]) || flagsEndAt(bytes, start, at)) {
    const from = wordBefore(bytes, at, start, COLUMN_MAX);
    if (bytes[from] !== DOT && !isLetter(bytes[from])) return false;
    at = blanksBefore(bytes, from, start);
  }
  let from = digitsBefore(bytes, at, start);
  if (from === at) return false;
  head.pid = numberIn(bytes, from, at);
  if (from - 1 > start && bytes[from - 1] === SLASH && isDigit(bytes[from - 2])) {
    const process = digitsBefore(bytes, from - 1, start);
    head.tgid = numberIn(bytes, process, from - 1);
    from = process;
  }
  if (from > start && bytes[from - 1] !== DASH && !isBlank(bytes[from - 1])) return false;
  readMachine(bytes, start, from, head);
  return true;
}

/** Whether the word that ends here is flags such as `d..2`, with a pid as a word before it. */
function flagsEndAt(bytes: Uint8Array, start: number, at: number): boolean {
  const from = wordBefore(bytes, at, start, COLUMN_MAX);
  if (from === start || !(bytes[from] === DOT || isLetter(bytes[from]))) return false;
  const before = blanksBefore(bytes, from, start);
  // In `comm-7` the word begins with a letter, too; there the pid follows a dash.
  for (let i = from; i < at; i++) if (bytes[i] === DASH) return false;
  return before > start && isDigit(bytes[before - 1]);
}

/** A name has at most 15 bytes; what is longer begins with the file's name and a colon. */
function readMachine(bytes: Uint8Array, start: number, end: number, head: Head): void {
  const from = skipBlanks(bytes, start, end);
  head.machineFrom = from;
  head.machineTo = from;
  // perf pads names behind them, ftrace before them.
  if (blanksBefore(bytes, end - 1, from) - from <= COMM_MAX) return;
  const to = skipWord(bytes, from, end);
  if (to - from > 1 && to < end && bytes[to - 1] === COLON) head.machineTo = to - 1;
}

const UNKNOWN = word('unknown:');

const LOSS_RECORD = word('PERF_RECORD_LOST');

/** Whether this is what perf prints for lost events; PERF_RECORD_LOST_SAMPLES is another record. */
export function isLossRecord(bytes: Uint8Array, head: Head): boolean {
  const { nameFrom, nameTo } = head;
  return nameTo - nameFrom === LOSS_RECORD.length && isAt(bytes, nameFrom, nameTo, LOSS_RECORD);
}

/** Reads the name of the event behind the colon of the time. */
function readName(bytes: Uint8Array, at: number, end: number, head: Head): void {
  let from = skipBlanks(bytes, at, end);
  if (bytes[from] === OPEN && from < end) {
    // A time difference.
    let close = from;
    while (close < end && close - from < COLUMN_MAX && bytes[close] !== CLOSE) close++;
    if (close < end && bytes[close] === CLOSE) from = skipBlanks(bytes, close + 1, end);
  }
  // perf's field `period`.
  const digits = skipDigits(bytes, from, end);
  if (digits > from && digits < end && isBlank(bytes[digits])) {
    from = skipBlanks(bytes, digits, end);
  }
  // What perf prints for records that are no events.
  if (isAt(bytes, from, end, UNKNOWN)) from = skipBlanks(bytes, from + UNKNOWN.length, end);
  const to = skipWord(bytes, from, end);
  head.named = to > from && bytes[to - 1] === COLON;
  head.nameTo = head.named ? to - 1 : to;
  head.nameFrom = from;
  for (let i = head.nameTo - 1; i >= from; i--) {
    if (bytes[i] === COLON) {
      head.nameFrom = i + 1;
      break;
    }
  }
  head.payload = skipBlanks(bytes, to, end);
}

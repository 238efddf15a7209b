/** The payload of sched_switch, in the forms of the kernel and of libtraceevent. */
import {
  isAt,
  isBlank,
  isDigit,
  numberIn,
  skipBlanks,
  skipDigits,
  skipWord,
  word,
} from './bytes.js';
import { COMM_MAX } from './head.js';

/** Who goes and who comes; names are [from, to). One object is filled for each line. */
export class SwitchPayload {
  prevPid = 0;
  prevFrom = 0;
  prevTo = 0;
  nextPid = 0;
  nextFrom = 0;
  nextTo = 0;
}

const PREV_COMM = word('prev_comm=');
const PREV_PID = word(' prev_pid=');
const PREV_PRIO = word(' prev_prio=');
const PREV_STATE = word(' prev_state=');
const ARROW = word(' ==>');
const NEXT_COMM = word(' next_comm=');
const NEXT_PID = word(' next_pid=');
const NEXT_PRIO = word(' next_prio=');
const COLON = word(':');
const PRIO = word(' [');
const PRIO_END = word(']');

const DASH = 0x2d;

/** Reads the payload [at, end). Returns whether it is whole. */
export function readSwitch(
  bytes: Uint8Array,
  at: number,
  end: number,
  payload: SwitchPayload,
): boolean {
  if (isAt(bytes, at, end, PREV_COMM)) {
    return readFields(bytes, at + PREV_COMM.length, end, payload);
  }
  return readCompact(bytes, at, end, payload);
}

/** Behind a word and the number that follows it, which may be negative; -1 if they aren't there. */
function afterNumber(bytes: Uint8Array, at: number, end: number, before: Uint8Array): number {
  if (!isAt(bytes, at, end, before)) return -1;
  const from = at + before.length;
  const digits = bytes[from] === DASH ? from + 1 : from;
  const to = skipDigits(bytes, digits, end);
  return to === digits ? -1 : to;
}

/**
 * `prev_comm=a prev_pid=1 prev_prio=120 prev_state=S ==> next_comm=b next_pid=2 next_prio=120`.
 * A name may hold any of this, and has at most 15 bytes: the longest one that fits is meant.
 */
function readFields(bytes: Uint8Array, from: number, end: number, payload: SwitchPayload): boolean {
  for (let to = from + COMM_MAX; to >= from; to--) {
    const pid = afterNumber(bytes, to, end, PREV_PID);
    if (pid < 0 || bytes[to + PREV_PID.length] === DASH) continue;
    if (!readFieldsOfNext(bytes, pid, end, payload)) continue;
    payload.prevFrom = from;
    payload.prevTo = to;
    payload.prevPid = numberIn(bytes, to + PREV_PID.length, pid);
    return true;
  }
  return false;
}

function readFieldsOfNext(
  bytes: Uint8Array,
  at: number,
  end: number,
  payload: SwitchPayload,
): boolean {
  const prio = afterNumber(bytes, at, end, PREV_PRIO);
  if (prio < 0 || !isAt(bytes, prio, end, PREV_STATE)) return false;
  const state = prio + PREV_STATE.length;
  let next = skipWord(bytes, state, end);
  if (next === state) return false;
  // -R and older versions of trace-cmd leave the arrow out.
  if (isAt(bytes, next, end, ARROW)) next += ARROW.length;
  if (!isAt(bytes, next, end, NEXT_COMM)) return false;
  const from = next + NEXT_COMM.length;
  for (let to = from + COMM_MAX; to >= from; to--) {
    const pid = afterNumber(bytes, to, end, NEXT_PID);
    if (pid < 0 || bytes[to + NEXT_PID.length] === DASH) continue;
    const last = afterNumber(bytes, pid, end, NEXT_PRIO);
    if (last < 0 || !endsWell(bytes, last, end)) continue;
    payload.nextFrom = from;
    payload.nextTo = to;
    payload.nextPid = numberIn(bytes, to + NEXT_PID.length, pid);
    return true;
  }
  return false;
}

/** Newer kernels append `name=value`. Anything else is a line that was run into this one. */
function endsWell(bytes: Uint8Array, at: number, end: number): boolean {
  if (at < end && !isBlank(bytes[at])) return false;
  let i = skipBlanks(bytes, at, end);
  while (i < end) {
    const to = skipWord(bytes, i, end);
    const equals = bytes.indexOf(0x3d, i);
    if (equals <= i || equals >= to) return false;
    i = skipBlanks(bytes, to, end);
  }
  return true;
}

/** `a:1 [120] S ==> b:2 [120]`. */
function readCompact(
  bytes: Uint8Array,
  from: number,
  end: number,
  payload: SwitchPayload,
): boolean {
  for (let to = from + COMM_MAX; to >= from; to--) {
    const pid = afterPid(bytes, to, end);
    if (pid < 0) continue;
    const prio = afterPrio(bytes, pid, end);
    if (prio < 0 || !isBlank(bytes[prio]) || prio >= end) continue;
    const state = skipWord(bytes, prio + 1, end);
    if (state === prio + 1 || !isAt(bytes, state, end, ARROW)) continue;
    const arrow = state + ARROW.length;
    if (arrow >= end || !isBlank(bytes[arrow])) continue;
    if (!readCompactNext(bytes, arrow + 1, end, payload)) continue;
    payload.prevFrom = from;
    payload.prevTo = to;
    payload.prevPid = numberIn(bytes, to + 1, pid);
    return true;
  }
  return false;
}

function readCompactNext(
  bytes: Uint8Array,
  from: number,
  end: number,
  payload: SwitchPayload,
): boolean {
  for (let to = from + COMM_MAX; to >= from; to--) {
    const pid = afterPid(bytes, to, end);
    if (pid < 0) continue;
    const prio = afterPrio(bytes, pid, end);
    if (prio < 0 || !endsWell(bytes, prio, end)) continue;
    payload.nextFrom = from;
    payload.nextTo = to;
    payload.nextPid = numberIn(bytes, to + 1, pid);
    return true;
  }
  return false;
}

function afterPid(bytes: Uint8Array, at: number, end: number): number {
  const to = afterNumber(bytes, at, end, COLON);
  return to > 0 && isDigit(bytes[at + 1]) ? to : -1;
}

function afterPrio(bytes: Uint8Array, at: number, end: number): number {
  const to = afterNumber(bytes, at, end, PRIO);
  return to > 0 && isAt(bytes, to, end, PRIO_END) ? to + 1 : -1;
}

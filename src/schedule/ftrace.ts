/**
 * Reads recorded schedules: ftrace text, in every form that the usual tools print, becomes a list
 * of sched_switch events. Other events are skipped.
 *
 * Forms understood: /sys/kernel/tracing/trace and trace_pipe (with or without the flags and TGID
 * columns), `trace-cmd report` (with or without -R, flags and -t), the form of older trace-cmd
 * versions (no `==>`, numeric prev_state), `perf script`, and converters that print one of these.
 * Not understood: the latency format (`trace-cmd report -l`), clocks that count ticks.
 */
import { constants } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** One sched_switch event: `cpu` stopped running the thread `prev` and began to run `next`. */
export interface SchedSwitch {
  /** Line in the text, from 1. */
  readonly line: number;
  readonly cpu: number;
  /** Nanoseconds on the clock of the recording; a text with 6 decimals gives whole microseconds. */
  readonly time_ns: bigint;
  readonly prev_comm: string;
  /** Thread id (the kernel's pid); 0 is the idle thread of any CPU. */
  readonly prev_pid: number;
  readonly next_comm: string;
  readonly next_pid: number;
  /** True when the recorder lost events of this CPU between its previous event and this one. */
  readonly after_lost: boolean;
}

/** A mistake in a recording or in how it is used; the message says where, what and what to do. */
export class TraceError extends Error {
  override readonly name: string = 'TraceError';
  readonly file: string;
  /** From 1; 0 when the whole file is meant. */
  readonly line: number;

  constructor(file: string, line: number, what: string) {
    super(line === 0 ? `${file}: ${what}` : `${file}:${line}: ${what}`);
    this.file = file;
    this.line = line;
  }
}

/**
 * The part of a line before the payload. It is found by the pid that stands right before the CPU,
 * since a thread name may hold anything, brackets and colons included. The groups are CPU,
 * seconds, decimals, event name and payload.
 */
const EVENT: RegExp = new RegExp(
  [
    // The pid, or perf's pid/tid; then the TGID column, or the flags where newer perf puts them.
    String.raw`(?:^|[\s-])\d+(?:\/\d+)?\s+(?:\([\s\d-]+\)\s+|[a-zA-Z.]\S*\s+)?`,
    // The CPU, the flags, the time; a clock that counts ticks has no decimals.
    String.raw`\[(\d+)\]\s+(?:\S+\s+)?(\d+)(?:\.(\d{1,9}))?:\s+`,
    // A period, as perf may print it; the event, with its subsystem in perf; the payload.
    String.raw`(?:\d+\s+)?([\w:.-]+):(?:\s+(.*))?$`,
  ].join(''),
  's',
);

/**
 * Payload of the kernel's own format, and of -R, which leaves `==>` out. A thread name has at most
 * 15 characters (TASK_COMM_LEN is 16); without that bound, two lines that were run together by a
 * lost line end would pass for one with a very long name.
 */
const FIELDS: RegExp = new RegExp(
  [
    String.raw`^prev_comm=(.{0,15}) prev_pid=(\d+) prev_prio=-?\d+ prev_state=\S+(?: ==>)?`,
    String.raw` next_comm=(.{0,15}) next_pid=(\d+) next_prio=-?\d+\s*$`,
  ].join(''),
  's',
);

/** Payload of trace-cmd report, by libtraceevent: `comm:pid [prio] S ==> comm:pid [prio]`. */
const COMPACT: RegExp = /^(.{0,15}):(\d+) \[-?\d+\] \S+ ==> (.{0,15}):(\d+) \[-?\d+\]\s*$/s;

/** A line that can only be meant as this event; a symbol such as perf_trace_sched_switch is not. */
const MENTION: RegExp = /(?<!\w)sched_switch(?::|\s*$)/;

/** `#P:2` of the kernel and `cpus=2` of trace-cmd. */
const CPU_COUNT: RegExp = /^#.*#P:(\d+)|^cpus=(\d+)\s*$/;

/** Lost events as tracefs and trace-cmd report them. */
const LOST: RegExp = /^\s*CPU:(\d+) \[(?:LOST(?: \d+)? EVENTS?|(?:\d+ )?EVENTS DROPPED)\]/;

/** Lost events as perf script reports them, with --show-lost-events; the CPU may be missing. */
const PERF_LOST: RegExp = /(?:\[(\d+)\] .*: |^\s*)PERF_RECORD_LOST\b/;

/** What the lines so far said that bears on the lines to come. */
interface Context {
  readonly file: string;
  /** Number of CPUs according to the header; 0 before or without one. */
  cpu_count: number;
  cpu_count_line: number;
  /** Line of the latest loss per CPU, and of the latest loss that named no CPU. */
  readonly lost_line: Map<number, number>;
  lost_line_any: number;
  /** Line of the latest sched_switch per CPU. */
  readonly switch_line: Map<number, number>;
}

/**
 * Parses ftrace text.
 *
 * @param text - lines that end in LF or CRLF.
 * @param file - the name that error messages show.
 * @returns the sched_switch events in the order of the text; empty when there is none.
 * @throws TraceError for a sched_switch line that cannot be read, a CPU number beyond the count
 * in the header, and a clock without decimals.
 */
export function parseFtrace(text: string, file: string): SchedSwitch[] {
  const context: Context = {
    file,
    cpu_count: 0,
    cpu_count_line: 0,
    lost_line: new Map(),
    lost_line_any: 0,
    switch_line: new Map(),
  };
  const switches: SchedSwitch[] = [];
  // A byte order mark would hide the header, which is what the first line often is.
  let start = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  for (let line = 1; start < text.length; line++) {
    const newline = text.indexOf('\n', start);
    const end = newline === -1 ? text.length : newline;
    // The CR of a CRLF stays: the patterns allow white space at the end of a line.
    const event = parseLine(text.slice(start, end), line, context);
    if (event !== undefined) switches.push(event);
    start = end + 1;
  }
  return switches;
}

/** Returns the event, or undefined for every line that is not a sched_switch. */
function parseLine(text: string, line: number, context: Context): SchedSwitch | undefined {
  if (text.startsWith('#') || text.startsWith('cpus=')) {
    readHeader(text, line, context);
    return undefined;
  }
  if (!text.includes('sched_switch')) {
    readLoss(text, line, context);
    return undefined;
  }
  const match = EVENT.exec(text);
  if (match === null) {
    if (MENTION.test(text)) throw unreadable(text, line, context);
    return undefined;
  }
  const [, cpu, seconds, decimals, event, payload] = match;
  if (event !== 'sched_switch' && event !== 'sched:sched_switch') return undefined;
  const threads = FIELDS.exec(payload ?? '') ?? COMPACT.exec(payload ?? '');
  if (threads === null) throw unreadable(text, line, context);
  const [, prev_comm = '', prev_pid, next_comm = '', next_pid] = threads;
  if (decimals === undefined) {
    throw new TraceError(
      context.file,
      line,
      `the time ${seconds} has no decimals, so this clock counts ticks instead of seconds; ` +
        `record with a clock in seconds, for example trace-cmd record -C mono`,
    );
  }
  const cpu_number = Number(cpu);
  checkCpu(cpu_number, line, context);
  const lost = Math.max(context.lost_line.get(cpu_number) ?? 0, context.lost_line_any);
  const after_lost = lost > (context.switch_line.get(cpu_number) ?? 0);
  context.switch_line.set(cpu_number, line);
  return {
    line,
    cpu: cpu_number,
    time_ns: BigInt(seconds ?? '') * 1_000_000_000n + BigInt(decimals.padEnd(9, '0')),
    prev_comm,
    prev_pid: Number(prev_pid),
    next_comm,
    next_pid: Number(next_pid),
    after_lost,
  };
}

/** Takes the number of CPUs from a header line; a text with several headers has the latest. */
function readHeader(text: string, line: number, context: Context): void {
  const match = CPU_COUNT.exec(text);
  if (match === null) return;
  context.cpu_count = Number(match[1] ?? match[2]);
  context.cpu_count_line = line;
}

/** Notes where events were lost, so that a gap is not taken for a contradiction later. */
function readLoss(text: string, line: number, context: Context): void {
  const by_perf = text.includes('PERF_RECORD_LOST');
  const match = by_perf ? PERF_LOST.exec(text) : LOST.exec(text);
  if (match === null) return;
  if (match[1] === undefined) context.lost_line_any = line;
  else context.lost_line.set(Number(match[1]), line);
}

/** Checks a CPU number against the header; `#P` counts online CPUs only, hence the advice. */
function checkCpu(cpu: number, line: number, context: Context): void {
  const count = context.cpu_count;
  if (count === 0 || cpu < count) return;
  throw new TraceError(
    context.file,
    line,
    `unknown CPU ${cpu}: line ${context.cpu_count_line} says that the recording has ${count} ` +
      `CPU${count === 1 ? '' : 's'} (0 to ${count - 1}); if CPUs were offline while recording, ` +
      `raise the number in line ${context.cpu_count_line}, else record again`,
  );
}

/** The error for a line that names the event and yet cannot be read. */
function unreadable(text: string, line: number, context: Context): TraceError {
  const shown = text.trim();
  const excerpt = shown.length > 60 ? `${shown.slice(0, 30)} ... ${shown.slice(-25)}` : shown;
  return new TraceError(
    context.file,
    line,
    `this sched_switch line is cut off or of an unknown form: "${excerpt}"; delete it if it is ` +
      `the last one, else print the recording again with trace-cmd report or perf script`,
  );
}

/** A recording as text, and the name under which messages speak of it. */
export interface FtraceText {
  readonly file: string;
  readonly text: string;
}

const GZIP_MAGIC: Buffer = Buffer.from([0x1f, 0x8b]);
const TRACE_DAT_MAGIC: Buffer = Buffer.from('\x17\x08\x44tracing', 'latin1');
const PERF_DATA_MAGIC: Buffer = Buffer.from('PERFILE2', 'latin1');

/**
 * Reads a recording from a file; gzip is recognised by its first bytes, whatever the name.
 *
 * @throws TraceError when the file cannot be read, is empty, or is no text: a binary trace.dat or
 * perf.data is named as such, with the command that prints it.
 */
export function readFtraceFile(path: string): FtraceText {
  const bytes = unpack(readBytes(path), path);
  if (startsWith(bytes, TRACE_DAT_MAGIC)) {
    throw new TraceError(
      path,
      0,
      'this is a binary trace.dat; run: trace-cmd report trace.dat > trace.txt',
    );
  }
  if (startsWith(bytes, PERF_DATA_MAGIC)) {
    throw new TraceError(
      path,
      0,
      'this is a binary perf.data; run: perf script -i perf.data > trace.txt',
    );
  }
  if (bytes.includes(0)) {
    throw new TraceError(
      path,
      0,
      'this is no text (it holds NUL bytes); give the output of trace-cmd report or perf script, ' +
        'in UTF-8',
    );
  }
  const text = bytes.toString('utf8');
  if (text.trim() === '') {
    throw new TraceError(path, 0, 'the file is empty; record the event sched:sched_switch');
  }
  return { file: path, text };
}

function startsWith(bytes: Buffer, magic: Buffer): boolean {
  return bytes.subarray(0, magic.length).equals(magic);
}

/** Reads the raw bytes; the operating system's error becomes a sentence. */
function readBytes(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file; check the path',
      EISDIR: 'this is a directory; give a file of ftrace text',
      EACCES: 'no permission to read this file; change its mode or copy it',
      ERR_FS_FILE_TOO_LARGE: 'the file is larger than 2 GiB; keep only its sched_switch lines',
    };
    throw new TraceError(path, 0, reasons[code] ?? `the file cannot be read (${String(error)})`);
  }
}

/** Undoes gzip; the bound on the output is what one JavaScript string can hold. */
function unpack(bytes: Buffer, path: string): Buffer {
  const limit = constants.MAX_STRING_LENGTH;
  const too_large = 'the text is larger than 512 MiB; keep only its sched_switch lines';
  if (!startsWith(bytes, GZIP_MAGIC)) {
    if (bytes.length > limit) throw new TraceError(path, 0, too_large);
    return bytes;
  }
  try {
    return gunzipSync(bytes, { maxOutputLength: limit });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new TraceError(path, 0, too_large);
    throw new TraceError(
      path,
      0,
      `the gzip data is damaged or cut off (${code}); copy the file again`,
    );
  }
}

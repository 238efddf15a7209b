/**
 * Reads the text of a recording as it comes, in chunks of any size, and keeps what is asked of it:
 * sched_switch, kvm_entry, kvm_exit, and accesses to MSRs. Other events are skipped.
 */
import { TraceError, excerpt } from './trace_error.js';
import { type BabeltraceLine, isUntimed, lttngSwitch, readBabeltrace } from './babeltrace.js';
import { find, isAt, isDigit, latin1, skipBlanks, utf8, word } from './bytes.js';
import { findHead, Head, isLossRecord } from './head.js';
import { HtmlLines } from './html.js';
import { Kept } from './kept.js';
import {
  hostMsrIn,
  KvmPayload,
  kvmMsrIn,
  readKvm,
  reasonIn,
  shownPayload,
  vcpuIn,
} from './kvm_payload.js';
import { readSwitch, SwitchPayload } from './switch_payload.js';
import type { Thread } from './threads.js';

/** How a recording is to be read. */
export interface TextOptions {
  /** Which of several machines; see `trace-cmd report` of several files. */
  readonly machine?: string;
  /** Keeps the last sched_switch events alone, this many. */
  readonly last?: number;
  /** Tells vCPUs by the name of their thread; by default the names of known programs. */
  readonly isVcpu?: (comm: string) => boolean;
}

/** What prints a line. */
export type Form = 'ftrace' | 'latency' | 'perf script' | 'babeltrace' | 'systrace HTML';

/** No event has a longer line; viewers of HTML have, with their code in it. */
const LINE_MAX = 16_384;

const NEWLINE = 0x0a;
const HASH = 0x23;
const LEFT = 0x5b;

const SCHED_SWITCH = word('sched_switch');
const KVM_ENTRY = word('kvm_entry');
const KVM_EXIT = word('kvm_exit');
const KVM_MSR = word('kvm_msr');
const WRITE_MSR = word('write_msr');
const READ_MSR = word('read_msr');
const PERF_TRACE = word('sched_switch(prev_comm: ');
const COLON = 0x3a;
/** What ends each line of a JavaScript string. */
const STRING_END = word('\\n\\');

/** Lost events as tracefs and trace-cmd report them. */
const LOST: RegExp = new RegExp(
  [
    String.raw`^\s{0,40}(?:(\S{1,80}):\s{1,40})?CPU:(\d{1,5}) `,
    String.raw`\[(?:LOST(?: \d{1,12})? EVENTS?|(?:\d{1,12} )?EVENTS DROPPED)\]`,
  ].join(''),
);
/** As perf and babeltrace do, without a CPU. */
const LOST_ANYWHERE =
  /^\s{0,40}(?:PERF_RECORD_LOST\b|\[warning\] Tracer discarded \d|WARNING: Tracer discarded \d)/;

export class TextReader {
  readonly file: string;
  readonly kept: Kept;
  /** What has printed the latest sched_switch. */
  form: Form = 'ftrace';
  private line = 0;
  private first = true;
  private readonly html: HtmlLines = new HtmlLines();
  private readonly head: Head = new Head();
  private readonly payload: SwitchPayload = new SwitchPayload();
  private readonly kvm: KvmPayload = new KvmPayload();
  /** A line that began in an earlier chunk. */
  private readonly carry: Buffer = Buffer.alloc(LINE_MAX);
  private carried = 0;
  /** Whether the line is longer than any event's. */
  private tooLong = false;

  constructor(file: string, options: TextOptions = {}) {
    this.file = file;
    this.kept = new Kept(file, options);
  }

  /** Number of lines that were read. */
  get lines(): number {
    return this.line;
  }

  /** Reads on. @throws TraceError for a line that can't be read. */
  feed(chunk: Buffer): void {
    if (chunk.includes(0)) {
      throw new TraceError(
        this.file,
        0,
        'this is no text (it holds NUL bytes); give the output of trace-cmd report or perf ' +
          'script, in UTF-8',
      );
    }
    let from = 0;
    for (;;) {
      const to = chunk.indexOf(NEWLINE, from);
      if (to < 0) break;
      if (this.carried > 0 || this.tooLong) {
        this.carryOver(chunk, from, to);
        this.endCarried();
      } else if (to - from < LINE_MAX) {
        this.readLine(chunk, from, to);
      } else {
        this.line++;
      }
      from = to + 1;
    }
    this.carryOver(chunk, from, chunk.length);
  }

  private carryOver(chunk: Buffer, from: number, to: number): void {
    if (this.carried + to - from > LINE_MAX) this.tooLong = true;
    if (this.tooLong) return;
    chunk.copy(this.carry, this.carried, from, to);
    this.carried += to - from;
  }

  private endCarried(): void {
    if (this.tooLong) this.line++;
    else this.readLine(this.carry, 0, this.carried);
    this.carried = 0;
    this.tooLong = false;
  }

  /** Reads a last line without an end. @param cut - it was cut by whoever ended the reading. */
  end(cut: boolean): void {
    if (!cut && this.carried > 0) this.endCarried();
  }

  private readLine(bytes: Buffer, start: number, stop: number): void {
    this.line++;
    let [from, end] = [start, stop];
    if (this.first) {
      this.first = false;
      // A byte order mark.
      if (bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf) from += 3;
      this.html.begin(bytes, from, end);
    }
    if (this.html.isPage) {
      if (!this.html.holdsEvent(bytes, from, end)) return;
      if (isAt(bytes, end - STRING_END.length, end, STRING_END)) end -= STRING_END.length;
    }
    if (end === from || bytes[from] === HASH) return;
    if (bytes[from] === LEFT && isDigit(bytes[from + 1]) && this.readLttng(bytes, from, end))
      return;
    if (findHead(bytes, from, end, this.head)) this.readEvent(bytes, from, end);
    else this.readOther(bytes, from, end);
  }

  private readEvent(bytes: Buffer, from: number, end: number): void {
    const { head } = this;
    const { nameFrom, nameTo, payload } = head;
    const length = nameTo - nameFrom;
    if (length === SCHED_SWITCH.length && isAt(bytes, nameFrom, nameTo, SCHED_SWITCH)) {
      this.readSwitch(bytes, from, end);
    } else if (length === KVM_ENTRY.length && isAt(bytes, nameFrom, nameTo, KVM_ENTRY)) {
      if (this.beginEvent(bytes)) {
        readKvm(bytes, payload, end, false, this.kvm);
        this.kept.kvmEntry(this.pid(), this.kvm.vcpu);
      }
    } else if (length === KVM_EXIT.length && isAt(bytes, nameFrom, nameTo, KVM_EXIT)) {
      if (this.beginEvent(bytes)) {
        readKvm(bytes, payload, end, true, this.kvm);
        this.kept.kvmExit(this.pid(), this.kvm.vcpu, this.kvm.reason);
      }
    } else if (length === KVM_MSR.length && isAt(bytes, nameFrom, nameTo, KVM_MSR)) {
      const msr = kvmMsrIn(shownPayload(bytes, payload, end));
      if (msr !== null && this.beginEvent(bytes))
        this.kept.msr(this.pid(), head.cpu, msr, true, this.line);
    } else if (
      isAt(bytes, nameFrom, nameTo, WRITE_MSR) ||
      isAt(bytes, nameFrom, nameTo, READ_MSR)
    ) {
      const write = bytes[nameFrom] === WRITE_MSR[0];
      const msr = hostMsrIn(shownPayload(bytes, payload, end), write);
      if (msr !== null && this.beginEvent(bytes))
        this.kept.msr(this.pid(), head.cpu, msr, false, this.line);
    } else if (isLossRecord(bytes, head)) {
      this.kept.lost(head.cpu, '');
    }
  }

  private pid(): number {
    return this.head.pid >= 0 ? this.head.pid : this.kept.running(this.head.cpu);
  }

  /** Takes the time of the head. Returns whether the event is of the machine that is read. */
  private beginEvent(bytes: Buffer): boolean {
    const { head, kept } = this;
    const { machineFrom, machineTo } = head;
    const machine = machineTo > machineFrom ? utf8(bytes, machineFrom, machineTo) : '';
    if (!kept.isOf(machine)) return false;
    const micro = head.unit === 'microseconds';
    kept.at(
      micro ? Math.floor(head.time / 1e6) : head.time,
      micro ? (head.time % 1e6) * 1000 : head.nanos,
    );
    return true;
  }

  private readSwitch(bytes: Buffer, from: number, end: number): void {
    const { head, payload, kept, line } = this;
    if (!readSwitch(bytes, head.payload, end, payload)) throw this.unreadable(bytes, from, end);
    this.refuseForm(bytes, from, end);
    if (!this.beginEvent(bytes)) return;
    const { prevPid, nextPid } = payload;
    const prev = kept.threads.named(prevPid, bytes, payload.prevFrom, payload.prevTo);
    const next = kept.threads.named(nextPid, bytes, payload.nextFrom, payload.nextTo);
    if (head.tgid >= 0 && head.pid === prevPid) prev.tgid = head.tgid;
    kept.switch(line, head.cpu, prev, next);
    if (this.html.isPage) this.form = 'systrace HTML';
    else if (bytes[head.nameFrom - 1] === COLON) this.form = 'perf script';
    else this.form = head.unit === 'microseconds' ? 'latency' : 'ftrace';
  }

  /** Refuses what lacks the CPU or a time, and says how to have it printed. */
  private refuseForm(bytes: Buffer, from: number, end: number): void {
    const { head, file, line } = this;
    if (head.cpu < 0) {
      throw new TraceError(
        file,
        line,
        'this text of perf script has no CPU column; print it again with the field cpu: ' +
          'perf script -F +cpu (or in full: -F comm,pid,tid,cpu,time,event,trace)',
      );
    }
    if (head.unit === 'ticks') {
      throw new TraceError(
        file,
        line,
        `the time ${latin1(bytes, from, end).match(/(\d{1,24}):\s/)?.[1] ?? ''} has no decimals, ` +
          'so it counts ticks instead of seconds: print it again with trace-cmd report without ' +
          '--raw-ts; if that has no decimals either, record with a clock in seconds, for example ' +
          'trace-cmd record -C mono',
      );
    }
    if (
      head.time >= 1e15 ||
      this.payload.prevPid > 0xffffffff ||
      this.payload.nextPid > 0xffffffff
    ) {
      throw this.unreadable(bytes, from, end);
    }
  }

  /** Reads a line of babeltrace. Returns false for a line of another form. */
  private readLttng(bytes: Buffer, from: number, end: number): boolean {
    const text = utf8(bytes, from, end);
    const event = readBabeltrace(text);
    if (event === null) {
      if (isUntimed(text)) throw this.untimed();
      return false;
    }
    const { kept } = this;
    const { name, cpu, rest } = event;
    if (name === 'sched_switch') this.lttngSwitch(event);
    else if (/^kvm_(?:x86_)?entry$/.test(name)) {
      kept.at(...kept.clock(event));
      kept.kvmEntry(event.tid >= 0 ? event.tid : kept.running(cpu), vcpuIn(rest));
    } else if (/^kvm_(?:x86_)?exit$/.test(name)) {
      kept.at(...kept.clock(event));
      kept.kvmExit(event.tid >= 0 ? event.tid : kept.running(cpu), vcpuIn(rest), reasonIn(rest));
    }
    return true;
  }

  private lttngSwitch(event: BabeltraceLine): void {
    const { kept } = this;
    const threads = lttngSwitch(event.rest);
    if (threads === null) throw this.unreadableText(event.rest);
    kept.at(...kept.clock(event));
    const thread = (pid: number, comm: string): Thread => {
      const bytes = Buffer.from(comm);
      return kept.threads.named(pid, bytes, 0, bytes.length);
    };
    const prev = thread(threads.prevPid, threads.prevComm);
    const next = thread(threads.nextPid, threads.nextComm);
    kept.switch(this.line, event.cpu, prev, next);
    this.form = 'babeltrace';
  }

  private untimed(): TraceError {
    return new TraceError(
      this.file,
      this.line,
      'this text of babeltrace has no times in seconds; print it again without --clock-cycles ' +
        'and with times: babeltrace2 --clock-seconds TRACE',
    );
  }

  /** Reads what is no event: lost events, and lines that have gone wrong. */
  private readOther(bytes: Buffer, from: number, end: number): void {
    const at = skipBlanks(bytes, from, end);
    const first = bytes[at];
    // `CPU:0 [LOST ...`, `host.dat: CPU:0 ...`, PERF_RECORD_LOST, `[warning] ...`, `WARNING: ...`.
    if (
      end - at < 400 &&
      (first === 0x43 || find(bytes, at, Math.min(end, at + 120), LOST_WORD) >= 0)
    ) {
      const text = latin1(bytes, from, end);
      const match = LOST.exec(text);
      if (match !== null) this.kept.lost(Number(match[2]), match[1] ?? '');
    }
    if (first === 0x50 || first === LEFT || first === 0x57) {
      if (LOST_ANYWHERE.test(latin1(bytes, from, Math.min(end, from + 80)))) this.kept.lost(-1, '');
    }
    const mention = find(bytes, from, end, SCHED_SWITCH);
    if (mention < 0) return;
    if (find(bytes, mention, end, PERF_TRACE) >= 0) {
      throw new TraceError(
        this.file,
        this.line,
        'this is the text of perf trace, which has no CPU; record with ' +
          'perf record -a -e sched:sched_switch and print with ' +
          'perf script -F comm,pid,tid,cpu,time,event,trace',
      );
    }
    const text = utf8(bytes, from, end);
    if (isUntimed(text)) throw this.untimed();
    if (MENTION.test(text)) throw this.unreadable(bytes, from, end);
  }

  /** The error for a line that names the event and yet cannot be read. */
  private unreadable(bytes: Buffer, from: number, end: number): TraceError {
    return this.unreadableText(utf8(bytes, from, end));
  }

  private unreadableText(text: string): TraceError {
    return new TraceError(
      this.file,
      this.line,
      `this sched_switch line is cut off or of an unknown form: "${excerpt(text)}"; delete it ` +
        'if it is the last one, else print the recording again with trace-cmd report or ' +
        'perf script',
    );
  }
}

const LOST_WORD = word(' CPU:');

/** A line that can only be meant as this event; a symbol such as perf_trace_sched_switch is not. */
const MENTION = /(?<!\w)sched_switch(?::|\s*$)/;

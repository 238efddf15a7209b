/** Recordings for tests: events, and how each tool prints them. */

/** One sched_switch. */
export interface Switch {
  readonly cpu: number;
  /** Nanoseconds. */
  readonly time: number;
  readonly prevComm: string;
  readonly prevPid: number;
  readonly nextComm: string;
  readonly nextPid: number;
}

/** The format in which a tool prints an event. */
export interface Form {
  readonly name: string;
  /** Nanoseconds that a text can tell apart. */
  readonly grain: 1 | 1000;
  /** In a compact payload, blanks at the beginning of a name look like padding. */
  readonly compact?: boolean;
  readonly before?: readonly string[];
  readonly after?: readonly string[];
  /** The first line is the event's; others may follow. */
  print(event: Switch, state: string): string[];
}

function clockTime({ time: ns }: Switch, decimals: 6 | 9): string {
  const fraction = String(ns % 1e9).padStart(9, '0');
  return `${Math.trunc(ns / 1e9)}.${fraction.slice(0, decimals)}`.padStart(12);
}

const cpu = (e: Switch): string => `[${String(e.cpu).padStart(3, '0')}]`;
const task = (e: Switch): string => (e.prevPid === 0 ? '<idle>' : e.prevComm);

function fields(e: Switch, state: string, arrow = ' ==>', more = ''): string {
  return (
    `prev_comm=${e.prevComm} prev_pid=${e.prevPid} prev_prio=120 prev_state=${state}${arrow} ` +
    `next_comm=${e.nextComm} next_pid=${e.nextPid} next_prio=-1${more}`
  );
}

function compact(e: Switch, state: string): string {
  return `${e.prevComm}:${e.prevPid} [120] ${state} ==> ${e.nextComm}:${e.nextPid} [98]`;
}

/** The head of ftrace and trace-cmd lines: `comm-pid`, then the given columns. */
function head(e: Switch, columns: string, decimals: 6 | 9, colon = ':'): string {
  const thread = `${task(e).padStart(16)}-${String(e.prevPid).padEnd(7)}`;
  return `${thread} ${columns} ${clockTime(e, decimals)}${colon} sched_switch:`;
}

/** A line as the kernel prints it in the file `trace`. */
export function ftraceLine(e: Switch, state = 'S'): string {
  return `${head(e, `${cpu(e)} d..2.`, 6)} ${fields(e, state)}`;
}

const clock = (e: Switch): string => {
  const seconds = Math.trunc(e.time / 1e9);
  const part = (n: number): string => String(n % 60).padStart(2, '0');
  const hour = String(Math.trunc(seconds / 3600) % 24).padStart(2, '0');
  const nanos = String(e.time % 1e9).padStart(9, '0');
  return `[${hour}:${part(Math.trunc(seconds / 60))}:${part(seconds)}.${nanos}]`;
};

const perfHead = (e: Switch): string =>
  `${e.prevComm.padStart(16)} ${String(e.prevPid).padStart(5)}`;

export const FORMS: readonly Form[] = [
  { name: 'tracefs', grain: 1000, print: (e, s) => [ftraceLine(e, s)] },
  {
    name: 'tracefs of a kernel with more fields',
    grain: 1000,
    print: (e, s) => [`${ftraceLine(e, s)} expected_state=0 next_info=0x0`],
  },
  {
    name: 'tracefs without flags, 9 decimals',
    grain: 1,
    print: (e, s) => [`${head(e, cpu(e), 9)} ${fields(e, s)}`],
  },
  {
    name: 'tracefs with TGIDs',
    grain: 1000,
    print: (e, s) => [`${head(e, `(  ${e.prevPid}) ${cpu(e)} d...`, 6)} ${fields(e, s)}`],
  },
  {
    name: 'the text of Perfetto, with unknown TGIDs',
    grain: 1,
    print: (e, s) => [`${head(e, `(-----) ${cpu(e)} d..2.`, 9)} ${fields(e, s)}`],
  },
  {
    name: 'the latency format of tracefs',
    grain: 1000,
    print: (e, s) => [
      `${task(e).padStart(16)}-${String(e.prevPid).padEnd(5)} ${String(e.cpu).padStart(3)}d..2. ` +
        `${String(e.time / 1000).padStart(4)}us!: sched_switch: ${fields(e, s)}`,
    ],
  },
  {
    name: 'trace-cmd report',
    grain: 1000,
    compact: true,
    print: (e, s) => [`${head(e, cpu(e), 6)}         ${compact(e, s)}`],
  },
  {
    name: 'trace-cmd report -t with flags',
    grain: 1,
    compact: true,
    print: (e, s) => [`${head(e, `${cpu(e)} d..2.`, 9)}         ${compact(e, s)}`],
  },
  {
    name: 'trace-cmd report -R',
    grain: 1000,
    print: (e) => [`${head(e, cpu(e), 6)}         ${fields(e, '0x1', '')}`],
  },
  {
    name: 'trace-cmd report -l',
    grain: 1000,
    print: (e, s) => [`${head(e, `${String(e.cpu).padStart(3)}d..2.`, 6)} ${fields(e, s)}`],
  },
  {
    name: 'trace-cmd report --ts-diff',
    grain: 1000,
    print: (e, s) => [
      `${head(e, cpu(e), 6).replace(/ sched_switch:$/, '')} (+12)    sched_switch: ${fields(e, s)}`,
    ],
  },
  {
    name: 'trace-cmd report --ts-diff, with the difference before the colon',
    grain: 1000,
    print: (e, s) => [`${head(e, cpu(e), 6, ' (+1234)  :')} ${fields(e, s)}`],
  },
  {
    name: 'an older trace-cmd report',
    grain: 1000,
    print: (e) => [`${head(e, cpu(e), 6)}          ${fields(e, '4096', '')}`],
  },
  {
    name: 'perf script',
    grain: 1000,
    print: (e, s) => [
      `${perfHead(e)} ${cpu(e)} ${clockTime(e, 6)}: sched:sched_switch: ${fields(e, s)}`,
    ],
  },
  {
    name: 'perf script with flags before the CPU',
    grain: 1000,
    compact: true,
    print: (e, s) => [
      `${perfHead(e)} d..2. ${cpu(e)} ${clockTime(e, 6)}: sched:sched_switch: ${compact(e, s)}`,
    ],
  },
  {
    name: 'perf script -F cpu,time,event,trace',
    grain: 1000,
    print: (e, s) => [`${cpu(e)} ${clockTime(e, 6)}:     sched:sched_switch: ${fields(e, s)}`],
  },
  {
    name: 'perf script --ns -F +pid,+period with call chains',
    grain: 1,
    print: (e, s) => [
      `${e.prevComm} ${e.prevPid}/${e.prevPid}  ${cpu(e)} ${clockTime(e, 9)}:          1 ` +
        `sched:sched_switch: ${fields(e, s)}`,
      '\tffffffff82265ec8 perf_trace_sched_switch+0x628 ([kernel.kallsyms])',
      '',
    ],
  },
  {
    name: 'systrace HTML',
    grain: 1000,
    before: [
      '<!DOCTYPE html>',
      '<html>',
      '<script>var a = "x-1 [000] d..2. 1.0: sched_switch: in the code of the viewer";</script>',
      '<script class="trace-data" type="application/text">',
      '# tracer: nop',
    ],
    after: ['  </script>', '<p>x-1 [000] 9.0: sched_switch: cut</p>', '</html>'],
    print: (e, s) => [ftraceLine(e, s)],
  },
  {
    name: 'systrace HTML of older versions',
    grain: 1000,
    before: ['<!DOCTYPE HTML>', '<html>', '  <script>', '  var linuxPerfData = "\\'],
    after: ['\\n";', '  </script>', '</html>'],
    print: (e, s) => [`${ftraceLine(e, s)}\\n\\`],
  },
  {
    name: 'babeltrace of LTTng',
    grain: 1,
    print: (e, s) => [
      `${clock(e)} (+0.000012843) prod-web-01 sched_switch: { cpu_id = ${e.cpu} }, ` +
        `{ vpid = 4521, procname = "nginx" }, { prev_comm = "${e.prevComm}", ` +
        `prev_tid = ${e.prevPid}, prev_prio = 20, ` +
        `prev_state = ( "${s}" : container = 0 ), next_comm = "${e.nextComm}", ` +
        `next_tid = ${e.nextPid}, next_prio = 20 }`,
    ],
  },
];

/** A text in a form. */
export function printed(form: Form, events: readonly Switch[], state = 'S'): string[] {
  const lines = events.flatMap((event) => form.print(event, state));
  return [...(form.before ?? []), ...lines, ...(form.after ?? [])];
}

/** Thread names of hand-written recordings, by pid. Any other pid has the name `other`. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'swapper/0'],
  [50, 'qemu-system-x86'],
  [60, 'qemu-system-x86'],
  [61, 'qemu-system-x86'],
  [100, 'CPU 0/KVM'],
  [101, 'CPU 1/KVM'],
  [200, 'CPU 0/KVM'],
  [201, 'CPU 1/KVM'],
]);

export function nameOf(pid: number): string {
  return NAMES.get(pid) ?? 'other';
}

/** Prints a recording, an event a microsecond. A row is `cpu prev next`, or a whole line. */
export function record(rows: readonly string[]): string {
  const lines = rows.map((row, i) => {
    const match = /^(\d+) (\d+) (\d+)$/.exec(row);
    if (match === null) return row;
    const [, cpuNumber, prevPid, nextPid] = match.map(Number);
    const time = 5e9 + i * 1000;
    const [prevComm, nextComm] = [nameOf(prevPid), nameOf(nextPid)];
    return ftraceLine({ cpu: cpuNumber, time, prevComm, prevPid, nextComm, nextPid });
  });
  return lines.join('\n');
}

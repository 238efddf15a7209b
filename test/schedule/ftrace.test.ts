import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SchedSwitch } from '../../src/schedule/ftrace.js';
import { parseFtrace, readFtraceFile, TraceError } from '../../src/schedule/ftrace.js';

const EXAMPLE = new URL('../../examples/two-vms-one-cpu/host.txt.gz', import.meta.url).pathname;

/** The format in which a tool prints an event, with its number of decimals. */
interface Form {
  readonly name: string;
  readonly decimals: 6 | 9;
  /** In the compact payload, padding looks like leading spaces of a name. */
  readonly compact: boolean;
  print(event: SchedSwitch, state: string): string[];
}

function time(event: SchedSwitch, decimals: 6 | 9): string {
  const fraction = String(event.time_ns % 1_000_000_000n).padStart(9, '0');
  return `${event.time_ns / 1_000_000_000n}.${fraction.slice(0, decimals)}`.padStart(12);
}

function head(event: SchedSwitch): string {
  return event.prev_pid === 0 ? '<idle>' : event.prev_comm;
}

function cpu(event: SchedSwitch): string {
  return `[${String(event.cpu).padStart(3, '0')}]`;
}

function fields(event: SchedSwitch, state: string, arrow: string): string {
  return (
    `prev_comm=${event.prev_comm} prev_pid=${event.prev_pid} prev_prio=120 prev_state=${state}` +
    `${arrow} next_comm=${event.next_comm} next_pid=${event.next_pid} next_prio=-1`
  );
}

function compact(event: SchedSwitch, state: string): string {
  return (
    `${event.prev_comm}:${event.prev_pid} [120] ${state} ==> ` +
    `${event.next_comm}:${event.next_pid} [98]`
  );
}

/** The head of ftrace and trace-cmd lines: `comm-pid`, then the given columns. */
function ftraceHead(event: SchedSwitch, columns: string, decimals: 6 | 9): string {
  const task = `${head(event).padStart(16)}-${String(event.prev_pid).padEnd(7)}`;
  return `${task} ${columns} ${time(event, decimals)}: sched_switch:`;
}

const FORMS: readonly Form[] = [
  {
    name: '/sys/kernel/tracing/trace',
    decimals: 6,
    compact: false,
    print: (e, s) => [`${ftraceHead(e, `${cpu(e)} d..2.`, 6)} ${fields(e, s, ' ==>')}`],
  },
  {
    name: '/sys/kernel/tracing/trace without flags, 9 decimals',
    decimals: 9,
    compact: false,
    print: (e, s) => [`${ftraceHead(e, cpu(e), 9)} ${fields(e, s, ' ==>')}`],
  },
  {
    name: '/sys/kernel/tracing/trace with TGIDs',
    decimals: 6,
    compact: false,
    print: (e, s) => [
      `${ftraceHead(e, `(  ${e.prev_pid}) ${cpu(e)} d...`, 6)} ${fields(e, s, ' ==>')}`,
    ],
  },
  {
    name: '/sys/kernel/tracing/trace with unknown TGIDs',
    decimals: 6,
    compact: false,
    print: (e, s) => [`${ftraceHead(e, `(-------) ${cpu(e)} d...`, 6)} ${fields(e, s, ' ==>')}`],
  },
  {
    name: 'trace-cmd report',
    decimals: 6,
    compact: true,
    print: (e, s) => [`${ftraceHead(e, cpu(e), 6)}         ${compact(e, s)}`],
  },
  {
    name: 'trace-cmd report -t with flags',
    decimals: 9,
    compact: true,
    print: (e, s) => [`${ftraceHead(e, `${cpu(e)} d..2.`, 9)}         ${compact(e, s)}`],
  },
  {
    name: 'trace-cmd report -R',
    decimals: 6,
    compact: false,
    print: (e) => [`${ftraceHead(e, cpu(e), 6)}         ${fields(e, '0x1', '')}`],
  },
  {
    name: 'an older trace-cmd report',
    decimals: 6,
    compact: false,
    print: (e) => [`${ftraceHead(e, cpu(e), 6)}          ${fields(e, '4096', '')}`],
  },
  {
    name: 'perf script',
    decimals: 6,
    compact: false,
    print: (e, s) => [
      `${e.prev_comm.padStart(16)} ${String(e.prev_pid).padStart(5)} ${cpu(e)} ${time(e, 6)}: ` +
        `sched:sched_switch: ${fields(e, s, ' ==>')}`,
    ],
  },
  {
    name: 'perf script with flags before the CPU',
    decimals: 6,
    compact: true,
    print: (e, s) => [
      `${e.prev_comm.padStart(16)} ${String(e.prev_pid).padStart(5)} d..2. ${cpu(e)} ` +
        `${time(e, 6)}: sched:sched_switch: ${compact(e, s)}`,
    ],
  },
  {
    name: 'perf script --ns -F +pid,+period with call chains',
    decimals: 9,
    compact: false,
    print: (e, s) => [
      `${e.prev_comm} ${e.prev_pid}/${e.prev_pid}  ${cpu(e)} ${time(e, 9)}:          1 ` +
        `sched:sched_switch: ${fields(e, s, ' ==>')}`,
      '\tffffffff82265ec8 perf_trace_sched_switch+0x628 ([kernel.kallsyms])',
      '\t         146f2c [unknown] (/usr/bin/perf)',
      '',
    ],
  },
];

/** Lines that are no sched_switch. The parser must skip them. */
const OTHER_LINES: readonly string[] = [
  '',
  '# tracer: nop',
  '##### CPU 2 buffer started ####',
  'version = 6',
  'CPU 3 is empty',
  '          run.sh-13228   [001] ...1.  2316.822585: tracing_mark_write: sched_switch: begins',
  '    sched_switch-7       [001] d..2.  2316.822585: sched_waking: comm=sched_switch pid=7',
  '          <idle>-0     [002]    76.211513: sched_wakeup: comm=sh pid=1642 prio=120 success=1',
  ' => trace_event_raw_event_sched_switch',
  'trace.dat:',
];

const NASTY_COMMS: readonly string[] = [
  'CPU 0/KVM',
  'CPU 11/TCG',
  'kworker/u12:1',
  '<...>',
  '<idle>',
  'qemu-system-x86',
  'a:1 [120] S',
  '==> next_comm=x',
  ' prev_pid=7',
  'x next_pid=1',
  '[001]',
  'a-1 [002] 3.4:',
  'sched_switch',
  '(sd-pam)',
  '',
  ' ',
  '\u00e9\u2028:-',
];

const commArb: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...NASTY_COMMS),
  fc.string({ unit: fc.constantFrom(...'ab09 -:/[]<>().='), maxLength: 15, size: 'max' }),
);

function switchesArb(form: Form, minLength: number): fc.Arbitrary<SchedSwitch[]> {
  const comm = form.compact
    ? commArb.map((text) => text.trimStart().replaceAll('==>', '=->'))
    : commArb;
  const pid = fc.oneof(fc.constant(0), fc.nat({ max: 4_194_304 }));
  const scale = form.decimals === 6 ? 1000n : 1n;
  const event = fc.record({
    line: fc.constant(0),
    cpu: fc.nat({ max: 1023 }),
    time_ns: fc.bigInt({ min: 0n, max: 10n ** 15n }).map((ns) => (ns / scale) * scale),
    prev_comm: comm,
    prev_pid: pid,
    next_comm: comm,
    next_pid: pid,
    after_lost: fc.constant(false),
  });
  return fc.array(event, { minLength, maxLength: 40, size: 'max' });
}

describe('parseFtrace', () => {
  it.each(FORMS)('parseFtrace always returns the events that were printed: $name', (form) => {
    const around = fc.array(fc.constantFrom(...OTHER_LINES), { maxLength: 5 });
    const state = fc.constantFrom('R', 'S', 'R+', 'D|W', 'I');
    fc.assert(
      fc.property(
        switchesArb(form, 0),
        around,
        state,
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        (events, others, letter, newline, newline_at_end) => {
          const lines: string[] = [];
          const expected: SchedSwitch[] = [];
          for (const event of events) {
            lines.push(...others);
            expected.push({ ...event, line: lines.length + 1 });
            lines.push(...form.print(event, letter));
          }
          const text = lines.join(newline) + (newline_at_end ? newline : '');
          expect(parseFtrace(text, 'trace.txt')).toEqual(expected);
        },
      ),
    );
  });

  it('parseFtrace never accepts a line that was cut off', () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(...FORMS)
          .chain((form) => fc.tuple(fc.constant(form), switchesArb(form, 1))),
        fc.nat(),
        ([form, events], cut) => {
          const [event] = events as [SchedSwitch];
          // A compact line whose name has a ']' may look complete where it is cut.
          const next_comm = event.next_comm.replaceAll(']', ')');
          const [line = ''] = form.print({ ...event, next_comm }, 'S');
          // A cut inside the last number only makes the number shorter, so nobody can detect it.
          const first = line.indexOf('sched_switch:', line.indexOf(': ')) + 'sched_switch:'.length;
          const last = line.search(/(next_prio=-?\d+|\[-?\d+\])$/);
          const at = first + (cut % (last - first));
          expect(() => parseFtrace(`\n${line.slice(0, at)}`, 't')).toThrow(/^t:2: .*cut off/);
        },
      ),
    );
  });

  it('parseFtrace never reads two lines that were run together as one', () => {
    const form = FORMS[0] as Form;
    fc.assert(
      fc.property(switchesArb(form, 2), (events) => {
        const [first, second] = events as [SchedSwitch, SchedSwitch];
        const text = form.print(first, 'S').join('') + form.print(second, 'S').join('');
        expect(() => parseFtrace(text, 't')).toThrow(/^t:1: /);
      }),
    );
  });

  it('parseFtrace reads the lines of an older trace-cmd', () => {
    const text = [
      'version = 6',
      'cpus=6',
      '           <...>-1701  [001]    76.211513: sched_switch:          prev_comm=trace-cmd ' +
        'prev_pid=1701 prev_prio=120 prev_state=64 next_comm=swapper/1 next_pid=0 next_prio=120',
    ].join('\n');
    expect(parseFtrace(text, 'lisa.txt')).toEqual([
      {
        line: 3,
        cpu: 1,
        time_ns: 76_211_513_000n,
        prev_comm: 'trace-cmd',
        prev_pid: 1701,
        next_comm: 'swapper/1',
        next_pid: 0,
        after_lost: false,
      },
    ]);
  });

  it('parseFtrace returns nothing for an empty text', () => {
    expect(parseFtrace('', 't')).toEqual([]);
  });

  it('parseFtrace reads the header behind a byte order mark', () => {
    const text = `\ufeffcpus=1\n${goodLine(1)}`;
    expect(() => parseFtrace(text, 't')).toThrow(/^t:2: unknown CPU 1/);
  });
});

function goodLine(cpu_number: number): string {
  return `  a-1 [00${cpu_number}] d..2. 5.000001: sched_switch: a:1 [120] S ==> b:2 [120]`;
}

describe('parseFtrace, lost events', () => {
  it.each([
    ['CPU:1 [LOST 123 EVENTS]', [false, true, false]],
    ['CPU:1 [LOST EVENTS]', [false, true, false]],
    ['CPU:1 [204600 EVENTS DROPPED]', [false, true, false]],
    ['CPU:1 [EVENTS DROPPED]', [false, true, false]],
    [' 9777/9888 [001] 1.000000001: unknown: PERF_RECORD_LOST lost 9', [false, true, false]],
    ['PERF_RECORD_LOST lost 9', [true, true, false]],
    ['CPU:7 [LOST 123 EVENTS]', [false, false, false]],
    ['CPU 1 is empty', [false, false, false]],
  ])('a report of lost events always marks the next event of the CPU: %s', (loss, expected) => {
    const text = [goodLine(0), goodLine(1), loss, goodLine(0), goodLine(1), goodLine(1)].join('\n');
    expect(parseFtrace(text, 't').map((event) => event.after_lost)).toEqual([
      false,
      false,
      ...expected,
    ]);
  });
});

describe('parseFtrace, errors', () => {
  it('the line of a truncated event is always named', () => {
    const text = ['# tracer: nop', goodLine(0), goodLine(1).slice(0, -4)].join('\n');
    expect(() => parseFtrace(text, 'dir/trace.txt')).toThrow(
      new TraceError(
        'dir/trace.txt',
        3,
        'this sched_switch line is cut off or of an unknown form: "a-1 [001] d..2. 5.000001: ' +
          'sche ... ch: a:1 [120] S ==> b:2 ["; delete it if it is the last one, else print the ' +
          'recording again with trace-cmd report or perf script',
      ),
    );
  });

  it.each(['  a-1 [001] d..2. 5.000001: sched_switch', '  1] d..2. 5.0: sched_switch: a:1 [1]'])(
    'the line of an event without payload or head is always named: %s',
    (bad) => {
      expect(() => parseFtrace(`${goodLine(0)}\n${bad}\n${goodLine(0)}`, 't')).toThrow(
        /^t:2: .*cut off/,
      );
    },
  );

  it('a CPU beyond the header of the kernel is refused', () => {
    const text = ['# entries-in-buffer/entries-written: 2/2   #P:2', goodLine(1), goodLine(2)].join(
      '\r\n',
    );
    expect(() => parseFtrace(text, 'trace.txt')).toThrow(
      new TraceError(
        'trace.txt',
        3,
        'unknown CPU 2: line 1 says that the recording has 2 CPUs (0 to 1); if CPUs were offline ' +
          'while recording, raise the number in line 1, else record again',
      ),
    );
  });

  it('a CPU beyond the header of trace-cmd is refused', () => {
    expect(() => parseFtrace(`version = 6\ncpus=1\n${goodLine(3)}`, 'trace.txt')).toThrow(
      /^trace\.txt:3: unknown CPU 3: line 2 says that the recording has 1 CPU \(0 to 0\)/,
    );
  });

  it('a clock that counts ticks is refused', () => {
    const text = goodLine(0).replace('5.000001', '5000001');
    expect(() => parseFtrace(text, 'trace.txt')).toThrow(
      /^trace\.txt:1: the time 5000001 has no decimals.*trace-cmd record -C mono$/,
    );
  });

  it('an error of parseFtrace is a TraceError that tells file and line', () => {
    const error = new TraceError('f', 3, 'wrong');
    expect([error.name, error.file, error.line, error.message]).toEqual([
      'TraceError',
      'f',
      3,
      'f:3: wrong',
    ]);
    expect(new TraceError('f', 0, 'wrong').message).toBe('f: wrong');
  });
});

describe('readFtraceFile', () => {
  let dir = '';
  const file = (name: string, bytes: string | Uint8Array): string => {
    const path = join(dir, name);
    writeFileSync(path, bytes);
    return path;
  };

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'vlbr-ftrace-'));
  });
  afterAll(() => {
    rmSync(dir, { recursive: true });
  });

  it('readFtraceFile reads text, and gzip under any name', () => {
    const text = `${goodLine(0)}\n`;
    const plain = file('plain.txt', text);
    const packed = file('packed.txt', gzipSync(text));
    expect(readFtraceFile(plain)).toEqual({ file: plain, text });
    expect(readFtraceFile(packed)).toEqual({ file: packed, text });
  });

  it.each([
    ['trace.dat', Buffer.from('\x17\x08\x44tracing6\0\0', 'latin1')],
    ['trace.dat.gz', gzipSync(Buffer.from('\x17\x08\x44tracing6\0\0', 'latin1'))],
  ])('readFtraceFile names a binary %s, and the command that prints it', (name, bytes) => {
    const path = file(name, bytes);
    expect(() => readFtraceFile(path)).toThrow(
      new TraceError(
        path,
        0,
        'this is a binary trace.dat; run: trace-cmd report trace.dat > trace.txt',
      ),
    );
  });

  it.each([
    ['perf.data', 'PERFILE2\0', /this is a binary perf\.data; run: perf script -i perf\.data/],
    ['utf16.txt', Buffer.from(goodLine(0), 'utf16le'), /NUL bytes.*in UTF-8$/],
    ['empty.txt', '', /: the file is empty; /],
    ['blank.txt', ' \n\r\n', /: the file is empty; /],
    ['empty.gz', gzipSync(''), /: the file is empty; /],
    ['cut.gz', gzipSync(goodLine(0)).subarray(0, 30), /: the gzip data is damaged or cut off/],
  ])('readFtraceFile says what is wrong with %s', (name, bytes, message) => {
    const path = file(name, bytes);
    expect(() => readFtraceFile(path)).toThrow(TraceError);
    expect(() => readFtraceFile(path)).toThrow(message);
  });

  it('readFtraceFile says that a file is missing or a directory', () => {
    const missing = join(dir, 'none.txt');
    expect(() => readFtraceFile(missing)).toThrow(
      new TraceError(missing, 0, 'there is no such file; check the path'),
    );
    expect(() => readFtraceFile(dir)).toThrow(/: this is a directory; /);
  });
});

describe('examples/two-vms-one-cpu/host.txt.gz', () => {
  it('the example holds 8,283 events over 4.0 s on CPU 1, read in well under a second', () => {
    const { file, text } = readFtraceFile(EXAMPLE);
    const start_ms = performance.now();
    const events = parseFtrace(text, file);
    expect(performance.now() - start_ms).toBeLessThan(1000);
    expect(events).toHaveLength(8283);
    expect(new Set(events.map((event) => event.cpu))).toEqual(new Set([1]));
    expect(events[0]).toEqual({
      line: 13,
      cpu: 1,
      time_ns: 2_316_152_292_000n,
      prev_comm: 'run.sh',
      prev_pid: 13228,
      next_comm: 'CPU 1/TCG',
      next_pid: 13244,
      after_lost: false,
    });
    expect(events.at(-1)?.time_ns).toBe(2_320_116_126_000n);
  });
});

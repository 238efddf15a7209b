/** Every form in which a recording is printed is read; what can't be read says how to mend it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TextReader } from '../../src/recording/text_reader.js';
import { TraceError } from '../../src/recording/trace_error.js';
import { type Form, FORMS, ftraceLine, printed, type Switch } from '../rig/recordings.js';
import { seeded } from '../rig/seed.js';

interface Row extends Switch {
  readonly line: number;
}

/** Reads a text in chunks of a size. Times count from the first event. */
function rowsOf(text: string, chunk = 1 << 20): Row[] {
  const reader = new TextReader('trace.txt');
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length; from += chunk) {
    reader.feed(bytes.subarray(from, from + chunk));
  }
  reader.end(false);
  const rows: Row[] = [];
  const { switches, threads } = reader.kept;
  const name = (pid: number): string => threads.all.get(pid)?.comm ?? '';
  switches.forEachRow(({ line, cpu, time, prevPid, nextPid }) => {
    const [prevComm, nextComm] = [name(prevPid), name(nextPid)];
    rows.push({ line, cpu, time, prevPid, nextPid, prevComm, nextComm });
  });
  return rows;
}

const NASTY: readonly string[] = [
  'CPU 0/KVM',
  'kworker/u12:1',
  '<...>',
  'a:1 [120] S',
  '==> next_comm=x',
  ' prev_pid=7',
  'x next_pid=1',
  '[001]',
  'a-1 [002] 3.4:',
  'a-1 [02] 3.4: b',
  'sched_switch',
  '1.0: print: x',
  '(sd-pam)',
  'd..2. 7',
  '',
  ' ',
  '\u00e9:-',
];

/** Lines that are no sched_switch. */
const OTHER_LINES: readonly string[] = [
  '',
  '# tracer: nop',
  '##### CPU 2 buffer started ####',
  'version = 6',
  'CPU 3 is empty',
  '          run.sh-13228   [001] ...1.  1.822585: tracing_mark_write: sched_switch: begins',
  '    sched_switch-7       [001] d..2.  1.822585: sched_waking: comm=sched_switch pid=7',
  '          <idle>-0     [002]    1.211513: sched_wakeup: comm=sh pid=1642 prio=120 success=1',
  '          <idle>-0     [002]    1.211513: do_timer <-tick_do_update_jiffies64',
  ' => trace_event_raw_event_sched_switch',
  'the sched_switch events follow',
  'trace.dat:',
];

function eventsArb(form: Form): fc.Arbitrary<Switch[]> {
  const comm = fc
    .oneof(
      fc.constantFrom(...NASTY),
      fc.string({ unit: fc.constantFrom(...'ab09 -:/[]<>().='), maxLength: 15, size: 'max' }),
    )
    .map((name) => (form.compact === true ? name.trimStart().replaceAll('==>', '=->') : name));
  const pid = fc.oneof(fc.constant(0), fc.nat({ max: 4_194_304 }));
  const threads = fc.uniqueArray(fc.record({ pid, comm }), {
    minLength: 1,
    maxLength: 6,
    selector: (thread) => thread.pid,
  });
  return threads.chain((all) => {
    const thread = fc.constantFrom(...all);
    const event = fc.record({
      cpu: fc.nat({ max: 1023 }),
      after: fc.oneof(fc.nat({ max: 1e6 }), fc.nat({ max: 2e10 })),
      prev: thread,
      next: thread,
    });
    return fc.array(event, { maxLength: 30 }).map((list) => {
      let time = 0;
      return list.map(({ cpu, after, prev, next }) => {
        time += Math.trunc(after / form.grain) * form.grain;
        const [prevComm, nextComm] = [prev.comm, next.comm];
        return { cpu, time, prevPid: prev.pid, prevComm, nextPid: next.pid, nextComm };
      });
    });
  });
}

describe('the forms of a recording', () => {
  it.each(FORMS)('what was printed is always read back: $name', (form) => {
    const others = fc.array(fc.constantFrom(...OTHER_LINES), { maxLength: 4 });
    const end = fc.constantFrom('\n', '\r\n');
    const state = fc.constantFrom('R', 'S', 'R+', 'D|W', 'I');
    fc.assert(
      fc.property(
        eventsArb(form),
        others,
        state,
        end,
        fc.integer({ min: 1, max: 400 }),
        (events, more, letter, newline, chunk) => {
          // The first time is what the times count from, so the text begins at some other one.
          const base = 7e9;
          const lines = [...(form.before ?? [])];
          const expected: Row[] = [];
          for (const event of events) {
            if (form.name !== 'systrace HTML of older versions') lines.push(...more);
            const first = events[0].time;
            const seconds = form.grain === 1000 && form.name.startsWith('the latency') ? 0 : base;
            expected.push({
              ...event,
              line: lines.length + 1,
              time: event.time - first + ((seconds + first) % 1e9),
            });
            lines.push(...form.print({ ...event, time: event.time + seconds }, letter));
          }
          lines.push(...(form.after ?? []));
          const js = form.name === 'systrace HTML of older versions';
          const text = lines.join(js ? '\n' : newline);
          const names = new Map(
            expected.flatMap(
              (e) =>
                [
                  [e.prevPid, e.prevComm],
                  [e.nextPid, e.nextComm],
                ] as const,
            ),
          );
          expect(rowsOf(text, chunk)).toEqual(
            expected.map((row) => ({
              ...row,
              prevComm: names.get(row.prevPid),
              nextComm: names.get(row.nextPid),
            })),
          );
        },
      ),
      seeded(60),
    );
  });

  it('a line that was cut off is never read', () => {
    fc.assert(
      fc.property(
        fc
          .constantFrom(...FORMS)
          .filter(({ before }) => before === undefined)
          .chain((form) => fc.tuple(fc.constant(form), eventsArb(form))),
        fc.nat(),
        ([form, events], cut) => {
          fc.pre(events.length > 0);
          // A compact line whose name has a ']' may look complete where it is cut.
          const nextComm = events[0].nextComm.replaceAll(/[\]}]/g, ')');
          const [line] = form.print({ ...events[0], nextComm, time: 5e9 }, 'S');
          // A cut inside the last number only makes the number shorter, so nobody can detect it.
          const time = form.name.startsWith('babeltrace') ? 0 : line.indexOf(': ');
          const first = line.indexOf('sched_switch:', time) + 'sched_switch:'.length;
          const last = line.search(/(next_prio=-?\d+.*|\[-?\d+\]|next_prio = \d+ \})$/);
          const text = line.slice(0, first + (cut % (last - first)));
          expect(() => rowsOf(`\n${text}`)).toThrow(/^trace\.txt:2: .*cut off/);
        },
      ),
      seeded(200),
    );
  });

  it('two lines that were run together are never read as one', () => {
    fc.assert(
      fc.property(eventsArb(FORMS[0]), (events) => {
        fc.pre(events.length > 1);
        const text = events
          .slice(0, 2)
          .map((event) => ftraceLine(event))
          .join('');
        expect(() => rowsOf(text)).toThrow(/^trace\.txt:1: /);
      }),
      seeded(100),
    );
  });

  it('babeltrace goes on behind midnight, with dates, and with seconds of the epoch', () => {
    const babeltrace = FORMS.filter(({ name }) => name.startsWith('babeltrace'));
    const event = { cpu: 1, prevComm: 'a', prevPid: 1, nextComm: 'b', nextPid: 2 };
    const day = 86_400e9;
    const text = printed(babeltrace[0], [
      { ...event, time: day - 5 },
      { ...event, time: day + 5 },
    ]).join('\n');
    const times = (of: string): number[] => rowsOf(of).map(({ time }) => time % 1e10);
    expect(times(text)).toEqual([999_999_995, 1_000_000_005]);
    const dated = text.replace('[23', '[2024-02-29 23').replace('[00', '[2024-03-01 00');
    expect(times(dated)).toEqual([999_999_995, 1_000_000_005]);
    const epoch = text.replace('[23:59:59', '[1700000000').replace('[00:00:00', '[1700000001');
    expect(times(epoch)).toEqual([999_999_995, 1_000_000_005]);
  });
});

const GOOD: Switch = {
  cpu: 1,
  time: 5e9,
  prevComm: 'CPU 0/KVM',
  prevPid: 101,
  nextComm: 'b',
  nextPid: 2,
};

describe('what no form makes good', () => {
  const payload = ftraceLine(GOOD).replace(/.*: prev_comm/, 'prev_comm');
  const perf = `       CPU 1/KVM    102 100.000777: sched:sched_switch: ${payload}`;
  it.each([
    ['perf script without a CPU', perf, /:1: .*perf script has no CPU.*perf script -F \+cpu/],
    [
      'ticks',
      ftraceLine(GOOD).replace('5.000000', '852655067718354'),
      /:1: the time 852655067718354 has no decimals.*without --raw-ts.*trace-cmd record -C mono$/,
    ],
    [
      'perf trace',
      '       0.628 sched:sched_switch(prev_comm: "sleep", prev_pid: 5273 (sleep), prev_prio: 120)',
      /:1: this is the text of perf trace.*perf script -F comm,pid,tid,cpu,time,event,trace$/,
    ],
    [
      'babeltrace without times',
      'sched_switch: { cpu_id = 1 }, { prev_comm = "a", prev_tid = 0, next_comm = "b" }',
      /:1: this text of babeltrace has no times in seconds.*--clock-seconds/,
    ],
    [
      'babeltrace with cycles',
      '[00000001234567890123] (+1) h sched_switch: { cpu_id = 1 }, { prev_comm = "a" }',
      /:1: this text of babeltrace has no times in seconds.*--clock-seconds/,
    ],
    ['a CPU that can be none', ftraceLine({ ...GOOD, cpu: 8192 }), /:1: CPU 8192 is none/],
    ['a pid that is part of a name', ftraceLine(GOOD).replace('CPU 0/KVM-101', 'x7'), /cut off/],
    ['a payload with more behind it', `${ftraceLine(GOOD)} and more`, /cut off/],
    ['a payload without a head', `sched_switch: ${ftraceLine(GOOD).slice(50)}`, /cut off/],
  ])('%s is refused, and the message says what to do', (_, text, message) => {
    expect(() => rowsOf(text)).toThrow(TraceError);
    expect(() => rowsOf(text)).toThrow(message);
  });

  it('a time that goes back is refused', () => {
    const lines = [ftraceLine(GOOD), '', ftraceLine({ ...GOOD, time: 4e9 })];
    expect(() => rowsOf(lines.join('\n'))).toThrow(
      /^trace\.txt:3: time goes back from 5\.000000000 s \(line 1\) to 4\.000000000 s; give one/,
    );
  });

  it('the text of a message never has a control character', () => {
    const escape = ftraceLine({ ...GOOD, nextComm: '\u001b[2J\u0007' }).slice(0, -20);
    expect(() => rowsOf(escape)).toThrow(/\\x1b/);
    // oxlint-disable-next-line no-control-regex
    expect(() => rowsOf(escape)).not.toThrow(/[\u0000-\u001f]/);
  });
});

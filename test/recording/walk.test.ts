/** Switches become steps; what the text does not hold is inferred, or noticed. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRecording, type ReadOptions } from '../../src/recording/read.js';
import { type HostSchedule, type Recording, summarize } from '../../src/recording/recording.js';
import { TraceError } from '../../src/recording/trace_error.js';
import { AFTER_GAP, INFERRED } from '../../src/recording/walk.js';
import { ftraceLine, nameOf, record } from '../rig/recordings.js';
import { seeded } from '../rig/seed.js';

const read = (rows: readonly string[], options: ReadOptions = {}): Recording =>
  parseRecording(record(rows), 'trace.txt', options);

/** Steps as `line: CPU<-pid`, with `?` for an inferred step and `!` for one behind a gap. */
function stepsOf({ steps, vcpus, pcpus }: HostSchedule): string[] {
  return Array.from({ length: steps.length }, (_, i) => {
    const pid = vcpus[steps.vcpu[i]]?.pid ?? '-';
    const inferred = (steps.bits[i] & INFERRED) === 0 ? '' : '?';
    const afterGap = (steps.bits[i] & AFTER_GAP) === 0 ? '' : '!';
    return `${steps.line[i]}: ${pcpus[steps.pcpu[i]]}<-${pid}${inferred}${afterGap}`;
  });
}

describe('steps', () => {
  it('switches between other threads are dropped, and a vCPU that returns is kept', () => {
    const result = read(['1 0 7', '1 7 100', '1 100 8', '1 8 0', '1 0 100', '1 100 101']);
    expect(result.pcpus).toEqual([1]);
    expect(stepsOf(result)).toEqual(['2: 1<-100', '3: 1<--', '5: 1<-100', '6: 1<-101']);
    expect(Array.from(result.steps.time)).toEqual([1000, 2000, 4000, 5000]);
  });

  it('who ran before the first event of a CPU is always inferred', () => {
    const result = read(['3 100 0', '1 101 0', '3 0 101']);
    expect(stepsOf(result)).toEqual([
      '1: 3<-100?',
      '1: 3<--',
      '2: 1<-101?',
      '2: 1<--',
      '3: 3<-101',
    ]);
  });

  it('a CPU that lost events starts anew', () => {
    const result = read(['0 0 100', 'CPU:0 [LOST 3 EVENTS]', '0 101 0', '0 0 100']);
    expect(stepsOf(result)).toEqual(['1: 0<-100', '3: 0<-101?!', '3: 0<--', '4: 0<-100']);
    expect(result.gaps).toEqual([{ line: 3, cpu: 0, time: 2000, told: true }]);
  });

  it('a vCPU may leave a CPU within a gap that the text reports only later', () => {
    const result = read(['0 0 100', '1 0 100', '1 100 0', 'CPU:0 [LOST EVENTS]', '0 0 100']);
    expect(stepsOf(result)).toEqual([
      '1: 0<-100',
      '2: 0<--?!',
      '2: 1<-100',
      '3: 1<--',
      '5: 0<-100',
    ]);
  });

  it.each([
    ['CPU:0 [LOST 3 EVENTS]', true],
    ['CPU:0 [LOST EVENTS]', true],
    ['   CPU:0 [204600 EVENTS DROPPED]', true],
    ['CPU:0 [EVENTS DROPPED]', true],
    [' 9777/9888 [000] 5.000001001: unknown: PERF_RECORD_LOST lost 9', true],
    ['  swapper 0 [000] 5.000001001: PERF_RECORD_LOST lost 9', true],
    ['PERF_RECORD_LOST lost 9', true],
    ['[warning] Tracer discarded 12 events between [1] and [2]', true],
    ['WARNING: Tracer discarded 10 events between "1" and "2"', true],
    ['CPU:7 [LOST 123 EVENTS]', false],
    ['CPU 0 is empty', false],
    ['PERF_RECORD_LOST_SAMPLES lost 3', false],
    ['  x-7 [000] d..2. 5.000001: print: CPU:0 [LOST 3 EVENTS]', false],
    ['  x-7 [000] d..2. 5.000001: print: saw PERF_RECORD_LOST', false],
  ])('a line tells of lost events or does not: %s', (report, tells) => {
    const rows = ['0 0 100', report, '0 101 0'];
    if (tells) expect(read(rows).gapCount).toBe(1);
    else expect(() => read(rows)).toThrow(/a switch is missing/);
  });

  it('without a report, gaps are refused, or allowed and counted', () => {
    const onTwo = ['0 0 100', '0 100 0', '0 0 100', '1 7 8', '1 8 100'];
    expect(() => read(onTwo)).toThrow(
      /^trace\.txt:5: vCPU thread 'CPU 0\/KVM' \(pid 100\) runs on CPU 1 here, but since line 3 it/,
    );
    expect(() => read(onTwo)).toThrow(/--allow-gaps.*trace-cmd record -C mono/);
    const wrong = ['0 0 100', '1 0 7', '0 101 0'];
    expect(() => read(wrong)).toThrow(
      /^trace\.txt:3: 'CPU 1\/KVM' \(pid 101\) leaves CPU 0, but since line 1 'CPU 0\/KVM' \(pid/,
    );
    expect(() => read(['0 0 100', 'CPU:1 [LOST 3 EVENTS]', '0 101 0'])).toThrow(/txt:3: /);
    expect(stepsOf(read(onTwo, { allowGaps: true })).slice(-2)).toEqual(['5: 0<--?!', '5: 1<-100']);
    const allowed = read(wrong, { allowGaps: true });
    expect(stepsOf(allowed)).toEqual(['1: 0<-100', '3: 0<-101?!', '3: 0<--']);
    expect(allowed).toMatchObject({ losses: 0, gapCount: 1 });
  });

  it('summarize counts as a count by hand does', () => {
    const summary = summarize(
      read([
        '0 100 0', // 100 ran here from the start: its step is inferred
        '0 0 100', // the same vCPU again: no change
        '0 100 200', // a change to another VM
        '0 200 7',
        '0 7 8', // neither is a vCPU: not counted
        '1 0 100', // 100 migrates
        '1 100 101', // a change within the VM
        '0 8 200', // the same vCPU again, after other threads
      ]),
    );
    expect(summary).toEqual({
      vcpus: 3,
      vms: 2,
      pcpus: 2,
      vcpu_switches: 7,
      changes: 2,
      changes_by_pcpu: [1, 1],
      changes_across_vms: 1,
      migrations: 1,
      span_s: expect.closeTo(7e-6, 9) as number,
    });
  });

  it('the last switches alone are kept, and the events of KVM from then on', () => {
    const kvm = '  CPU 0/KVM-100    [000] d..1. 5.000001: kvm_entry: vcpu 0';
    const rows = ['0 0 100', kvm, '0 100 0', '0 0 101', '0 101 0', '0 0 100'];
    const result = read(rows, { last: 2 });
    expect(result.switches).toBe(2);
    expect(stepsOf(result)).toEqual(['5: 0<-101?', '5: 0<--', '6: 0<-100']);
    expect(result.kvmEvents().next()).toBe(false);
    const many = Array.from({ length: 30_000 }, (_, i) => (i % 2 === 0 ? '0 0 100' : '0 100 0'));
    expect(read(many, { last: 8200 }).steps.line[0]).toBe(30_000 - 8200 + 1);
  });
});

/** A host that always obeys the rules. */
interface Run {
  readonly rows: readonly { readonly cpu: number; readonly prev: number; readonly next: number }[];
  /** For each event, the pid that runs on each CPU after it. */
  readonly running: readonly (readonly number[])[];
}

const isVcpu = (pid: number): boolean => pid >= 100;

/** Each pick is a CPU and the thread to run next. A thread that runs elsewhere is skipped. */
function simulate(cpus: number, picks: readonly (readonly [number, number])[]): Run {
  const pids = [0, 7, 8, 100, 101, 200, 201];
  const now = [100, 0, 7, 201].slice(0, cpus);
  const running: number[][] = [];
  const rows = picks.map(([cpuPick, pidPick]) => {
    const cpu = cpuPick % cpus;
    const prev = now[cpu];
    const free = pids.filter((pid) => pid !== prev && (pid === 0 || !now.includes(pid)));
    const next = free[pidPick % free.length];
    now[cpu] = next;
    running.push([...now]);
    return { cpu, prev, next };
  });
  return { rows, running };
}

const run: fc.Arbitrary<Run> = fc
  .tuple(
    fc.integer({ min: 1, max: 4 }),
    fc.array(fc.tuple(fc.nat(99), fc.nat(99)), { minLength: 8, maxLength: 80, size: 'max' }),
  )
  .map(([cpus, picks]) => simulate(cpus, picks));

function line({ cpu, prev, next }: Run['rows'][number], i: number): string {
  const names = { prevComm: nameOf(prev), prevPid: prev, nextComm: nameOf(next), nextPid: next };
  return ftraceLine({ cpu, time: 5e9 + i * 1000, ...names });
}

/** Plays the steps up to a line and checks each. Returns the pid on each CPU. */
function residents({ steps, vcpus, pcpus }: HostSchedule, until: number): Map<number, number> {
  const resident = new Map<number, number>();
  for (let i = 0; i < steps.length && steps.line[i] <= until; i++) {
    const cpu = pcpus[steps.pcpu[i]];
    const pid = vcpus[steps.vcpu[i]]?.pid ?? 0;
    // This runs for every step of every prefix, where expect() would take seconds.
    if ((resident.get(cpu) ?? 0) === pid) throw new Error(`no change in line ${steps.line[i]}`);
    if (pid !== 0 && [...resident.values()].includes(pid)) {
      throw new Error(`pid ${pid} is on two CPUs in line ${steps.line[i]}`);
    }
    resident.set(cpu, pid);
  }
  return resident;
}

const hasVcpu = (rows: Run['rows']): boolean => rows.some((r) => isVcpu(r.prev) || isVcpu(r.next));

describe('generated hosts', () => {
  it('the vCPU that runs is always resident, on every CPU whose events have begun', () => {
    let reached = 0;
    fc.assert(
      fc.property(run, ({ rows, running }) => {
        if (!hasVcpu(rows)) return;
        reached++;
        const result = parseRecording(rows.map(line).join('\n'), 't');
        for (const [i, now] of running.entries()) {
          const resident = residents(result, i + 1);
          for (const cpu of new Set(rows.slice(0, i + 1).map((row) => row.cpu))) {
            if ((resident.get(cpu) ?? 0) !== (isVcpu(now[cpu]) ? now[cpu] : 0)) {
              throw new Error(`CPU ${cpu} in line ${i + 1}`);
            }
          }
        }
      }),
      seeded(60),
    );
    expect(reached).toBeGreaterThan(30);
  });

  it.each([true, false])(
    'lost events never make it fail, and it is right again from the next event on (told: %s)',
    (told) => {
      let lost = 0;
      fc.assert(
        fc.property(run, fc.array(fc.boolean(), { minLength: 80, maxLength: 80 }), (host, lose) => {
          const lossy = new Set<number>();
          const lines: string[] = [];
          const kept: { readonly at: number; readonly cpu: number; readonly next: number }[] = [];
          for (const [i, row] of host.rows.entries()) {
            if (lose[i]) {
              lossy.add(row.cpu);
              lost++;
              continue;
            }
            if (lossy.delete(row.cpu) && told) lines.push(`CPU:${row.cpu} [LOST 1 EVENTS]`);
            lines.push(line(row, i));
            kept.push({ at: lines.length, cpu: row.cpu, next: row.next });
          }
          // What is lost at the end is told there, too.
          if (told) for (const cpu of lossy) lines.push(`CPU:${cpu} [LOST 1 EVENTS]`);
          if (!hasVcpu(host.rows.filter((_, i) => !lose[i]))) return;
          const result = parseRecording(lines.join('\n'), 't', { allowGaps: !told });
          for (const { at, cpu, next } of kept) {
            expect(residents(result, at).get(cpu) ?? 0).toBe(isVcpu(next) ? next : 0);
          }
        }),
        seeded(40),
      );
      expect(lost).toBeGreaterThan(300);
    },
  );

  it('an event that is missing without a report is noticed wherever a vCPU takes part', () => {
    let reached = 0;
    fc.assert(
      fc.property(run, fc.nat(), ({ rows }, pick) => {
        const inner = rows.flatMap(({ cpu, prev, next }, i) => {
          const before = rows.slice(0, i).some((row) => row.cpu === cpu);
          const after = rows.slice(i + 1).some((row) => row.cpu === cpu);
          return before && after && (isVcpu(prev) || isVcpu(next)) ? [i] : [];
        });
        if (inner.length === 0) return;
        const missing = inner[pick % inner.length];
        const kept = rows.filter((_, i) => i !== missing);
        if (!hasVcpu(kept)) return;
        reached++;
        expect(() => parseRecording(kept.map(line).join('\n'), 't')).toThrow(TraceError);
      }),
      seeded(60),
    );
    expect(reached).toBeGreaterThan(30);
  });
});

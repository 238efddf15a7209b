import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SchedSwitch } from '../../src/schedule/ftrace.js';
import { parseFtrace, readFtraceFile, TraceError } from '../../src/schedule/ftrace.js';
import type { HostSchedule } from '../../src/schedule/host_schedule.js';
import { DEFAULT_VCPU_THREADS, hostSchedule, summarize } from '../../src/schedule/host_schedule.js';

const EXAMPLE = new URL('../../examples/two-vms-one-cpu/host.txt.gz', import.meta.url).pathname;

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

function nameOf(pid: number): string {
  return NAMES.get(pid) ?? 'other';
}

/** Prints a recording, an event a microsecond. A row is `cpu prev next`, or a whole line. */
function record(rows: readonly string[]): string {
  const lines = rows.map((row, i) => {
    const match = /^(\d+) (\d+) (\d+)$/.exec(row);
    if (match === null) return row;
    const [cpu, prev, next] = [Number(match[1]), Number(match[2]), Number(match[3])];
    const time = `5.${String(i).padStart(6, '0')}`;
    return (
      `  x-${prev} [00${cpu}] d..2. ${time}: sched_switch: prev_comm=${nameOf(prev)} ` +
      `prev_pid=${prev} prev_prio=120 prev_state=S ==> next_comm=${nameOf(next)} ` +
      `next_pid=${next} next_prio=120`
    );
  });
  return lines.join('\n');
}

function schedule(rows: readonly string[], vm_of_pid?: ReadonlyMap<number, number>): HostSchedule {
  const switches = parseFtrace(record(rows), 'trace.txt');
  return hostSchedule(switches, DEFAULT_VCPU_THREADS, 'trace.txt', vm_of_pid);
}

/** Steps as `line: pcpu<-comm pid`, with `?` for an inferred step. */
function stepsOf({ steps, vcpus, pcpus }: HostSchedule): string[] {
  return steps.map(({ line, pcpu, vcpu, inferred }) => {
    const pid = vcpus[vcpu]?.pid ?? '-';
    return `${line}: ${pcpus[pcpu]}<-${pid}${inferred ? '?' : ''}`;
  });
}

/** VM and vCPU index by pid. */
function placesOf({ vcpus }: HostSchedule): string[] {
  return vcpus.map((vcpu) => `${vcpu.pid}=${vcpu.vm}.${vcpu.index} ${vcpu.vm_from}`);
}

describe('hostSchedule, examples/two-vms-one-cpu', () => {
  const { file, text } = readFtraceFile(EXAMPLE);
  const switches = parseFtrace(text, file);

  it('both VMs of the example are found, as its README gives them', () => {
    expect(hostSchedule(switches, DEFAULT_VCPU_THREADS, file).vcpus).toEqual([
      { pid: 13242, comm: 'CPU 0/TCG', vm: 0, index: 0, vm_from: 'name' },
      { pid: 13244, comm: 'CPU 1/TCG', vm: 0, index: 1, vm_from: 'hand-overs' },
      { pid: 13243, comm: 'CPU 0/TCG', vm: 1, index: 0, vm_from: 'name' },
    ]);
  });

  it('hostSchedule counts what a one-pass script over the text counts', () => {
    const summary = summarize(hostSchedule(switches, DEFAULT_VCPU_THREADS, file));
    expect(summary).toEqual({
      vcpus: 3,
      vms: 2,
      pcpus: 1,
      vcpu_switches: 8016,
      changes: 1312,
      changes_by_pcpu: [1312],
      changes_across_vms: 835,
      migrations: 0,
      span_s: expect.closeTo(3.963791, 9) as number,
    });
  });

  it('the caller may say which VM a thread belongs to', () => {
    const vm_of_pid = new Map([
      [13243, 0],
      [13244, 0],
    ]);
    const result = hostSchedule(switches, DEFAULT_VCPU_THREADS, file, vm_of_pid);
    expect(placesOf(result)).toEqual(['13243=0.0 given', '13244=0.1 given', '13242=1.0 name']);
    expect(summarize(result).changes).toBe(1312);
  });
});

describe('hostSchedule, steps', () => {
  it('switches between other threads are dropped, and a vCPU that returns is kept', () => {
    const result = schedule(['1 0 7', '1 7 100', '1 100 8', '1 8 0', '1 0 100', '1 100 101']);
    expect(result.pcpus).toEqual([1]);
    expect(stepsOf(result)).toEqual(['2: 1<-100', '3: 1<--', '5: 1<-100', '6: 1<-101']);
    expect(result.steps[0]).toEqual({
      pcpu: 0,
      vcpu: 0,
      time_us: 5_000_001,
      line: 2,
      inferred: false,
    });
  });

  it('who ran before the first event of a CPU is always inferred', () => {
    const result = schedule(['3 100 0', '1 101 0', '3 0 101']);
    expect(result.pcpus).toEqual([1, 3]);
    expect(stepsOf(result)).toEqual([
      '1: 3<-100?',
      '1: 3<--',
      '2: 1<-101?',
      '2: 1<--',
      '3: 3<-101',
    ]);
  });

  it('a CPU that lost events starts anew', () => {
    const result = schedule(['0 0 100', 'CPU:0 [LOST 3 EVENTS]', '0 101 0', '0 0 100']);
    expect(stepsOf(result)).toEqual(['1: 0<-100', '3: 0<-101?', '3: 0<--', '4: 0<-100']);
  });

  it('a vCPU may leave a CPU within a gap that the text reports only later', () => {
    const result = schedule(['0 0 100', '1 0 100', '1 100 0', 'CPU:0 [LOST EVENTS]', '0 0 100']);
    expect(stepsOf(result)).toEqual(['1: 0<-100', '2: 0<--?', '2: 1<-100', '3: 1<--', '5: 0<-100']);
  });

  it('a vCPU is known by its pid, whenever it gets its name', () => {
    const named = record(['0 0 100', '0 100 0', '0 0 100']);
    const late = named.replace('next_comm=CPU 0/KVM', 'next_comm=qemu-system-x86');
    const result = hostSchedule(parseFtrace(late, 't'), DEFAULT_VCPU_THREADS, 't');
    expect(result.vcpus.map((vcpu) => vcpu.comm)).toEqual(['CPU 0/KVM']);
    expect(stepsOf(result)).toEqual(['1: 0<-100', '2: 0<--', '3: 0<-100']);
  });

  it('an idle thread is never a vCPU, and the state of the expression never matters', () => {
    const switches = parseFtrace(record(['0 0 7', '1 0 8']), 't');
    const result = hostSchedule(switches, /^other$|^swapper/g, 't');
    expect(result.vcpus.map((vcpu) => vcpu.pid)).toEqual([7, 8]);
  });
});

describe('hostSchedule, VMs', () => {
  /** Places of threads that run once each. A thread is its pid and its name. */
  const group = (threads: readonly string[]): string[] => {
    const named = ['0 swapper/0', ...threads].map((text) => {
      const at = text.indexOf(' ');
      return { pid: Number(text.slice(0, at)), comm: text.slice(at + 1) };
    });
    const switches = named.slice(1).map((next, i): SchedSwitch => {
      const common = { line: i + 1, cpu: 0, time_ns: BigInt(i), after_lost: false };
      const prev = { prev_pid: named[i].pid, prev_comm: named[i].comm };
      return { ...common, ...prev, next_pid: next.pid, next_comm: next.comm };
    });
    return placesOf(hostSchedule(switches, /CPU|vcpu|^d\d+v\d+$/, 't'));
  };

  it.each([
    {
      claim: 'the VM of a Xen thread is the domain in its name',
      threads: ['2401 d14v1', '1000 d0v0', '2400 d14v0'],
      places: '1000=0.0 name, 2400=14.0 name, 2401=14.1 name',
    },
    {
      claim: 'VMs that were started one after the other are kept apart',
      threads: [
        '201 CPU 1/KVM',
        '100 CPU 0/KVM',
        '200 CPU 0/KVM',
        '203 CPU 3/KVM',
        '101 CPU 1/KVM',
      ],
      places: '100=0.0 name, 101=0.1 pids, 200=1.0 name, 201=1.1 pids, 203=1.3 pids',
    },
    {
      claim: 'the nearest pid below decides when nothing else does',
      threads: ['13242 CPU 0/TCG', '13243 CPU 0/TCG', '13244 CPU 1/TCG'],
      places: '13242=0.0 name, 13243=1.0 name, 13244=1.1 pids',
    },
    {
      claim: 'a VM that has the CPU before is preferred to one with a nearer pid',
      threads: ['100 CPU 0/KVM', '101 CPU 1/KVM', '200 CPU 0/KVM', '201 CPU 2/KVM'],
      places: '100=0.0 name, 101=0.1 pids, 201=0.2 pids, 200=1.0 name',
    },
    {
      claim: 'a thread without a number, or without a CPU 0, gets a VM of its own',
      threads: ['7 vcpu', '8 vcpu', '5 CPU 2/KVM'],
      places: '5=0.2 pids, 7=1.0 pids, 8=2.0 pids',
    },
  ])('$claim', ({ threads, places }) => {
    expect(group(threads).join(', ')).toBe(places);
  });

  it('clear hand-overs to a main thread decide, and only clear ones', () => {
    const rows = (of_201: readonly number[]): string[] => {
      const list: string[] = [];
      const turn = (vcpu: number, main: number): void => {
        list.push(`0 0 ${vcpu}`, `0 ${vcpu} ${main}`, `0 ${main} 0`);
      };
      for (let i = 0; i < 20; i++) {
        turn(100, 50);
        turn(200, 60);
      }
      for (const main of of_201) turn(201, main);
      return list;
    };
    const all = (main: number, count: number): number[] => Array<number>(count).fill(main);
    const last = (list: readonly number[]): string | undefined =>
      placesOf(schedule(rows(list))).find((place) => place.startsWith('201'));
    expect(last(all(50, 20))).toBe('201=0.1 hand-overs');
    expect(last(all(60, 20))).toBe('201=1.1 hand-overs');
    expect(last(all(50, 19))).toBe('201=1.1 pids');
    expect(last([...all(50, 15), ...all(60, 5)])).toBe('201=0.1 hand-overs');
    expect(last([...all(50, 14), ...all(60, 6)])).toBe('201=1.1 pids');
    // Hand-overs say nothing if a main thread serves both VMs, or none of them.
    const shared = rows(all(50, 20)).map((row) => row.replace(/\b60\b/, '50'));
    expect(placesOf(schedule(shared))).toContain('201=1.1 pids');
    expect(last(all(61, 20))).toBe('201=1.1 pids');
  });

  it('VMs are numbered around those that the caller gave', () => {
    const rows = ['0 0 100', '0 100 101', '0 101 200', '0 200 201'];
    expect(placesOf(schedule(rows, new Map([[200, 0]])))).toEqual([
      '200=0.0 given',
      '100=1.0 name',
      '101=1.1 pids',
      '201=2.1 pids',
    ]);
  });
});

describe('hostSchedule, errors', () => {
  const failure = (rows: readonly string[], vm_of_pid?: ReadonlyMap<number, number>): string => {
    try {
      schedule(rows, vm_of_pid);
    } catch (error) {
      if (error instanceof TraceError) return error.message;
      throw error;
    }
    return 'no error';
  };

  it.each<{ claim: string; rows: string[]; message: string | RegExp }>([
    {
      claim: 'a recording without events is refused, and how to record is told',
      rows: ['# tracer: nop'],
      message:
        'trace.txt: there is no sched_switch event; record it, for example with ' +
        'trace-cmd record -e sched:sched_switch, and print it with trace-cmd report',
    },
    {
      claim: 'a recording without a vCPU is refused, and its threads are listed',
      rows: ['0 0 50', '0 50 7', '0 7 0'],
      message:
        'trace.txt: no thread name matches /CPU \\d+\\/(KVM|TCG)/, so there is no vCPU; the ' +
        "threads are 'qemu-system-x86', 'other'; say with --vcpu-threads REGEX which of them are " +
        'vCPUs',
    },
    {
      claim: 'a vCPU on two CPUs at once is refused',
      rows: ['0 0 100', '0 100 0', '0 0 100', '1 7 8', '1 8 100'],
      message:
        "trace.txt:5: vCPU thread 'CPU 0/KVM' (pid 100) runs on CPU 1 here, but since line 3 it " +
        'runs on CPU 0; record with one clock for all CPUs (trace-cmd record -C mono) and ' +
        'without event filters',
    },
    {
      claim: 'a vCPU is refused that another CPU turns out to run since before its first event',
      rows: ['0 0 100', '1 100 0'],
      message: /^trace\.txt:2: vCPU thread .* since line 1 /,
    },
    {
      claim: 'an outgoing thread that did not run is refused',
      rows: ['0 0 100', '1 0 7', '0 101 0'],
      message:
        "trace.txt:3: pid 101 ('CPU 1/KVM') leaves CPU 0, but since line 1 pid 100 runs there; a " +
        'line is missing in between: record sched_switch without filters, for all threads, and ' +
        'keep the lines that report lost events',
    },
    {
      claim: 'a gap on another CPU is no excuse for a thread that did not run',
      rows: ['0 0 100', 'CPU:1 [LOST 3 EVENTS]', '0 101 0'],
      message: /^trace\.txt:3: pid /,
    },
  ])('$claim', ({ rows, message }) => {
    if (typeof message === 'string') expect(failure(rows)).toBe(message);
    else expect(failure(rows)).toMatch(message);
  });

  it('at most ten threads are listed, the busiest first', () => {
    const text = Array.from({ length: 12 }, (_, i) =>
      record([`0 ${i} ${i + 1}`])
        .replace(`${nameOf(i)} prev_pid`, `t${i} prev_pid`)
        .replace('other next_pid', `t${i + 1} next_pid`),
    ).join('\n');
    expect(() => hostSchedule(parseFtrace(text, 't'), /no/, 't')).toThrow(
      /threads are 't1', 't2', 't3', 't4', 't5', 't6', 't7', 't8', 't9', 't10' and 2 more; say/,
    );
  });

  it('time that goes back is refused', () => {
    const text = `${record(['0 0 7', '0 7 100'])}\n${record(['0 100 7'])}`;
    expect(() => hostSchedule(parseFtrace(text, 't'), DEFAULT_VCPU_THREADS, 't')).toThrow(
      /^t:3: time goes back from 5\.000001000 s \(line 2\) to 5\.000000000 s; give one recording/,
    );
  });

  it('VMs for threads that are no vCPUs, and one vCPU twice, are refused', () => {
    const rows = ['0 0 100', '0 100 200', '0 200 7'];
    expect(failure(rows, new Map([[7, 1]]))).toBe(
      'trace.txt: pid 7 was put into VM 1, but is no vCPU thread; these are: 100 (CPU 0/KVM), ' +
        '200 (CPU 0/KVM)',
    );
    const same = new Map([
      [100, 1],
      [200, 1],
    ]);
    expect(failure(rows, same)).toBe(
      'trace.txt: pids 100 and 200 are both vCPU 0 of VM 1; put one into another VM',
    );
  });
});

describe('summarize', () => {
  it('summarize counts as a count by hand does', () => {
    const summary = summarize(
      schedule([
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
});

/** The oracle: a host that always obeys the rules. */
interface Run {
  readonly switches: readonly SchedSwitch[];
  /** For each event, the pid that runs on each CPU after it. */
  readonly running: readonly (readonly number[])[];
}

/** Each pick is a CPU and the thread to run next. A thread that runs elsewhere is skipped. */
function simulate(cpus: number, picks: readonly (readonly [number, number])[]): Run {
  const pids = [0, 7, 8, 100, 101, 200, 201];
  const now = [100, 0, 7, 201].slice(0, cpus);
  const switches: SchedSwitch[] = [];
  const running: number[][] = [];
  for (const [i, [cpu_pick, pid_pick]] of picks.entries()) {
    const cpu = cpu_pick % cpus;
    const prev_pid = now[cpu] ?? 0;
    const free = pids.filter((pid) => pid !== prev_pid && (pid === 0 || !now.includes(pid)));
    const next_pid = free[pid_pick % free.length] ?? 0;
    now[cpu] = next_pid;
    running.push([...now]);
    const [prev_comm, next_comm] = [nameOf(prev_pid), nameOf(next_pid)];
    const common = { line: i + 1, cpu, time_ns: BigInt(i) * 1000n, after_lost: false };
    switches.push({ ...common, prev_comm, prev_pid, next_comm, next_pid });
  }
  return { switches, running };
}

const runArb: fc.Arbitrary<Run> = fc
  .tuple(
    fc.integer({ min: 1, max: 4 }),
    fc.array(fc.tuple(fc.nat({ max: 99 }), fc.nat({ max: 99 })), {
      minLength: 8,
      maxLength: 80,
      size: 'max',
    }),
  )
  .map(([cpus, picks]) => simulate(cpus, picks));

/** Plays the steps up to a line and checks each. Returns the pid on each CPU. */
function residents({ steps, vcpus, pcpus }: HostSchedule, line: number): Map<number, number> {
  const resident = new Map<number, number>();
  for (const step of steps) {
    if (step.line > line) break;
    const cpu = pcpus[step.pcpu] ?? -1;
    const pid = vcpus[step.vcpu]?.pid ?? 0;
    // This runs for every step of every prefix, where expect() would take seconds.
    if ((resident.get(cpu) ?? 0) === pid) throw new Error(`no change in line ${step.line}`);
    if (pid !== 0 && [...resident.values()].includes(pid)) {
      throw new Error(`pid ${pid} is on two CPUs in line ${step.line}`);
    }
    resident.set(cpu, pid);
  }
  return resident;
}

/** True for the vCPUs of simulate(). */
function isVcpu(pid: number): boolean {
  return pid >= 100;
}

/** Indices of the events that have an earlier and a later event on their CPU. */
function innerEvents(switches: readonly SchedSwitch[]): number[] {
  return switches.flatMap(({ cpu }, i) => {
    const before = switches.slice(0, i).some((event) => event.cpu === cpu);
    return before && switches.slice(i + 1).some((event) => event.cpu === cpu) ? [i] : [];
  });
}

describe('hostSchedule, generated hosts', () => {
  const vcpu_seen = ({ switches }: Run): boolean =>
    switches.some((event) => isVcpu(event.prev_pid) || isVcpu(event.next_pid));

  it('the vCPU that runs is always resident, on every CPU whose events have begun', () => {
    let reached = 0;
    fc.assert(
      fc.property(runArb, (run) => {
        if (!vcpu_seen(run)) return;
        reached++;
        const result = hostSchedule(run.switches, DEFAULT_VCPU_THREADS, 't');
        for (const [i, now] of run.running.entries()) {
          const resident = residents(result, i + 1);
          const begun = new Set(run.switches.slice(0, i + 1).map((event) => event.cpu));
          for (const cpu of begun) {
            const pid = now[cpu] ?? 0;
            expect(resident.get(cpu) ?? 0).toBe(isVcpu(pid) ? pid : 0);
          }
        }
      }),
    );
    expect(reached).toBeGreaterThan(50);
  });

  it('reported losses never make it fail, and it is right again from the next event on', () => {
    let lost_total = 0;
    fc.assert(
      fc.property(runArb, fc.array(fc.boolean(), { minLength: 80, maxLength: 80 }), (run, lose) => {
        // Only an event with a later one on its CPU may be lost: the later one has the mark.
        const last_of_cpu = new Map(run.switches.map((event, i) => [event.cpu, i]));
        const lossy = new Set<number>();
        const kept: SchedSwitch[] = [];
        for (const [i, event] of run.switches.entries()) {
          if (lose[i] === true && last_of_cpu.get(event.cpu) !== i) {
            lossy.add(event.cpu);
            lost_total++;
            continue;
          }
          kept.push({ ...event, after_lost: lossy.delete(event.cpu) });
        }
        if (!kept.some((event) => isVcpu(event.prev_pid) || isVcpu(event.next_pid))) return;
        const result = hostSchedule(kept, DEFAULT_VCPU_THREADS, 't');
        for (const event of kept) {
          const pid = residents(result, event.line).get(event.cpu) ?? 0;
          expect(pid).toBe(isVcpu(event.next_pid) ? event.next_pid : 0);
        }
      }),
    );
    expect(lost_total).toBeGreaterThan(500);
  });

  it('an event that is missing without a report is always noticed', () => {
    let reached = 0;
    fc.assert(
      fc.property(runArb, fc.nat(), (run, pick) => {
        const inner = innerEvents(run.switches);
        const missing = inner[pick % Math.max(inner.length, 1)];
        if (missing === undefined) return;
        const kept = run.switches.filter((_, i) => i !== missing);
        if (!kept.some((event) => isVcpu(event.prev_pid) || isVcpu(event.next_pid))) return;
        reached++;
        expect(() => hostSchedule(kept, DEFAULT_VCPU_THREADS, 't')).toThrow(TraceError);
      }),
    );
    expect(reached).toBeGreaterThan(50);
  });
});

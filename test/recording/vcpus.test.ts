/** Who is a vCPU, and of which VM, and what that is known from. */
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { parseRecording, type ReadOptions } from '../../src/recording/read.js';
import { type Recording, summarize } from '../../src/recording/recording.js';
import { vcpuName } from '../../src/recording/threads.js';
import { FORMS, ftraceLine, printed, record } from '../rig/recordings.js';
import { seeded } from '../rig/seed.js';

const EXAMPLE = new URL('../../examples/two-vms-one-cpu/host.txt.gz', import.meta.url);

/** VM and vCPU by pid. */
function placesOf({ vcpus, vms }: Recording): string[] {
  return vcpus.map((v) => `${v.pid}=${vms[v.vm].name}.${v.index} ${v.vmFrom}`);
}

const given = (pairs: Readonly<Record<string, number[]>>): ReadOptions => ({
  vms: new Map(Object.entries(pairs)),
});

/** A recording in which threads run once each. A thread is its pid and its name. */
function threadsText(threads: readonly string[]): string {
  const named = ['0 swapper/0', ...threads].map((text) => {
    const at = text.indexOf(' ');
    return { pid: Number(text.slice(0, at)), comm: text.slice(at + 1) };
  });
  return named
    .slice(1)
    .map(({ pid, comm }, i) => {
      const prev = named[i];
      const common = { cpu: 0, time: 5e9 + i * 1000 };
      const who = { prevComm: prev.comm, prevPid: prev.pid, nextComm: comm, nextPid: pid };
      return ftraceLine({ ...common, ...who });
    })
    .join('\n');
}

describe("a thread's name", () => {
  it.each([
    ['CPU 3/KVM', 3],
    ['vm2 CPU 3/KVM', 3],
    ['CPU 0/TCG', 0],
    ['fc_vcpu 12', 12],
    ['crosvm_vcpu7', 7],
    ['vcpu0', 0],
    ['vcpu 5', 5],
    ['kvm-vcpu-2', 2],
  ])('%s is vCPU %i', (comm, index) => {
    expect(vcpuName(comm)).toEqual({ index, domain: null });
  });

  it.each([
    'qemu-system-x86',
    'CPU 3/KVMx',
    'xCPU 3',
    'vcpu',
    'vcpu12-of-4',
    'kworker/u8:3',
    'd1v',
  ])('a number in another name is no vCPU: %s', (comm) => {
    expect(vcpuName(comm)).toBeNull();
  });

  it('a thread is a vCPU of Xen if its name is d<domain>v<vcpu> and nothing else', () => {
    const number = fc.nat(99_999);
    const around = fc.constantFrom('', ' ', 'x', '-', 'd', '/KVM');
    fc.assert(
      fc.property(number, number, around, around, (domain, index, before, after) => {
        const xen = before === '' && after === '';
        const name = vcpuName(`${before}d${domain}v${index}${after}`);
        expect(name).toEqual(xen ? { index, domain } : null);
      }),
      seeded(200),
    );
  });
});

describe('who is a vCPU', () => {
  const kvm = (pid: number, event: string, at: number): string =>
    ` qemu-system-x86-${pid}    [000] d..1. 5.0000${at}: ${event}`;
  const plain = [
    '0 0 7001',
    kvm(7001, 'kvm_entry: vcpu 1, rip 0xffffffff81036706', 11),
    kvm(7001, 'kvm_exit: vcpu 1 reason HLT rip 0xffffffff81036706 info1 0x0 info2 0x0', 12),
    '0 7001 7002',
    kvm(7002, 'kvm_entry: vcpu 0', 13),
    kvm(7002, 'kvm_exit: reason MSR_WRITE rip 0x1 info 0 0', 14),
    '0 7002 7003',
    '0 7003 0',
  ];

  it('KVM says which thread is which, where its events were recorded', () => {
    const recording = parseRecording(record(plain), 't');
    expect(placesOf(recording)).toEqual(['7001=0.1 pids', '7002=1.0 name']);
    expect(recording.vcpus.map(({ vcpuFrom }) => vcpuFrom)).toEqual(['kvm', 'kvm']);
    const events = recording.kvmEvents();
    const seen: string[] = [];
    while (events.next()) seen.push(`${events.vcpu} ${events.reason ?? 'entry'} ${events.time}`);
    expect(seen).toEqual(['0 entry 11000', '0 HLT 12000', '1 entry 13000', '1 MSR_WRITE 14000']);
  });

  it('a process that the text has a column of is a VM', () => {
    const rows = record(plain).replaceAll(/-(700[123]) +\[/g, (_, pid: string) => {
      return `-${pid} (   ${pid === '7003' ? '70' : '69'}) [`;
    });
    // The event of a thread has its process, so the rows in which it leaves tell.
    const switches = rows.replaceAll(/x?other-(\d+)/g, 'other-$1');
    const recording = parseRecording(
      switches.replaceAll(/other-(700\d) +\[/g, 'other-$1 (69) ['),
      't',
    );
    expect(placesOf(recording)).toEqual(['7002=pid 69.0 process', '7001=pid 69.1 process']);
    expect(recording.vcpus.every(({ sure }) => sure === 'certain')).toBe(true);
  });

  it('an event without a thread is of the one that runs on its CPU', () => {
    const perf = FORMS.find(({ name }) => name === 'perf script -F cpu,time,event,trace');
    const common = { cpu: 3, prevComm: 'swapper', nextComm: 'qemu', time: 5e9 };
    const lines = printed(perf ?? FORMS[0], [{ ...common, prevPid: 0, nextPid: 7 }]);
    lines.push('[003]   5.850287:                      kvm:kvm_entry: vcpu 4, rip 0x100146');
    expect(placesOf(parseRecording(lines.join('\n'), 't'))).toEqual(['7=0.4 pids']);
  });

  it('the word of the caller goes before all else, and is checked', () => {
    const text = record(['0 0 100', '0 100 200', '0 200 7', '0 7 201']);
    const places = placesOf(parseRecording(text, 't', given({ b: [200], a: [100, 7] })));
    expect(places).toEqual(
      ['7=a.1 given', '100=a.0 given', '200=b.0 given', '201=2.1 pids'].sort(
        (x, y) => places.indexOf(x) - places.indexOf(y),
      ),
    );
    expect(() => parseRecording(text, 't', given({ a: [999] }))).toThrow(
      /no thread has the pid 999, which is given to VM a; there are: 100 \(CPU 0\/KVM\), 200/,
    );
    expect(() => parseRecording(text, 't', given({ a: [100], b: [100] }))).toThrow(
      /pid 100 is given to both VM a and VM b/,
    );
    expect(() => parseRecording(text, 't', given({ a: [100, 200] }))).toThrow(
      /pids 100 and 200 are both vCPU 0 of VM a; .*--vm NAME=200/,
    );
  });

  it('at most ten threads are listed where there is no vCPU', () => {
    const text = threadsText(Array.from({ length: 12 }, (_, i) => `${i + 1} t${i + 1}`));
    expect(() => parseRecording(text, 't', { vcpuThreads: /no/ })).toThrow(
      /no thread name matches \/no\/.*are 't1', 't2', .*'t10' and 2 more; say with --vcpu-threads/,
    );
    expect(() => parseRecording('# nothing', 't')).toThrow(/no sched_switch event; record it/);
  });

  it('a thread is known by its pid, whenever it gets its name', () => {
    const late = record(['0 0 100', '0 100 0', '0 0 100']).replace(
      'next_comm=CPU 0/KVM',
      'next_comm=qemu-system-x86',
    );
    const { vcpus, steps } = parseRecording(late, 't');
    expect(vcpus.map(({ comm }) => comm)).toEqual(['CPU 0/KVM']);
    expect(Array.from(steps.line)).toEqual([1, 2, 3]);
  });
});

describe('which VM a vCPU belongs to', () => {
  it.each([
    {
      claim: 'the VM of a Xen thread is the domain in its name',
      threads: ['2401 d14v1', '1000 d0v0', '2400 d14v0'],
      places: '1000=d0.0 name, 2400=d14.0 name, 2401=d14.1 name',
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
      claim: 'a thread without a CPU 0 gets a VM of its own',
      threads: ['7 vcpu1', '5 CPU 2/KVM'],
      places: '5=0.2 pids, 7=1.1 pids',
    },
  ])('$claim', ({ threads, places }) => {
    expect(placesOf(parseRecording(threadsText(threads), 't')).join(', ')).toBe(places);
  });

  it('clear hand-overs to a main thread decide, and only clear ones', () => {
    const rows = (of201: readonly number[]): string[] => {
      const list: string[] = [];
      const turn = (vcpu: number, main: number): void => {
        list.push(`0 0 ${vcpu}`, `0 ${vcpu} ${main}`, `0 ${main} 0`);
      };
      for (let i = 0; i < 20; i++) {
        turn(100, 50);
        turn(200, 60);
      }
      for (const main of of201) turn(201, main);
      return list;
    };
    const all = (main: number, count: number): number[] => Array<number>(count).fill(main);
    const last = (list: readonly number[]): string | undefined =>
      placesOf(parseRecording(record(rows(list)), 't')).find((place) => place.startsWith('201'));
    expect(last(all(50, 20))).toBe('201=0.1 hand-overs');
    expect(last(all(60, 20))).toBe('201=1.1 hand-overs');
    expect(last(all(50, 19))).toBe('201=1.1 pids');
    expect(last([...all(50, 15), ...all(60, 5)])).toBe('201=0.1 hand-overs');
    expect(last([...all(50, 14), ...all(60, 6)])).toBe('201=1.1 pids');
    expect(last(all(61, 20))).toBe('201=1.1 pids');
  });
});

describe('examples/two-vms-one-cpu', () => {
  const text = gunzipSync(readFileSync(EXAMPLE));

  it('both VMs of the example are found, and counted as by a one-pass script', () => {
    const recording = parseRecording(text, 't');
    expect(placesOf(recording)).toEqual([
      '13242=0.0 name',
      '13244=0.1 hand-overs',
      '13243=1.0 name',
    ]);
    expect(recording.switches).toBe(8283);
    expect(summarize(recording)).toEqual({
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
    const other = parseRecording(text, 't', given({ a: [13242], b: [13243, 13244] }));
    expect(placesOf(other)).toEqual(['13242=a.0 given', '13243=b.0 given', '13244=b.1 given']);
    expect(summarize(other).changes).toBe(1312);
  });
});

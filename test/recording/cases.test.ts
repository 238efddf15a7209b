/** Small recordings that are hard to read, and what is right of each (cases/README.md). */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseRecording, type ReadOptions } from '../../src/recording/read.js';
import { type Recording, summarize } from '../../src/recording/recording.js';
import { statisticsOf } from '../../src/recording/statistics.js';
import { RecordedWindows } from '../../src/schedule/recorded.js';

function read(name: string, options: ReadOptions = {}): Recording {
  const path = new URL(`cases/${name}.txt`, import.meta.url);
  return parseRecording(readFileSync(path), `${name}.txt`, options);
}

/** vCPUs as `pid=VM.index evidence`. */
function who({ vcpus, vms }: Recording): string {
  return vcpus
    .map((v) => `${v.pid}=${vms[v.vm].name}.${v.index} ${v.vcpuFrom}/${v.vmFrom}`)
    .join(', ');
}

const vms = (pairs: Readonly<Record<string, number[]>>): ReadOptions => ({
  vms: new Map(Object.entries(pairs)),
});

describe('cases that are hard to read', () => {
  it('a number in the name of plain QEMU is no vCPU; the advice that is given works', () => {
    const name = 'qemu-system-x86-is-vcpu-86';
    expect(() => read(name)).toThrow(
      /no thread has kvm_entry .*'qemu-system-x86'.*--vm NAME=PID,PID.*kvm:kvm_entry/,
    );
    expect(who(read(name, vms({ a: [1001] })))).toBe('1001=a.0 given/given');
    expect(who(read(name, { vcpuThreads: /qemu/ }))).toBe('1001=0.86 name/pids');
  });

  it('only pCPUs on which a vCPU ever runs count', () => {
    expect(read('twelve-cpus-two-with-vcpus').pcpus).toEqual([0, 1]);
  });

  it('a lone CPU 15 is one vCPU of a machine that has one', () => {
    const recording = read('vm-with-16-vcpus-one-seen');
    expect(who(recording)).toBe('1016=0.15 name/pids');
    expect(new RecordedWindows(recording).at(0).shape).toMatchObject({ vms: 1, vcpus: 1 });
  });

  it('a guess is told as one, and an option corrects it', () => {
    const name = 'group-two-vms-look-like-one';
    const guessed = read(name);
    expect(who(guessed)).toBe('1001=0.0 name/name, 9002=0.1 name/pids');
    expect(guessed.vcpus.map(({ sure }) => sure)).toEqual(['certain', 'guess']);
    const given = read(name, vms({ a: [1001], b: [9002] }));
    expect(who(given)).toBe('1001=a.0 given/given, 9002=b.1 given/given');
    expect(summarize(given)).toMatchObject({ vms: 2, changes: 39, changes_across_vms: 39 });
  });

  it('gaps between threads that are no vCPUs never matter', () => {
    const recording = read('event-filter-on-vcpus');
    expect(summarize(recording)).toMatchObject({ vcpu_switches: 4, pcpus: 1 });
    expect(recording.gapCount).toBe(0);
  });

  it('lost events are read with the lines that tell of them, or with --allow-gaps', () => {
    const told = read('lost-lines');
    expect(told).toMatchObject({ losses: 2, gapCount: 2 });
    expect(() => read('lost-lines-after-grep')).toThrow(/^lost-.*:97: .*--allow-gaps/);
    const allowed = read('lost-lines-after-grep', { allowGaps: true });
    expect(allowed).toMatchObject({ losses: 0, gapCount: 2 });
    expect(allowed.gaps.map(({ line, told: isTold }) => [line, isTold])).toEqual([
      [97, false],
      [99, false],
    ]);
    expect(summarize(allowed)).toEqual(summarize(told));
  });

  it('a loss explains a gap also where its CPU has no later switch', () => {
    const recording = read('lost-with-no-later-switch');
    expect(recording).toMatchObject({ losses: 1, gapCount: 1 });
    expect(summarize(recording).migrations).toBe(1);
  });

  it('a CPU number above the count of online CPUs is no mistake', () => {
    expect(read('offline-cpus-in-header').pcpus).toEqual([0, 8]);
  });

  it('no control character of a name is in a message, nor in what is read', () => {
    // oxlint-disable-next-line no-control-regex
    const controls = /[\u0000-\u0009\u000b-\u001f\u007f]/;
    expect(() => read('escape-in-name')).toThrow(/'\\x1b\[2Jvm\\x07 x', '\\x1b\[31mred'/);
    expect(() => read('escape-in-name')).not.toThrow(controls);
    const { vcpus } = read('escape-in-name', vms({ a: [201, 102] }));
    expect(vcpus.map(({ comm }) => comm).join('')).not.toMatch(controls);
  });

  it('fields that newer kernels append are left out', () => {
    expect(summarize(read('extra-trailing-field'))).toMatchObject({ vcpus: 1, vcpu_switches: 2 });
  });

  it('the latency format is read', () => {
    const recording = read('latency-format');
    expect(recording.form).toBe('latency');
    expect(Array.from(recording.steps.time)).toEqual([203, 478, 777, 797].map((us) => us * 1000));
  });

  it.each([
    ['raw-ts', /^raw-ts\.txt:2: the time 852655067718354 .*without --raw-ts/],
    ['perf-script-without-cpu', /^perf.*:1: .*no CPU column.*perf script -F \+cpu/],
  ])('%s is refused, with the option that mends it', (name, message) => {
    expect(() => read(name)).toThrow(message);
  });

  it('host and guest in one text are two machines, and one has to be chosen', () => {
    const name = 'host-and-guest-same-pid';
    expect(() => read(name)).toThrow(/2 machines: host\.dat, guest\.dat; .*--machine host\.dat/);
    const host = read(name, { machine: 'host.dat' });
    expect(who(host)).toBe('365=0.0 name/name');
    expect(host.pcpus).toEqual([19]);
    expect(() => read(name, { machine: 'guest.dat' })).toThrow(/there is no vCPU/);
    expect(() => read(name, { machine: 'x' })).toThrow(/no machine 'x'; there are: host\.dat/);
  });

  it('the names of Firecracker are known', () => {
    const recording = read('firecracker-names-ok');
    expect(who(recording)).toBe('1001=0.0 name/name, 1002=0.1 name/pids');
    expect(summarize(recording)).toMatchObject({ vcpu_switches: 12, changes: 7 });
  });

  it('the good baseline has the counts that a script of its own finds', () => {
    const recording = read('good-baseline');
    expect(summarize(recording)).toMatchObject({
      vcpus: 4,
      vms: 2,
      pcpus: 2,
      vcpu_switches: 159,
      changes: 82,
      changes_across_vms: 52,
      migrations: 54,
    });
    const { vcpus, inferred } = statisticsOf(recording);
    expect(vcpus.map(({ migrations }) => migrations).reduce((a, b) => a + b)).toBe(54);
    expect(inferred).toBe(0);
  });
});

/** A recording in words and as JSON. */
import { describe, expect, it } from 'vitest';
import { parseRecording } from '../../src/recording/read.js';
import { statisticsOf } from '../../src/recording/statistics.js';
import {
  guessLines,
  rangesOf,
  recordingJson,
  recordingLines,
} from '../../src/tell/recording_text.js';
import { ftraceLine, nameOf, record } from '../rig/recordings.js';
import { tooLong, WIDTHS } from '../rig/widths.js';

/** Rows of `time cpu prev next`, in microseconds. */
function timed(rows: readonly (readonly [number, number, number, number])[]): string {
  return rows
    .map(([us, cpu, prevPid, nextPid]) => {
      const names = { prevComm: nameOf(prevPid), nextComm: nameOf(nextPid) };
      return ftraceLine({ cpu, time: 5e9 + us * 1000, prevPid, nextPid, ...names });
    })
    .join('\n');
}

describe('what a recording is like', () => {
  const text = timed([
    [0, 0, 0, 100],
    [5, 0, 100, 101], // 5 us
    [205, 0, 101, 100], // 200 us
    [2205, 0, 100, 0], // 2 ms
    [2205, 1, 0, 100],
    [302_205, 1, 100, 0], // 300 ms
    [302_206, 1, 0, 101],
    [302_226, 1, 101, 0], // 20 us
    [302_300, 1, 0, 101], // to the end: no slice that was seen whole
    [302_400, 0, 0, 7],
  ]);

  it('slices, migrations and times are counted by vCPU', () => {
    const { vcpus, inferred } = statisticsOf(parseRecording(text, 't'));
    expect(inferred).toBe(0);
    expect(vcpus).toEqual([
      {
        switches: 3,
        migrations: 1,
        resident: 302_005_000,
        slices: [0, 1, 0, 0, 1, 0, 1],
        exits: 0,
        entries: 0,
      },
      {
        switches: 3,
        migrations: 1,
        resident: 320_000,
        slices: [0, 0, 1, 1, 0, 0, 0],
        exits: 0,
        entries: 0,
      },
    ]);
  });

  it('a slice that only a gap ends is no slice that was seen', () => {
    const lost = record(['0 0 100', 'CPU:0 [LOST 1 EVENTS]', '0 101 0']);
    const { vcpus, inferred } = statisticsOf(parseRecording(lost, 't'));
    expect(vcpus.map(({ slices }) => slices.reduce((a, b) => a + b))).toEqual([0, 0]);
    expect(inferred).toBe(1);
  });

  it('exits are told by their reason, the most frequent first', () => {
    const exit = (reason: string): string =>
      `  CPU 0/KVM-100 [000] d..1. 5.000001: kvm_exit: reason ${reason} rip 0x1 info 0 0`;
    const rows = ['0 0 100', exit('HLT'), exit('MSR_WRITE'), exit('HLT'), '0 100 0'];
    const recording = parseRecording(record(rows), 't');
    expect(recordingLines(recording)).toContain('exits: HLT 2, MSR_WRITE 1');
    expect(recordingJson(recording)).toMatchObject({ exit_reasons: { HLT: 2, MSR_WRITE: 1 } });
    expect(recordingLines(parseRecording(text, 't')).join('\n')).not.toContain('exits');
  });

  it('the short text tells each VM with the evidence, and whatever is uncertain', () => {
    const sure = guessLines(parseRecording(text, 't')).join(' ');
    expect(sure).toContain('VM 0: CPU 0/KVM-100, CPU 1/KVM-101');
    expect(sure).toContain('order of pids, guess');
    expect(sure).toContain('--vm NAME=PID,PID');
    const given = { vms: new Map([['a', [100, 101]]]) };
    const told = guessLines(parseRecording(text, 't', given)).join(' ');
    expect(told).toContain('VM a: ');
    expect(told).not.toContain('guess');
    const lost = record(['0 0 100', '0 101 0']);
    expect(guessLines(parseRecording(lost, 't', { allowGaps: true })).join(' ')).toMatch(
      /1 gap in which a vCPU was switched unseen: line 2 on CPU 0, not told/,
    );
  });

  it.each(WIDTHS)('no line is longer than %i columns', (width) => {
    const lost = record(['0 0 100', '0 101 0', '0 0 100', '0 100 200', '0 200 0']);
    const gaps = parseRecording(lost, 't', { allowGaps: true });
    const cut = { ...gaps, interrupted: true, machines: ['the-one', 'the-other'], losses: 3 };
    for (const one of [parseRecording(text, 't'), gaps, Object.assign(gaps, cut)]) {
      expect(tooLong(width, () => recordingLines(one))).toEqual([]);
      expect(tooLong(width, () => guessLines(one, '  '))).toEqual([]);
      expect(guessLines(one, '    ').every((line) => line.startsWith('    '))).toBe(true);
    }
  });

  it.each([
    [[0, 1, 2, 3, 8], '0-3, 8'],
    [[5], '5'],
    [[1, 3, 4], '1, 3-4'],
    [[], ''],
  ])('numbers of CPUs are told as ranges: %j', (numbers, ranges) => {
    expect(rangesOf(numbers)).toBe(ranges);
  });
});

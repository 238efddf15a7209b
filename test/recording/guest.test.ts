/** The clock of a guest is estimated from when its tasks were switched. */
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  estimateShift,
  givenShift,
  guestOf,
  type GuestRecording,
  readGuest,
} from '../../src/recording/guest.js';
import { parseRecording } from '../../src/recording/read.js';
import type { Recording } from '../../src/recording/recording.js';
import { TextReader } from '../../src/recording/text_reader.js';
import { ftraceLine, nameOf, type Switch } from '../rig/recordings.js';
import { drawOf, seeded } from '../rig/seed.js';

const example = (name: string): string =>
  new URL(`../../examples/two-vms-one-cpu/${name}.txt.gz`, import.meta.url).pathname;

const host = (): Recording => parseRecording(gunzipSync(readFileSync(example('host'))), 'host');

describe('the example', () => {
  // Its README has markers, which the host saw later than the guests wrote them: upper bounds.
  it.each([
    ['guest-a', 0, 1037, 2_308_630_000_000],
    ['guest-b', 1, 556, 2_308_657_000_000],
  ])('the clock of %s is found, and all of its switches fit', async (name, vm, count, bound) => {
    const guest = await readGuest(example(name));
    const clock = estimateShift(host(), vm, guest);
    expect(clock).toMatchObject({ from: 'estimated', compared: count, inSlice: count });
    expect(clock.uncertainty).toBeLessThan(100_000);
    expect(clock.offset).toBeLessThan(bound);
    expect(clock.offset).toBeGreaterThan(bound - 60e6);
    const given = givenShift(host(), vm, guest, clock.offset);
    expect(given).toEqual({ ...clock, from: 'given', uncertainty: 0 });
    // A tenth of a second further, it does not fit.
    const off = givenShift(host(), vm, guest, clock.offset + 1e8);
    expect(off.inSlice).toBeLessThan(0.8 * off.compared);
  });

  it('the recording of another VM is refused, with the option that helps', async () => {
    const guest = await readGuest(example('guest-a'));
    expect(() => estimateShift(host(), 1, guest)).toThrow(
      /guest-a\.txt\.gz: the clock of this guest can't be estimated: .*--clock-offset VM=NANO/,
    );
  });
});

function lineOf({ cpu, time, prevPid, nextPid }: Omit<Switch, 'prevComm' | 'nextComm'>): string {
  const names = { prevComm: nameOf(prevPid), nextComm: nameOf(nextPid) };
  return ftraceLine({ cpu, time, prevPid, nextPid, ...names });
}

/** A vCPU that comes and goes at random, and a guest that switches tasks only while it is there. */
function pair(seed: number, shiftUs: number): { recording: Recording; guest: GuestRecording } {
  const draw = drawOf(seed);
  const rows: string[] = [];
  const guestRows: string[] = [];
  let us = 1_000_000;
  let task = 1;
  for (let i = 0; i < 150; i++) {
    us += 100 + draw.below(3000);
    rows.push(lineOf({ cpu: 0, time: us * 1000, prevPid: 7, nextPid: 100 }));
    const length = 50 + draw.below(2000);
    for (let at = 1 + draw.below(40); at < length; at += 20 + draw.below(900)) {
      const time = (us + at - shiftUs) * 1000;
      guestRows.push(lineOf({ cpu: 0, time, prevPid: task, nextPid: 3 - task }));
      task = 3 - task;
    }
    us += length;
    rows.push(lineOf({ cpu: 0, time: us * 1000, prevPid: 100, nextPid: 7 }));
  }
  const reader = new TextReader('guest');
  reader.feed(Buffer.from(`${guestRows.join('\n')}\n`));
  return { recording: parseRecording(rows.join('\n'), 'host'), guest: guestOf(reader) };
}

describe('generated guests', () => {
  it('the true offset is always within the uncertainty that is told', () => {
    fc.assert(
      fc.property(fc.nat(1e6), fc.integer({ min: -4e8, max: 900_000 }), (seed, shiftUs) => {
        const { recording, guest } = pair(seed, shiftUs);
        const { offset, uncertainty } = estimateShift(recording, 0, guest);
        expect(Math.abs(offset - shiftUs * 1000)).toBeLessThanOrEqual(uncertainty + 1000);
        expect(uncertainty).toBeLessThan(100_000);
      }),
      seeded(12),
    );
  });

  it('too few switches are no ground for an estimate', () => {
    const { recording } = pair(1, 0);
    const reader = new TextReader('guest');
    reader.feed(Buffer.from(`${lineOf({ cpu: 0, time: 5e9, prevPid: 1, nextPid: 2 })}\n`));
    expect(() => estimateShift(recording, 0, guestOf(reader))).toThrow(/can't be estimated/);
    expect(() => guestOf(new TextReader('guest'))).toThrow(/no sched_switch event; record it in/);
  });
});

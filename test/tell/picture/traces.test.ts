/** Traces for other tools: by the rules of their formats, over all golden schedules. */
import { describe, expect, it } from 'vitest';
import { accessRows } from '../../../src/tell/picture/access_rows.js';
import { storyItf } from '../../../src/tell/picture/itf.js';
import { storyPerfetto, type TraceEvent } from '../../../src/tell/picture/perfetto.js';
import { GOLDEN, goldenStory } from '../../rig/stories.js';

const STORIES = GOLDEN.map(goldenStory);

/** Whether a value is an expression of ADR-015; says what is not. */
function wrongIn(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'boolean') return [];
  if (typeof value === 'number') return Number.isSafeInteger(value) ? [] : [String(value)];
  if (Array.isArray(value)) return value.flatMap(wrongIn);
  if (typeof value !== 'object' || value === null) return [String(value)];
  const special = Object.keys(value).filter((key) => key.startsWith('#'));
  if (special.length === 0) return Object.values(value).flatMap(wrongIn);
  if (Object.keys(value).length !== 1) return [JSON.stringify(value)];
  const [[key, inside]] = Object.entries(value) as [string, unknown][];
  switch (key) {
    case '#bigint':
      return /^-?\d+$/.test(String(inside)) ? [] : [String(inside)];
    case '#tup':
      return wrongIn(inside);
    case '#map':
      return (inside as unknown[]).flatMap((pair) =>
        Array.isArray(pair) && pair.length === 2 ? wrongIn(pair) : [JSON.stringify(pair)],
      );
    default:
      return [key];
  }
}

interface Itf {
  readonly '#meta': { readonly token: string; readonly format: string; readonly status: string };
  readonly vars: readonly string[];
  readonly states: readonly Readonly<Record<string, unknown>>[];
}

describe('a trace in ITF', () => {
  it('of every golden schedule keeps to ADR-015: each state has all variables', () => {
    for (const story of STORIES) {
      const trace = JSON.parse(JSON.stringify(storyItf(story))) as Itf;
      expect(trace['#meta']).toMatchObject({ token: story.token, format: 'ITF' });
      expect(trace['#meta'].status).toBe(story.breaker === 'nobody' ? 'ok' : 'violation');
      expect(trace.states.length).toBe(story.steps.length);
      for (const [i, { '#meta': meta, ...values }] of trace.states.entries()) {
        expect(meta).toEqual({ index: i });
        expect(Object.keys(values)).toEqual(trace.vars);
        expect(wrongIn(values)).toEqual([]);
      }
    }
  });

  it('of 001 has the state of each step, 64-bit values exactly', () => {
    const { states } = storyItf(goldenStory('001')) as Itf;
    expect(states.map(({ parted }) => parted)).toEqual([...Array(8).fill(false), true, true]);
    expect(states.map(({ broken }) => broken)).toEqual([...Array(9).fill(false), true]);
    expect(states[9].action).toBe('v0: pmi event=0');
    expect(states[9].exits).toEqual({
      '#map': [
        [0, 3],
        [1, 0],
      ],
    });
    const record = { slot: 1, vm: 1, task: 0, kind: 'call', number: 3, from: 0x90000000003 };
    expect(states[8].pcpus).toMatchObject({
      '#map': [
        [0, { vcpu: 0, inGuest: true, debugctl: 'LBR', lbr: { tos: 1, records: [record] } }],
      ],
    });
    expect(states[8].vcpus).toMatchObject({
      '#map': [
        [0, { vm: 0, pcpu: 0, holder: 'registers', wrong: [1], kept: [] }],
        [1, { vm: 1, pcpu: -1, holder: 'nobody', reference: { records: [record] } }],
      ],
    });
    expect(states[5].tasks).toMatchObject({
      '#map': [
        [{ '#tup': [0, 0] }, { vcpu: 0, kept: [] }],
        [{ '#tup': [0, 1] }, { vcpu: -1, kept: [] }],
        [{ '#tup': [1, 0] }, { vcpu: -1, kept: [{ tos: 1, records: [record] }] }],
        [{ '#tup': [1, 1] }, { vcpu: 1, kept: [] }],
      ],
    });
    const accesses = states[9].accesses as readonly unknown[];
    expect(accesses[accesses.length - 1]).toEqual({
      by: 'guest',
      vcpu: 0,
      pcpu: 0,
      write: false,
      msr: 'FROM_1',
      count: 1,
      value: 0x90000000003,
      exits: false,
      fault: false,
      wrong: true,
    });
    // What JSON's numbers can't hold has another form.
    expect(JSON.stringify(states)).toMatch(/"info":\{"#bigint":"\d{17,}"\}/);
  });
});

interface Trace {
  readonly traceEvents: readonly TraceEvent[];
  readonly otherData: { readonly token: string };
}

describe('a trace for Perfetto', () => {
  it('of every golden schedule keeps to the format: places with names, slices that nest', () => {
    for (const story of STORIES) {
      const trace = JSON.parse(JSON.stringify(storyPerfetto(story))) as Trace;
      expect(trace.otherData.token).toBe(story.token);
      const { traceEvents: events } = trace;
      const threads = new Map<number, number>();
      const processes = new Set<number>();
      for (const { ph, name, pid, tid, args } of events) {
        if (ph !== 'M') continue;
        expect(['process_name', 'thread_name']).toContain(name);
        expect(typeof args.name).toBe('string');
        if (name === 'process_name') processes.add(pid);
        else {
          expect(threads.has(tid)).toBe(false);
          threads.set(tid, pid);
        }
      }
      const ends = new Map<number, number>();
      for (const { ph, ts, dur, pid, tid, name, s } of events) {
        expect(name).not.toBe('');
        if (ph === 'M') continue;
        expect(Number.isInteger(ts) && ts >= 0).toBe(true);
        expect(threads.get(tid)).toBe(pid);
        expect(processes.has(pid) && pid > 0).toBe(true);
        expect(ph === 'X' ? [typeof dur, s] : [dur, typeof s]).toEqual(
          ph === 'X' ? ['number', undefined] : [undefined, 'string'],
        );
        if (ph !== 'X' || dur === undefined) continue;
        expect(dur).toBeGreaterThan(0);
        expect(ts).toBeGreaterThanOrEqual(ends.get(tid) ?? 0);
        ends.set(tid, ts + dur);
      }
    }
  });

  it('of 001 shows who runs on p0 and when, the steps, the accesses and the marks', () => {
    const { traceEvents: events } = storyPerfetto(goldenStory('001')) as Trace;
    const of = (cat: string): string[] =>
      events
        .filter((event) => event.cat === cat)
        .map(({ name, ts, dur }) => `${name} @${ts}${dur === undefined ? '' : `+${dur}`}`);
    expect(of('pCPU')).toEqual([
      'v0, in the guest @0+1000',
      'v1, in the guest @1000+4000',
      'v0, in the guest @5000+2000',
      'v1, in the guest @7000+1000',
      'v0, in the guest @8000+2000',
    ]);
    expect(of('vCPU').slice(0, 2)).toEqual([
      't0, in the guest @0+1000',
      't0, in the guest @5000+2000',
    ]);
    expect(of('task')).toContain('p0, in the guest @4000+1000');
    expect(of('step')[9]).toBe('#9 v0 PMI of event 0 @9000+1000');
    expect(of('step')[0]).toBe('#0 the machine has booted @0+1000');
    expect(of('mark')).toEqual(['parts from the reference @8000', 'breaks no-leak/vm @9000']);
    expect(of('msr').slice(-2)).toEqual([
      'RDMSR LBR_TOS 1 @9600',
      'RDMSR FROM_1 VM 1 task 0 call#3 @9800',
    ]);
    const last = events.filter(({ cat }) => cat === 'msr').slice(-1)[0];
    expect(last.args).toEqual({ by: 'v0', notes: '≠ reference: 0' });
    // The guest's own access is on its vCPU, that of the host's perf on the pCPU.
    const byHost = events.find(({ args }) => args.by === 'host perf');
    expect([last.pid, byHost?.pid]).toEqual([10, 2]);
  });
});

describe('rows of accesses', () => {
  it('have each access of every golden schedule in one row, and none in two', () => {
    for (const { accesses } of STORIES.flatMap(({ steps }) => steps)) {
      const rows = accessRows(accesses);
      const count = (notes: readonly string[]): number => {
        const said = notes.find((note) => note.endsWith(' accesses'));
        return said === undefined ? 1 : Number(said.split(' ')[0]);
      };
      const total = rows.reduce((sum, { notes }) => sum + count(notes), 0);
      expect(total).toBe(accesses.reduce((sum, access) => sum + access.count, 0));
      expect(rows.filter(({ wrong }) => wrong).length).toBe(
        accesses.filter(({ reference }) => reference !== null).length,
      );
    }
  });

  it('join what is empty and the registers of one record, and nothing else', () => {
    const told = goldenStory('001').steps.flatMap(({ accesses }) => accessRows(accesses));
    const texts = told.map(({ who, how, what, value, notes }) =>
      [who, how, what, value, ...notes].join(' '),
    );
    expect(texts).toContain('v1 WRMSR slots 0..31 0 95 accesses');
    expect(texts).toContain('host perf WRMSR slot 1 VM 1 task 0 call#3 3 accesses');
    expect(texts).toContain('v1 WRMSR DEBUGCTL LBR exits');
    expect(texts).toContain('policy for v1 WRMSR FROM_0 0');
    const whole = STORIES.flatMap(({ steps }) => steps)
      .flatMap(({ accesses }) => accessRows(accesses))
      .find(({ what, records }) => what === 'all LBR MSRs' && records.length > 1);
    expect(whole?.value).toBe(`${whole?.records.length} records`);
    const faults = STORIES.flatMap(({ steps }) => steps).flatMap(({ accesses }) =>
      accessRows(accesses).filter(({ notes }) => notes.includes('#GP')),
    );
    expect(faults.length).toBeGreaterThan(3);
  });
});

/** The option --baseline: what it reads, what it refuses, and what it makes of losses. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  baselineOption,
  countedIn,
  forgiven,
  isInBaseline,
  isKnown,
  type Loss,
  readBaseline,
  sinceLines,
  sinceOf,
} from '../../src/console/baseline.js';
import { coloursFor } from '../../src/console/colours.js';
import { UsageError } from '../../src/console/errors.js';

const SCHEMA = 'vlbr/verify/2';
const OLD: Loss = { of: 'merged', what: 'no-leak/vm', how: 'fails' };
const NEW: Loss = { of: 'v10', what: 'no-fault', how: 'fails' };
const GONE: Loss = { of: 'kernel', what: 'balanced', how: 'fails' };
const SETTINGS = {
  cpu: 'skylake',
  policies: ['merged', 'v10'],
  kernelSource: { version: '6.1.192', sha256: 'a' },
  shapes: [{ vms: 2, vcpus: 1 }],
};
const REPORT = { schema: SCHEMA, ...SETTINGS, seed: 1, losses: [OLD, GONE] };

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-baseline-'));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function fileOf(text: string): string {
  const path = join(folder, 'base.json');
  writeFileSync(path, text);
  return path;
}

function read(report: object, settings: Readonly<Record<string, unknown>> = SETTINGS) {
  return readBaseline({ baseline: fileOf(JSON.stringify(report)) }, SCHEMA, settings);
}

describe('readBaseline', () => {
  it('the losses of an earlier report are read, whatever else is in it', () => {
    expect(read(REPORT)).toEqual({ file: join(folder, 'base.json'), losses: [OLD, GONE] });
    expect(readBaseline({}, SCHEMA, SETTINGS)).toBeNull();
    expect(baselineOption().flags).toBe('--baseline <file>');
  });

  it('of a kernel, its version counts without the last number', () => {
    const kernelSource = { version: '6.1.9-rc1', sha256: 'b' };
    expect(read(REPORT, { ...SETTINGS, kernelSource })?.losses).toHaveLength(2);
  });

  it.each<[change: object, why: string]>([
    [{ schema: 'vlbr/explore/2' }, 'its schema is "vlbr/explore/2"; give what --json of this'],
    [{ schema: undefined }, 'its schema is missing; give what --json of this command has printed'],
    [{ cpu: 'haswell' }, 'its cpu is haswell, and here it is skylake'],
    [{ policies: ['v10'] }, 'its policies is v10, and here it is merged,v10'],
    [{ policies: [] }, 'its policies is empty, and here it is merged,v10'],
    [{ policies: ['x'.repeat(50)] }, `its policies is ${'x'.repeat(40)}..., and here`],
    [{ kernelSource: null }, 'its kernelSource is none, and here it is 6.1'],
    [{ kernelSource: { version: '6.12.1' } }, 'its kernelSource is 6.12, and here it is 6.1'],
    [{ kernelSource: { version: 'unknown' } }, 'its kernelSource is unknown, and here it is 6.1'],
    [{ shapes: [{ vms: 2, vcpus: 2 }] }, 'its shapes is 2/2, and here it is 2/1'],
    [{ losses: undefined }, 'it has no list of losses'],
    [{ losses: [OLD, { of: 'merged', what: 'no-fault' }] }, 'it has no list of losses'],
    [{ losses: [{ ...OLD, how: 7 }] }, 'it has no list of losses'],
  ])('a report with %j is refused in a sentence', (change, why) => {
    expect(() => read({ ...REPORT, ...change })).toThrow(UsageError);
    expect(() => read({ ...REPORT, ...change })).toThrow(`--baseline ${folder}/base.json: ${why}`);
  });

  it.each([
    ['{', /base\.json: this is no JSON: .+; give what --json/],
    ['', /base\.json: this is no JSON/],
    ['[]', /base\.json: this is no JSON object; give/],
    ['7', /base\.json: this is no JSON object; give/],
  ])('a file that is %j is refused', (text, why) => {
    expect(() => readBaseline({ baseline: fileOf(text) }, SCHEMA, SETTINGS)).toThrow(why);
  });

  it('a file that can’t be read is refused', () => {
    const reading = (baseline: string) => () => readBaseline({ baseline }, SCHEMA, SETTINGS);
    expect(reading(join(folder, 'none'))).toThrow(/none: there is no such file; give what --json/);
    expect(reading(folder)).toThrow(/: it can't be read \(EISDIR\); give what --json/);
  });
});

describe('sinceOf', () => {
  const baseline = { file: 'base.json', losses: [OLD, GONE] };

  it('losses are new, known, or no longer there', () => {
    const since = sinceOf(baseline, [OLD, NEW], false);
    expect(since).toEqual({ file: 'base.json', new: [NEW], known: [OLD], noLonger: [GONE] });
    expect(countedIn([OLD, NEW], since)).toEqual([NEW]);
    expect([isKnown(since, OLD), isKnown(since, NEW)]).toEqual([true, false]);
  });

  it('a loss of another kind is another loss', () => {
    for (const other of [{ of: 'v8' }, { what: 'no-fault' }, { how: 'vacuous' }]) {
      expect(sinceOf(baseline, [{ ...OLD, ...other }], false)?.known).toEqual([]);
    }
  });

  it('what was cut short does not say that a loss is no longer there', () => {
    expect(sinceOf(baseline, [], true)).toMatchObject({ new: [], known: [], noLonger: [] });
  });

  it('without a baseline every loss counts, and none is known', () => {
    expect(sinceOf(null, [OLD], false)).toBeNull();
    expect(countedIn([OLD], null)).toEqual([OLD]);
    expect(isKnown(null, OLD)).toBe(false);
    expect(isInBaseline(null, OLD)).toBe(false);
    expect([OLD, NEW].map((loss) => isInBaseline(baseline, loss))).toEqual([true, false]);
  });
});

describe('forgiven', () => {
  const since = { file: 'base.json', new: [NEW], known: [OLD], noLonger: [] };
  const bad = { group: 'merged', name: 'no-leak/vm', outcome: 'not ok', says: 'fails' } as const;

  it('a case is ok if all its losses are known, and says from where', () => {
    expect(forgiven(bad, [OLD], since)).toEqual({
      ...bad,
      outcome: 'ok',
      says: 'known from base.json: fails',
    });
  });

  it('a case stays as it is with a new loss, without a baseline, and if it is ok', () => {
    expect(forgiven(bad, [OLD, NEW], since)).toBe(bad);
    expect(forgiven(bad, [OLD], null)).toBe(bad);
    const skipped = { ...bad, outcome: 'skip' } as const;
    expect(forgiven(skipped, [OLD], since)).toBe(skipped);
  });
});

describe('sinceLines', () => {
  it('each loss has a line, and the last line counts them', () => {
    const since = { file: 'base.json', new: [NEW], known: [OLD], noLonger: [GONE] };
    expect(sinceLines(since, coloursFor(false))).toEqual([
      '',
      '           of      what        how',
      'NEW        v10     no-fault    fails',
      'known      merged  no-leak/vm  fails',
      'no longer  kernel  balanced    fails',
      'since base.json: 1 new loss, 1 known, 1 no longer',
    ]);
  });

  it('nothing is told without a baseline, and little where there are no losses', () => {
    expect(sinceLines(null, coloursFor(false))).toEqual([]);
    const none = { file: '-', new: [], known: [], noLonger: [] };
    expect(sinceLines(none, coloursFor(false))).toEqual([
      '',
      'since standard input: 0 new losses, 0 known, 0 no longer',
    ]);
  });
});

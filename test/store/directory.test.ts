import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../src/campaign/campaign.js';
import { Directory } from '../../src/store/directory.js';
import { NOTHING_FOUND, withRange } from '../../src/store/findings.js';
import type { RunsDone } from '../../src/store/unit.js';
import { ASKED } from '../rig/campaign.js';

let folder = '';
let made = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-store-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fresh = (): string => join(folder, String(made++));
const CODE = new Map([['ab', Uint8Array.of(1, 2, 3)]]);

/** A campaign that nobody owns. */
function campaign(): string {
  const path = fresh();
  Directory.create(path, ASKED, CODE).close();
  return path;
}

const shape = { steps: 1, counts: [1], reach: [], broken: [], failures: [], own: [] };
/** What the i-th range has found: a failure of its own. */
const done = (i: number): RunsDone => ({
  found: { runs: 20, interrupted: false, shapes: [shape] },
  met: [
    { property: 'no-fault', own: false, known: -1, cause: `c${i}`, count: 1, shape: 0, words: [i] },
  ],
});

/** Changes the database of a campaign behind its back. */
function tamper(path: string, sql: string): void {
  const db = new Database(join(path, 'campaign.db'));
  db.exec(sql);
  db.close();
}

describe('the directory of a campaign', () => {
  it('has what was asked, and the code by its hash', () => {
    const directory = Directory.read(campaign());
    expect(directory.asked).toEqual(ASKED);
    expect(directory.code('ab')).toEqual(Uint8Array.of(1, 2, 3));
    expect(() => directory.code('cd')).toThrow(/no code cd/);
    directory.close();
  });

  it('puts ranges together in their order, whatever the order in which they are done', () => {
    const order = fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 5 });
    const expected = [0, 1, 2, 3, 4].map(done).reduce(withRange, NOTHING_FOUND);
    const property = fc.property(order, (ranges) => {
      const directory = Directory.create(fresh(), ASKED, new Map());
      let last = NOTHING_FOUND;
      for (const i of ranges) last = directory.keepRange(1, i, done(i));
      expect(last).toEqual(expected);
      expect(directory.findings(1)).toEqual(expected);
      expect(directory.findings(0)).toEqual(NOTHING_FOUND);
      expect(directory.waiting(1)).toEqual([]);
      directory.close();
    });
    fc.assert(property, { numRuns: 5 });
  });

  it('counts a range once, also if it is done twice', () => {
    const directory = Directory.create(fresh(), ASKED, new Map());
    directory.keepRange(0, 2, done(2));
    directory.keepRange(0, 2, done(7));
    expect(directory.waiting(0)).toEqual([2]);
    directory.keepRange(0, 0, done(0));
    const { entries } = directory.keepRange(0, 1, done(1));
    expect(entries.map(({ cause }) => cause)).toEqual(['c0', 'c1', 'c2']);
    expect(directory.keepRange(0, 1, done(9)).ranges).toBe(3);
    expect(directory.waiting(0)).toEqual([]);
    directory.close();
  });

  it('keeps findings, reports and samples for who opens it next', () => {
    const path = fresh();
    const first = Directory.create(path, ASKED, new Map());
    const findings = first.keepRange(0, 0, done(0));
    first.keepFindings(1, findings);
    const report = { results: [], runs: 7 } as unknown as Report;
    first.keepReport(1, report);
    first.keepSample({ at_ms: 5, runs: 1, steps: 2, failures: 3 });
    first.close();
    const next = Directory.own(path);
    expect(next.findings(1)).toEqual(findings);
    expect(next.report(1)).toEqual(report);
    expect(next.report(0)).toBeNull();
    expect(next.samples()).toEqual([{ at_ms: 5, runs: 1, steps: 2, failures: 3 }]);
    next.close();
  });

  it('has one owner at a time, and readers besides', () => {
    const path = fresh();
    const owner = Directory.create(path, ASKED, new Map());
    owner.keepOwner(4711);
    expect(() => Directory.own(path)).toThrow(/being worked on by another process/);
    const reader = Directory.read(path);
    expect(reader.owner).toBe(4711);
    owner.keepRange(0, 0, done(0));
    expect(reader.findings(0).ranges).toBe(1);
    owner.close();
    expect(reader.owner).toBeNull();
    reader.close();
    Directory.own(path).close();
  });
});

describe('a directory that can not be used says why in one sentence', () => {
  it('where there is none', () => {
    expect(() => Directory.read(fresh())).toThrow(/there is no campaign; begin one by/);
    expect(() => Directory.own(fresh())).toThrow(/there is no campaign/);
  });

  it('where a campaign is already, or something else', () => {
    const path = campaign();
    expect(() => Directory.create(path, ASKED, new Map())).toThrow(
      /go on with it by: vlbr campaign/,
    );
    const other = fresh();
    mkdirSync(other);
    writeFileSync(join(other, 'x'), '');
    expect(() => Directory.create(other, ASKED, new Map())).toThrow(/is not empty/);
    expect(() => Directory.create(join(other, 'x', 'y'), ASKED, new Map())).toThrow(/ENOTDIR/);
  });

  it('where a newer vlbr has made it', () => {
    const path = campaign();
    tamper(path, 'PRAGMA user_version = 99');
    expect(() => Directory.read(path)).toThrow(/has form 99, and this vlbr knows form 1/);
    expect(() => Directory.own(path)).toThrow(/has form 99/);
  });

  it('where another version has begun it, which can be read still', () => {
    const path = campaign();
    tamper(path, "UPDATE about SET value = '9.9.9' WHERE key = 'vlbr'");
    expect(() => Directory.own(path)).toThrow(/was begun by vlbr 9\.9\.9, and this is /);
    // The lock is let go of.
    expect(() => Directory.own(path)).toThrow(/was begun by/);
    Directory.read(path).close();
  });

  it('where a page of the database is damaged, or all of it', () => {
    const path = campaign();
    const file = openSync(join(path, 'campaign.db'), 'r+');
    writeSync(file, Buffer.alloc(2000, 0xa5), 0, 2000, 4096);
    closeSync(file);
    expect(() => Directory.read(path)).toThrow(/is damaged/);
    const other = campaign();
    writeFileSync(
      join(other, 'campaign.db'),
      'no database, and longer than its head would be'.repeat(9),
    );
    expect(() => Directory.own(other)).toThrow(/is damaged \(file is not a database\)/);
  });
});

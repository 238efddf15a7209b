import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Directory } from '../../src/store/directory.js';
import { workOff } from '../../src/store/owner.js';
import type { Unit } from '../../src/store/unit.js';
import { ASKED, crewOf } from '../rig/campaign.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vlbr-owner-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** All that is known at the end. */
function known(directory: Directory): unknown {
  return [0, 1].map((i) => [directory.findings(i), directory.report(i)]);
}

const asked = { ...ASKED, properties: ['host-intact', 'balanced'] as const };

describe('the owner of a campaign', () => {
  let whole: unknown = null;

  it('does all units: the runs, what makes failures short, and the verdicts', async () => {
    const directory = Directory.create(join(folder, 'whole'), asked, new Map());
    const heard: number[] = [];
    await workOff(
      directory,
      crewOf(asked, () => 0),
      ({ runs }) => heard.push(runs),
    );
    whole = known(directory);
    for (const i of [0, 1]) {
      const { ranges, entries, found } = directory.findings(i);
      expect([ranges, found?.runs]).toEqual([3, 50]);
      expect(entries.flatMap(({ short }) => short)).not.toContain(null);
      expect(directory.report(i)?.results).toHaveLength(2);
    }
    expect(directory.findings(0).entries.length).toBeGreaterThan(1);
    expect(heard.at(-1)).toBe(100);
    directory.close();
  });

  it.each([
    ['the last first', (n: number) => n - 1],
    ['the middle first', (n: number) => n >> 1],
  ])('comes to the same if results come %s', async (name, pick) => {
    const directory = Directory.create(join(folder, name), asked, new Map());
    await workOff(directory, crewOf(asked, pick), () => {});
    expect(known(directory)).toEqual(whole);
    directory.close();
  });

  it('comes to the same if it ends after each few units, and another goes on', async () => {
    const path = join(folder, 'ended');
    Directory.create(path, asked, new Map()).close();
    for (let i = 0; i < 40; i++) {
      const directory = Directory.own(path);
      await workOff(
        directory,
        crewOf(asked, (n) => n - 1, 3),
        () => {},
      );
      directory.close();
    }
    const directory = Directory.read(path);
    expect(known(directory)).toEqual(whole);
    directory.close();
  });

  it('begins nothing for a crew that has ended, and hands on what a crew throws', async () => {
    const directory = Directory.create(join(folder, 'throws'), asked, new Map());
    await workOff(
      directory,
      crewOf(asked, () => 0, 0),
      () => {},
    );
    expect(directory.findings(0).ranges).toBe(0);
    const units: Unit[] = [];
    const crew = {
      atOnce: 2,
      ended: false,
      do: (_: number, unit: Unit) => {
        units.push(unit);
        return Promise.reject(new RangeError('a crash'));
      },
    };
    await expect(workOff(directory, crew, () => {})).rejects.toThrow('a crash');
    expect(units.length).toBeGreaterThan(0);
    directory.close();
  });
});

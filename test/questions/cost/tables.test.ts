/** Costs, profiles, and the arithmetic on what was counted. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../../src/console/errors.js';
import {
  DEFAULT_COSTS,
  isParameter,
  PRICE_NAMES,
  readCosts,
} from '../../../src/questions/cost/cost_table.js';
import {
  COUNTS,
  type Counts,
  cyclesOfCounts,
  PRICED,
  priceNameOf,
} from '../../../src/questions/cost/ledger.js';
import { profileOf, PROFILES, profileText } from '../../../src/questions/cost/profile.js';
import {
  alike,
  crossings,
  shareOf,
  type Total,
  totalOf,
  totalsOf,
} from '../../../src/questions/cost/summary.js';
import { seeded } from '../../rig/seed.js';

const folder = mkdtempSync(join(tmpdir(), 'vlbr-cost-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(text: string): string {
  const path = join(folder, 'costs.json');
  writeFileSync(path, text);
  return path;
}

/** Counts by name; the others are 0. */
function countsOf(given: Partial<Record<(typeof COUNTS)[number], number>>): Counts {
  return Float64Array.from(COUNTS, (name) => given[name] ?? 0);
}

function total(policy: string, given: Parameters<typeof countsOf>[0], ran = 1e9): Total {
  return { policy, counts: countsOf(given), ran, complete: true };
}

describe('the table of costs', () => {
  it('each cost lies in its range and has a source, and what nobody has measured says so', () => {
    for (const name of PRICE_NAMES) {
      const { value, low, high, source, says, unit } = DEFAULT_COSTS[name];
      expect([name, low <= value && value <= high && low > 0]).toEqual([name, true]);
      expect([name, source !== '' && says !== '' && unit !== '']).toEqual([name, true]);
    }
    const measured = PRICE_NAMES.filter((name) => !isParameter(DEFAULT_COSTS[name]));
    expect(measured).toEqual(['read', 'exit']);
  });

  it('a file replaces what it names, by a number or as a report prints it', () => {
    expect(readCosts(undefined)).toBe(DEFAULT_COSTS);
    const costs = readCosts(file('{"exit": 2500, "read": {"value": 40, "source": "ours"}}'));
    expect([costs.exit.value, costs.exit.source]).toEqual([2500, 'given by --costs']);
    expect([costs.read.value, costs.read.source]).toEqual([40, 'ours']);
    expect(costs.write).toEqual(DEFAULT_COSTS.write);
    expect(readCosts(file(JSON.stringify(DEFAULT_COSTS)))).toEqual(DEFAULT_COSTS);
  });

  it.each([
    ['{"exits": 1}', "there is no cost 'exits'"],
    ['{"exit": -1}', "'exit' is no number of 0 or more"],
    ['{"exit": "2000"}', "'exit' is no number"],
    ['{"exit": null}', "'exit' is no number"],
    ['{"exit": 1e308}', "'exit' is no number of 0 or more, up to 1,000,000,000"],
    ['{"ghz": 0}', "'ghz' must be from 0.01 to 100"],
    ['{"ghz": 1e-300}', "'ghz' must be from 0.01 to 100"],
    ['[1]', 'this is no table of costs'],
    ['7', 'this is no table of costs'],
    ['{"exit": 1', 'JSON'],
  ])('%s is refused with the names of the costs', (text, why) => {
    const read = (): unknown => readCosts(file(text));
    expect(read).toThrow(UsageError);
    expect(read).toThrow(why);
    expect(read).toThrow('names: ghz, read, write');
  });

  it('a file without end is refused', () => {
    expect(() => readCosts('/dev/zero')).toThrow(/dev\/zero: .*longer than 1 MiB/);
  });

  it('a file that is not there is named', () => {
    expect(() => readCosts(join(folder, 'no.json'))).toThrow(/no\.json: ENOENT/);
  });
});

describe('profiles', () => {
  it('a profile is a name, or a name with other numbers', () => {
    expect(PROFILES.map(({ share }) => share)).toEqual([0, 0.01, 1]);
    expect(profileOf('rare')).toEqual(PROFILES[1]);
    const text = 'always,hz=4000,share=0.5,depth=20,exits=0,period=2,switches=7';
    expect(profileOf(text)).toEqual({
      name: text,
      hz: 4000,
      share: 0.5,
      depth: 20,
      exits: 0,
      period: 2,
      switches: 7,
    });
  });

  it.each([
    ['often', "there is no profile 'often'. There are: never, rare, always"],
    ['always,hz', "'hz' is not NUMBER of: share, period"],
    ['always,hz=', "'hz=' is not NUMBER"],
    ['always,hz=1=2', "'hz=1=2' is not NUMBER"],
    ['always,toString=1', 'is not NUMBER'],
    ['always,hz= ', "'hz= ' is not NUMBER"],
    ['always,hz=0x10', "'hz=0x10' is not NUMBER"],
    ['always,hz=x', "'hz=x' is not NUMBER"],
    ['always,\u001b[31m=1', String.raw`'\x1b[31m=1' is not NUMBER`],
    ['\u001b[31m', String.raw`there is no profile '\x1b[31m'`],
    ['always,hz=-1', 'hz must be from 0 to 100000'],
    ['always,share=1.5', 'share must be from 0 to 1'],
    ['always,depth=0', 'depth must be from 1 to 100'],
    ['always,period=0', 'period must be from 0.001 to 3600'],
  ])('%s is refused', (text, why) => {
    expect(() => profileOf(text)).toThrow(why);
  });

  it('a profile is told in words', () => {
    expect(profileText(profileOf('rare'))).toBe(
      'call stacks 1 % of each 1 s, 1000 samples/s, stacks of about 12 frames, ' +
        '500 task switches/s, 1000 exits/s where none are recorded',
    );
    expect(profileText(profileOf('never'))).toMatch(/^no call stacks, 500 task switches/);
  });
});

describe('what was counted', () => {
  it('cycles are the sum of each count by its cost, and nothing else costs', () => {
    const names = fc.record(
      Object.fromEntries(COUNTS.map((name) => [name, fc.nat(1000)])) as Record<
        (typeof COUNTS)[number],
        fc.Arbitrary<number>
      >,
    );
    fc.assert(
      fc.property(names, (given) => {
        const { reads, writes, selects, exits, bitmaps, events } = given;
        const wanted =
          80 * reads +
          120 * writes +
          150 * selects +
          2000 * exits +
          1000 * bitmaps +
          10000 * events;
        expect(cyclesOfCounts(countsOf(given), DEFAULT_COSTS)).toBe(wanted);
      }),
      seeded(50),
    );
  });

  it('the sum over vCPUs is the total, and the share is of the time that they ran', () => {
    const result = {
      host: 0,
      profile: 1,
      counts: [countsOf({ reads: 3, exits: 1 }), countsOf({ reads: 4 })],
      ran: [1e9, 2e9],
      complete: true,
    };
    const sum = totalOf('p', result);
    expect([...sum.counts]).toEqual([...countsOf({ reads: 7, exits: 1 })]);
    expect(sum.ran).toBe(3e9);
    expect(shareOf(sum, DEFAULT_COSTS)).toBeCloseTo((7 * 80 + 2000) / 9e9, 15);
    expect(shareOf({ ...sum, ran: 0 }, DEFAULT_COSTS)).toBe(0);
    expect(totalsOf([{ policy: 'p', results: [result] }], 0, 0)).toEqual([]);
    expect(totalsOf([{ policy: 'p', results: [result] }], 0, 1)).toEqual([sum]);
    expect(totalsOf([{ policy: 'p', results: [result] }], 1, 1)).toEqual([]);
  });

  it('policies are alike if nothing that is counted differs', () => {
    const all = [
      total('a', { reads: 1 }),
      total('b', { reads: 1 }),
      total('c', { reads: 1, wrong: 1 }),
      total('d', {}),
      total('e', {}),
      total('f', { reads: 2 }),
    ];
    expect(alike(all)).toEqual([
      ['a', 'b'],
      ['d', 'e'],
    ]);
  });

  it('crossings are where the order of two policies changes, and nowhere else', () => {
    const some = fc.record({ exits: fc.nat(30), reads: fc.nat(900), bitmaps: fc.nat(5) });
    fc.assert(
      fc.property(fc.array(some, { minLength: 2, maxLength: 4 }), (rows) => {
        const totals = rows.map((given, i) => total(`p${i}`, given));
        const sweep = { name: 'exit', low: 500, high: 3000 } as const;
        const cost = (i: number, exit: number): number =>
          80 * rows[i].reads + exit * rows[i].exits + 1000 * rows[i].bitmaps;
        const found = crossings(totals, DEFAULT_COSTS, sweep);
        for (const { below, above, at } of found) {
          const [b, a] = [Number(below.slice(1)), Number(above.slice(1))];
          expect(cost(b, at - 1)).toBeLessThan(cost(a, at - 1));
          expect(cost(a, at + 1)).toBeLessThan(cost(b, at + 1));
        }
        expect(found.map(({ at }) => at)).toEqual(
          found.map(({ at }) => at).toSorted((x, y) => x - y),
        );
        let changes = 0;
        for (let i = 0; i < rows.length; i++) {
          for (let j = i + 1; j < rows.length; j++) {
            const low = cost(i, 500) - cost(j, 500);
            if (low * (cost(i, 3000) - cost(j, 3000)) < 0) changes++;
          }
        }
        expect(found).toHaveLength(changes);
      }),
      seeded(100),
    );
  });

  it('every count that has a price has one in the table', () => {
    expect(PRICED.map(priceNameOf)).toEqual(PRICE_NAMES.filter((name) => name !== 'ghz'));
  });
});

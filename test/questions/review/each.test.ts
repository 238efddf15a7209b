/** Which patch of a series loses what. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import { coloursFor } from '../../../src/console/colours.js';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import { reviewPolicy } from '../../../src/questions/review/comparison.js';
import type { Review } from '../../../src/questions/review/conclusion.js';
import { type Each, lostOnTheWay, reviewEach } from '../../../src/questions/review/each.js';
import { reviewJson } from '../../../src/questions/review/json.js';
import type { Series, Sides } from '../../../src/questions/review/sides.js';
import { reviewText } from '../../../src/questions/review/text.js';
import { NothingRuns, NotBuilt } from '../../../src/tree/errors.js';
import { NO_RESTORE } from '../../rig/broken_port.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { tooLong, WIDTHS } from '../../rig/widths.js';

const BYTES = new Uint8Array();

/** What a tree is after so many patches: a driver, or the reason why it can't be built. */
type Tree = DriverKind | 'not built' | 'as before';

function sidesOf(before: DriverKind, after: DriverKind): Sides {
  const side = (driver: DriverKind, name: string): Sides['before'] => {
    const info = {
      version: `6.1-${name}`,
      sha256: Buffer.from(name).toString('hex').padEnd(64, '0'),
    };
    return { info, driver, path: `/cache/${name}`, bytes: BYTES };
  };
  return { before: side(before, 'old'), after: side(after, 'new'), leftOut: [], counting: null };
}

const reviewed = ({ before, after }: Sides, interrupted = false): Review => {
  const common = { kernel: '6.1', shapes: DEFAULT_SHAPES, runs: 60, steps: 60, seed: 1 } as const;
  const drivers = { before: before.driver, driver: after.driver };
  const what = { model: cpuModel('haswell/4'), policy: policyOf('always'), ...drivers };
  const reviews = [reviewPolicy({ ...common, ...what, properties: PROPERTY_NAMES })];
  const rest = {
    cpus: ['haswell/4'],
    policies: ['always'],
    properties: PROPERTY_NAMES,
    patches: [],
    reverse: false,
    leftOut: [],
    reached: null,
  };
  const ended = { each: null, interrupted, elapsed_s: 1, since: null };
  return { ...rest, before, after, reviews, seed: 1, runs: 60, ...ended };
};

/** @param trees - the first one is without any patch. */
function seriesOf(...trees: readonly Tree[]): Series {
  const driverAt = (n: number): DriverKind => {
    const tree = trees[n];
    if (tree === 'not built') throw new NotBuilt(`patch ${n} does not compile`);
    return tree === 'as before' ? driverAt(n - 1) : tree;
  };
  return {
    titles: trees.slice(1).map((_, i) => `patch number ${i + 1}`),
    sides: (from, to) => {
      if (trees[to] === 'as before') return Promise.reject(new NothingRuns(`only documents`));
      try {
        return Promise.resolve(sidesOf(driverAt(from), driverAt(to)));
      } catch (error) {
        return Promise.reject(error as Error);
      }
    },
  };
}

async function reviewOf(series: Series, whole: Sides, cut = false): Promise<Review> {
  const review = reviewed(whole);
  const ask = (sides: Sides): Promise<Review> => Promise.resolve(reviewed(sides, cut));
  return { ...review, each: await reviewEach(series, review, ask, () => {}) };
}

function eachOf({ each }: Review): Each {
  if (each === null) throw new Error('each patch was to be reviewed');
  return each;
}

const rows = (each: Each): unknown[] =>
  each.steps.map(({ first, last, found, why }) => [first, last, found === null ? why : 'reviewed']);

describe('the review of each patch of a series', () => {
  it('names the patch that loses, and goes on where a tree does not build', async () => {
    const series = seriesOf(PORT, PORT, 'as before', 'not built', NO_RESTORE, NO_RESTORE);
    const review = await reviewOf(series, sidesOf(PORT, NO_RESTORE));
    const each = eachOf(review);
    expect(rows(each)).toEqual([
      [1, 1, 'reviewed'],
      [2, 2, 'only documents'],
      [3, 3, 'patch 3 does not compile'],
      [3, 4, 'reviewed'],
      [5, 5, 'reviewed'],
    ]);
    // The same patch may also gain: a stack that is not restored is not another task's.
    expect(each.blamed.filter(({ finding }) => finding.kind === 'lost').length).toBeGreaterThan(0);
    expect(each.blamed.map(({ step }) => step?.last)).toEqual(each.blamed.map(() => 4));
    expect(lostOnTheWay(each)).toEqual([]);
    const text = reviewText(review, coloursFor(false)).join('\n');
    for (const width of WIDTHS) {
      expect(tooLong(width, () => reviewText(review, coloursFor(false)))).toEqual([]);
    }
    expect(text).toContain('\n  3-4 of 5  patch number 4\n    lost: ');
    expect(text).toContain('\n  3 of 5  patch number 3\n    patch 3 does not compile\n');
    expect(text).toContain('\nlost by patch 3-4 of 5: callstack-true\n');
    expect(text).toMatch(/\n {4}vlbr replay \S+ --kernel-src \/cache\/new\n/);
  });

  it('tells of what a later patch mends, and of the patch that gains', async () => {
    const series = seriesOf(NO_RESTORE, PORT, NO_RESTORE, PORT);
    const review = await reviewOf(series, sidesOf(NO_RESTORE, PORT));
    const each = eachOf(review);
    const gained = each.blamed.filter(({ finding: { kind } }) => kind === 'gained');
    expect(gained.map(({ step }) => step?.last)).toEqual(gained.map(() => 3));
    expect(gained.length).toBeGreaterThan(0);
    const way = lostOnTheWay(each).map(({ finding, step }) => [finding.property, step.last]);
    expect(way).toContainEqual(['callstack-true', 2]);
    const text = reviewText(review, coloursFor(false)).join('\n');
    expect(text).toContain('\nlost on the way, by patch 2 of 3: callstack-true\n');
    expect(text).toContain('\ngained by patch 3 of 3: callstack-true\n');
  });

  it('says so where no single patch changes what the series does', async () => {
    const review = await reviewOf(seriesOf(PORT, 'not built'), sidesOf(PORT, NO_RESTORE));
    expect(eachOf(review).blamed.map(({ step }) => step)).toEqual(
      eachOf(review).blamed.map(() => null),
    );
    const text = reviewText(review, coloursFor(false)).join('\n');
    expect(text).toContain('\nlost by the series, and by no single patch: callstack-true\n');
  });

  it('ends with what is known when it is interrupted', async () => {
    const review = await reviewOf(
      seriesOf(PORT, PORT, NO_RESTORE, PORT),
      sidesOf(PORT, PORT),
      true,
    );
    const each = eachOf(review);
    expect([rows(each), each.interrupted]).toEqual([[[1, 1, 'reviewed']], true]);
    const text = reviewText(review, coloursFor(false)).join('\n');
    expect(text).toContain('interrupted: 2 of 3 patches were not looked at');
  });

  it('has the same in JSON', async () => {
    const series = seriesOf(PORT, NO_RESTORE, 'not built');
    const review = await reviewOf(series, sidesOf(PORT, NO_RESTORE));
    expect(wrongWithMade(reviewJson(review))).toEqual([]);
    const json = JSON.parse(JSON.stringify(reviewJson(review))) as {
      each: { steps: { why: string | null; review: { ok: boolean } | null }[]; blamed: object[] };
    };
    expect(json.each.steps.map(({ why, review: one }) => [why, one?.ok])).toEqual([
      [null, false],
      ['patch 2 does not compile', undefined],
    ]);
    const first = { kind: 'lost', by: 'kernel', patch: 1 };
    expect(json.each.blamed[0]).toMatchObject(first);
    expect(reviewJson(reviewed(sidesOf(PORT, PORT)))).not.toHaveProperty('each');
  });

  it('lets other errors through', async () => {
    const series: Series = { titles: ['one'], sides: () => Promise.reject(new Error('a bug')) };
    await expect(reviewOf(series, sidesOf(PORT, PORT))).rejects.toThrow('a bug');
  });
});

/** The report of a review, from comparisons of the port with ports that are broken on purpose. */
import { describe, expect, it } from 'vitest';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import { coloursFor } from '../../../src/console/colours.js';
import { reviewJson } from '../../../src/questions/review/json.js';
import type { Review } from '../../../src/questions/review/conclusion.js';
import { reviewText } from '../../../src/questions/review/text.js';
import { WIDTH } from '../../../src/console/text.js';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import type { PolicyReview } from '../../../src/questions/review/comparison.js';
import {
  crashOf,
  reviewPolicy,
  shortestParting,
} from '../../../src/questions/review/comparison.js';
import { CRASHING, NO_EVENTS, NO_RESTORE, ONE_MORE_READ } from '../../rig/broken_port.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { tooLong, WIDTHS } from '../../rig/widths.js';

const DRIVERS: readonly DriverKind[] = [PORT, NO_RESTORE, ONE_MORE_READ, NO_EVENTS, CRASHING];
const known = new Map<string, PolicyReview>();

/** The same sides give the same review, so it is made once. */
function reviewed(before: DriverKind, driver: DriverKind, name = 'always'): PolicyReview {
  const key = [DRIVERS.indexOf(before), DRIVERS.indexOf(driver), name].join(' ');
  const found = known.get(key) ?? reviewedAnew(before, driver, name);
  known.set(key, found);
  return found;
}

function reviewedAnew(before: DriverKind, driver: DriverKind, name: string): PolicyReview {
  const [model, policy] = [cpuModel('haswell'), policyOf(name)];
  const what = { model, policy, before, driver, properties: PROPERTY_NAMES };
  return reviewPolicy({
    ...what,
    kernel: '6.1',
    shapes: DEFAULT_SHAPES,
    runs: 200,
    steps: 60,
    seed: 1,
  });
}

function review(before: DriverKind, after: DriverKind, more: Partial<Review> = {}): Review {
  const side = (driver: DriverKind, sha256: string, path: string): Review['before'] => ({
    info: { version: '6.1.9', sha256 },
    driver,
    path,
  });
  return {
    cpus: ['haswell'],
    policies: ['always'],
    properties: PROPERTY_NAMES,
    seed: 1,
    runs: 200,
    before: side(before, 'b'.repeat(64), '/cache/before.wasm'),
    after: side(after, 'a'.repeat(64), '/cache/after.wasm'),
    patches: ['fix.patch'],
    each: null,
    reverse: false,
    leftOut: [],
    reached: null,
    reviews: [reviewed(before, after)],
    interrupted: false,
    elapsed_s: 1,
    since: null,
    ...more,
  };
}

function lines(of: Review): string[] {
  return reviewText(of, coloursFor(false));
}

interface Json {
  readonly schema: string;
  readonly ok: boolean;
  readonly lost: readonly { readonly property: string; readonly counterexample: object }[];
  readonly gained: readonly { readonly property: string }[];
  readonly vacuous: readonly { readonly property: string }[];
  readonly crashes: readonly object[];
  readonly accesses: { readonly schedules: number; readonly parting: { readonly at: number } };
}

function json(of: Review): Json {
  const made = reviewJson(of);
  expect(wrongWithMade(made)).toEqual([]);
  return JSON.parse(JSON.stringify(made)) as Json;
}

describe('the report of a review', () => {
  it('a review keeps to the columns of any terminal, whatever it tells', () => {
    const path = `drivers/${'long/'.repeat(6)}x.c`;
    const lost = review(PORT, NO_RESTORE, { leftOut: [path, path, path] });
    const info = { ...lost.before.info, whole: true as const };
    const other = review(PORT, ONE_MORE_READ);
    const same = review(PORT, PORT);
    const notReached = [3, 4, 5, 9].map((line) => {
      return { side: 'after', path, line, function: 'intel_pmu_arch_lbr_reset' } as const;
    });
    const all: readonly Review[] = [
      { ...lost, before: { ...lost.before, info }, reviews: [...lost.reviews, ...other.reviews] },
      { ...same, reached: { lines: 4, notReached } },
      { ...same, reached: { lines: 0, notReached: [] } },
      review(PORT, CRASHING),
      review(PORT, NO_EVENTS),
    ];
    for (const width of WIDTHS) {
      for (const one of all) expect(tooLong(width, () => lines(one))).toEqual([]);
    }
  });

  it('a review shows what is lost, by a schedule that can be replayed', () => {
    const lost = review(PORT, NO_RESTORE, { leftOut: ['kernel/x.c'] });
    const text = lines(lost);
    expect(text[0]).toBe('vlbr review: haswell; seed 1; 200 runs on each side under always');
    expect(text[1]).toBe('tree: the C file of Linux 6.1.9 (lbr.c, sha256 bbbbbbbbbbbb)');
    expect(text[2]).toBe('with: fix.patch (sha256 aaaaaaaaaaaa)');
    expect(text[3]).toBe('not run here, so left out: kernel/x.c');
    const row = text.find((line) => line.startsWith('LOST') && line.includes('callstack-true'));
    expect(row).toMatch(/the guest's kernel itself +haswell +\d+ actions; failed elsewhere before/);
    const head = text.indexOf("lost: callstack-true, broken by the guest's kernel itself");
    expect(text[head + 2]).toBe('  On this schedule it held before:');
    const replay = text.find((line, i) => i > head && line.includes('vlbr replay v1.'));
    expect(replay).toMatch(/ --kernel-src \/cache\/after\.wasm$/);
    expect(text.some((line) => /^MSR accesses part in \d+ of 100 schedules$/.test(line))).toBe(
      true,
    );
    expect(text.some((line) => line.startsWith('     > '))).toBe(true);
    const end = text.slice(text.findLastIndex((line) => line.startsWith('lost: ')));
    expect(end.join(' ')).toMatch(/^lost: .*gained: .*; partial, since .* here: +kernel\/x\.c$/);
    expect(text.join('\n')).toMatch(/^lost: .*callstack-true/m);
    // A token is one word and is never wrapped.
    const wide = text.filter((line) => line.length > WIDTH && !line.includes('vlbr replay'));
    expect(wide).toEqual([]);
    expect(json(lost)).toMatchObject({ schema: 'vlbr/review/2', ok: false, crashes: [] });
    expect(json(lost).lost.map(({ property }) => property)).toContain('callstack-true');
  });

  it('a review shows what a fix gains, on the side that it mends', () => {
    const fixed = review(NO_RESTORE, PORT);
    const text = lines(fixed);
    expect(text.some((line) => /^gained +callstack-true/.test(line))).toBe(true);
    const replay = text.find((line) => line.includes('vlbr replay v1.'));
    expect(replay).toMatch(/ --kernel-src \/cache\/before\.wasm$/);
    expect(text.at(-1)).toMatch(/^lost: nothing; gained: .*callstack-true/);
    expect(json(fixed).ok).toBe(true);
    expect(text.some((line) => line === '  On this schedule it holds now:')).toBe(true);
    const reverse = lines({ ...fixed, reverse: true });
    expect(reverse[1]).toContain('sha256 aaaaaaaaaaaa');
    expect(reverse[2]).toBe('without: fix.patch (sha256 bbbbbbbbbbbb)');
  });

  it('a review says that nothing changes, and what does all the same', () => {
    const same = lines(review(PORT, PORT));
    expect(same).toContain('No property is lost or gained.');
    expect(same.join('\n')).toMatch(/MSR accesses: the same in all of 100 schedules \([\d,]+ acc/);
    expect(same).toContain('Costs of task switches and of vCPU switches: unchanged.');
    expect(same.at(-1)).toBe('lost: nothing; gained: nothing');
    const more = lines(review(PORT, ONE_MORE_READ));
    expect(more).toContain('No property is lost or gained.');
    expect(more.some((line) => line.startsWith('Mean cost of a switch on haswell'))).toBe(true);
    expect(more.some((line) => /^always +\d+\.\d -> \d+\.\d +\d+ -> \d+/.test(line))).toBe(true);
    expect(json(review(PORT, ONE_MORE_READ)).accesses.parting.at).toBeGreaterThanOrEqual(0);
  });

  it('a review always shows the schedule in which accesses part', () => {
    const of = review(PORT, ONE_MORE_READ);
    const text = lines(of);
    const head = text.findIndex((line) => line.startsWith('the shortest is this, haswell, under'));
    const columns = text.findIndex((line) => /^ {7}before +after$/.test(line));
    const schedule = text.slice(head + 1, columns);
    expect(schedule[0]).toMatch(/^ {2}\d VMs? of .*: v0 \(VM 0\) on p0/);
    const shown = schedule.filter((line) => /^ {2}#\d+ +[vp]\d/.test(line));
    // The schedule does not tell effects of actions, since the accesses follow below it.
    expect(schedule.filter((line) => /^ {6}- /.test(line))).toEqual([]);
    const parting = shortestParting(of.reviews);
    if (parting === null) throw new Error('one more read is a difference');
    expect(shown.length).toBe(parting.actions.length);
    const { before, after, at } = parting;
    expect((before[at] ?? after[at]).action).toBe(shown.length - 1);
  });

  it('a review takes properties that say nothing any more for lost', () => {
    const text = lines(review(PORT, NO_EVENTS)).join('\n');
    expect(text).toMatch(/^LOST {2}callstack-true says nothing any more: its situation/m);
    expect(text).toMatch(/^lost: .*callstack-true/m);
    expect(json(review(PORT, NO_EVENTS)).vacuous.map((v) => v.property)).toContain('balanced');
  });

  it('a review of a crash says what it is, and nothing else', () => {
    const crash = review(PORT, CRASHING);
    const text = lines(crash);
    const head = text.indexOf('the kernel after the change crashes: RangeError: unreachable');
    expect(text[head + 1]).toBe(
      '  so nothing else was judged under the policies and on the CPUs where it did',
    );
    expect(text[head + 2]).toMatch(/^ {2}#1 /);
    expect(text).not.toContain('No property is lost or gained.');
    expect(text).toContain('MSR accesses were not compared.');
    expect(text).toContain('Costs were not compared.');
    expect(text.at(-1)).toMatch(/^the changed kernel crashes; lost: nothing/);
    const { ok, crashes } = json(crash);
    const { actions, error } = crashOf(crash.reviews, 'after') ?? {};
    const token = expect.stringMatching(/^v1\./) as string;
    expect([ok, crashes]).toEqual([
      false,
      [{ side: 'after', cpu: 'haswell', error, actions, token }],
    ]);
    const mended = review(CRASHING, PORT);
    expect(lines(mended).at(-1)).toMatch(/and it does not crash any more$/);
    expect(json(mended).ok).toBe(true);
  });

  it('a review names policies that fail anyway apart, and tells of a Ctrl-C', () => {
    const both = ['always', 'merged'].map((name) => reviewed(PORT, NO_RESTORE, name));
    // Without a loss of the kernel's own, the losses of policies come first.
    const alone = both.map(({ comparison, ...rest }) => ({
      comparison: {
        ...comparison,
        changes: comparison.changes.filter(({ by }) => by === 'policy'),
      },
      ...rest,
    }));
    const only = lines(review(PORT, NO_RESTORE, { reviews: alone }));
    const row = only.find((line) => line.startsWith('LOST') && line.includes('no-loss/any'));
    expect(row).toMatch(/merged +haswell +\d+ actions; failed elsewhere before$/);
    expect(only.join('\n')).toMatch(/^lost: no-loss\/callstack, no-loss\/any/m);
    const reviews = both;
    const text = lines(review(PORT, NO_RESTORE, { reviews, interrupted: true }));
    const joined = text.join(' ').replaceAll(/\s+/g, ' ');
    expect(joined).toContain(
      'Fails on more schedules, where it failed anyway (policies, actions):',
    );
    expect(joined).toMatch(/no-loss\/any \(merged \d+\)/);
    // Both reviews are of one of the policies, and one CPU.
    expect(joined).toMatch(
      / cut short after 400 of 200 runs on each side; lost so far: .*; gained so far: nothing/,
    );
  });
});

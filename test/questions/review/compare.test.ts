/** Comparisons of two drivers: the port, and ports that are broken on purpose. */
import { describe, expect, it } from 'vitest';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { PROPERTY_NAMES } from '../../../src/judge/properties.js';
import { MSR_LBR_TOS } from '../../../src/hw/msr_index.js';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import type { Action } from '../../../src/schedule/table.js';
import { Schedule } from '../../../src/schedule/schedule.js';
import { AccessLog, type SwitchCosts } from '../../../src/questions/review/access_log.js';
import { compareDrivers, type CompareOptions } from '../../../src/campaign/compare.js';
import { type AccessComparison, compareAccesses } from '../../../src/questions/review/parting.js';
import {
  crashOf,
  crashWord,
  findingsOf,
  losesAnything,
  reviewPolicy,
} from '../../../src/questions/review/comparison.js';
import { shortestParting, vacuousOf } from '../../../src/questions/review/comparison.js';
import { breakerOf, caseOf, withDriver } from '../../../src/campaign/replay_file.js';
import { CRASHING, NO_EVENTS, NO_RESTORE, ONE_MORE_READ } from '../../rig/broken_port.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';

function options(policyName: string, driver: DriverKind, before = PORT): CompareOptions {
  return {
    model: cpuModel('haswell/4'),
    kernel: '6.1',
    shapes: DEFAULT_SHAPES,
    properties: PROPERTY_NAMES,
    policy: policyOf(policyName),
    before,
    driver,
    runs: 300,
    steps: 60,
    seed: 1,
  };
}

describe('a comparison', () => {
  it('a comparison gives a sign of life at each replay, after the runs as well', () => {
    let signs = 0;
    const alive = (): boolean => ++signs > 0;
    const progress = (): boolean => (signs = 0) === 0;
    const of = { ...options('always', NO_RESTORE), alive };
    compareDrivers({ ...of, runs: 60, properties: ['callstack-true'], progress });
    expect(signs).toBeGreaterThan(50);
    signs = 0;
    compareAccesses(of);
    // Shrinking replays 100 schedules on both sides.
    expect(signs).toBeGreaterThan(300);
  });
});

describe('compareDrivers', () => {
  it('nothing is ever found between a driver and itself', () => {
    for (const policy of ['merged', 'pv-sound']) {
      const { changes, vacuous } = compareDrivers(options(policy, PORT));
      expect([changes, vacuous]).toEqual([[], []]);
    }
  });

  it('what a driver without restore loses is found, by a schedule that proves it', () => {
    const { changes } = compareDrivers(options('always', NO_RESTORE));
    const found = changes.find(({ property }) => property === 'callstack-true');
    if (found === undefined) throw new Error('callstack-true is not lost');
    expect([found.kind, found.by, found.elsewhere]).toEqual(['lost', 'kernel', true]);
    const { actions, text } = found.counterexample;
    expect(actions.length).toBeLessThanOrEqual(8);
    expect(text).toContain('a sample of');
    const replay = caseOf(found.counterexample);
    const run = (driver: DriverKind): string => {
      const { config } = withDriver(replay, driver);
      return breakerOf({ ...replay, config: { ...config, model: options('always', PORT).model } });
    };
    expect([run(PORT), run(NO_RESTORE)]).toEqual(['nobody', 'kernel']);
  });

  it('what is declared of the KVM of a tree is not said of a changed one', () => {
    const merged = policyOf('merged');
    const elsewhere = (ofTree: boolean): boolean[] => {
      const of = { ...options('merged', NO_EVENTS), policy: { ...merged, ofTree }, runs: 100 };
      const { changes } = compareDrivers(of);
      return changes
        .filter(({ kind, by, property }) => {
          return kind === 'gained' && by === 'policy' && property === 'no-loss/callstack';
        })
        .map((change) => change.elsewhere);
    };
    expect([elsewhere(false), elsewhere(true)]).toEqual([[true], [false]]);
  });

  it('a loss is always a gain the other way round', () => {
    const { changes } = compareDrivers(options('always', PORT, NO_RESTORE));
    const found = changes.filter(({ property }) => property === 'callstack-true');
    // The port's restore has a kernel fault of its own (013), which is a gain and no loss.
    expect(found.filter(({ kind }) => kind === 'gained').map(({ by }) => by)).toEqual(['kernel']);
    const lost = changes.filter(({ kind, by }) => kind === 'lost' && by === 'kernel');
    expect(lost.every(({ onLinux61 }) => onLinux61)).toBe(true);
    const review = reviewPolicy(options('always', PORT, NO_RESTORE));
    const kept = findingsOf([review]).filter(({ kind, by }) => kind === 'lost' && by === 'kernel');
    expect(kept).toEqual([]);
  });

  it('a property that has nothing to judge any more is always told', () => {
    const { changes, vacuous } = compareDrivers(options('always', NO_EVENTS));
    expect(vacuous).toContain('callstack-true');
    expect(vacuous).toContain('balanced');
    expect(vacuous).not.toContain('no-loss/any');
    // Refused events break filter-true and nothing else.
    const lost = changes.filter(({ kind, elsewhere }) => kind === 'lost' && !elsewhere);
    expect(lost.map(({ property }) => property)).toEqual(['filter-true']);
    expect(compareDrivers(options('always', PORT, NO_EVENTS)).vacuous).toEqual([]);
  });

  it('a comparison that ends early always has what is known', () => {
    const seen: number[] = [];
    const progress = (now: { readonly runs: number }): boolean => {
      seen.push(now.runs);
      return now.runs < 5;
    };
    const result = compareDrivers({ ...options('always', NO_RESTORE), progress });
    expect([result.interrupted, result.runs]).toEqual([true, 5]);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });
});

describe('a driver that crashes', () => {
  it('a crash ends the comparison, with the shortest schedule on which it happens', () => {
    const review = reviewPolicy(options('always', CRASHING));
    const { crashes, changes, vacuous } = review.comparison;
    expect([changes, vacuous, review.accesses]).toEqual([[], [], null]);
    expect(crashes.map(({ side, error }) => [side, error])).toEqual([
      ['after', 'RangeError: unreachable'],
    ]);
    // The action is a snapshot, which reads the LBR.
    expect(crashes[0].actions.length).toBe(1);
    expect(crashOf([review], 'after')).toEqual(crashes[0]);
    expect(crashOf([review], 'before')).toBeNull();
    expect(losesAnything([review])).toBe(true);
    const fixed = reviewPolicy(options('always', PORT, CRASHING));
    expect(crashOf([fixed], 'before')?.actions).toEqual(crashes[0].actions);
    expect(losesAnything([fixed])).toBe(false);
  });

  it('a changed kernel that does not start crashes before its first action', () => {
    const never: DriverKind = {
      ...PORT,
      createMemory: () => {
        throw new Error('no LBR for guests');
      },
    };
    const review = reviewPolicy(options('always', never));
    const { crashes, runs } = review.comparison;
    expect(crashes).toMatchObject([{ side: 'after', error: 'no LBR for guests', actions: [] }]);
    expect([runs, losesAnything([review])]).toEqual([0, true]);
    expect(crashWord(crashes[0])).toBe('does not start');
    // A tree that never did is no news.
    expect(() => reviewPolicy(options('always', never, never))).toThrow('no LBR for guests');
    expect(() => reviewPolicy(options('always', PORT, never))).toThrow('no LBR for guests');
  });
});

function accessesOf(driver: DriverKind): AccessComparison {
  const { accesses } = compareAccesses(options('always', driver));
  if (accesses === null) throw new Error('a driver crashes');
  return accesses;
}

describe('compareAccesses', () => {
  it('accesses of a driver never differ from its own, and its switches are counted', () => {
    const { parted, parting, accesses, schedules, costs } = accessesOf(PORT);
    expect([parted, parting]).toEqual([0, null]);
    expect(schedules).toBe(100);
    expect(accesses).toBeGreaterThan(10_000);
    expect(costs.after).toEqual(costs.before);
    const { taskSwitches, perTaskSwitch, perVcpuSwitch } = costs.before;
    expect(taskSwitches).toBeGreaterThan(100);
    expect(perTaskSwitch.reads).toBeGreaterThan(1);
    expect(perTaskSwitch.cycles).toBeGreaterThan(80 * perTaskSwitch.reads);
    expect(perVcpuSwitch.writes).toBeGreaterThan(1);
  });

  it('accesses of an NMI inside a task switch are never counted for the switch', () => {
    const { model, kernel, policy } = options('always', PORT);
    const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const config = { shape, model, kernel, policy };
    const costs = (nmi: boolean): SwitchCosts => {
      const log = new AccessLog(config);
      const pmi: Action = { kind: 'pmi', actor: 0, args: [0, nmi ? 4 : 0] };
      const open: Action = { kind: 'open', actor: 0, args: [0, 0, 2049] };
      const away: Action = { kind: 'taskSwitch', actor: 0, args: [1] };
      log.run(Schedule.of([open, pmi, away]));
      return AccessLog.costs([log]);
    };
    const inside = costs(true);
    expect(inside).toEqual(costs(false));
    expect([inside.taskSwitches, inside.perTaskSwitch.reads > 1]).toEqual([1, true]);
  });

  it('the first access that differs is always found, and what it costs', () => {
    const { parting, parted, costs } = accessesOf(ONE_MORE_READ);
    if (parting === null) throw new Error('the accesses do not part');
    expect(parted).toBeGreaterThan(10);
    expect(parting.actions.length).toBeLessThanOrEqual(3);
    const { at, before, after } = parting;
    expect(after[at].msr).toBe(MSR_LBR_TOS);
    expect(after[at].write).toBe(false);
    expect(before.slice(0, at)).toEqual(after.slice(0, at));
    const [a, b] = [costs.before.perTaskSwitch, costs.after.perTaskSwitch];
    expect(b.reads).toBeGreaterThan(a.reads);
    // Interruptions fall on other accesses, which also changes some of the other accesses.
    expect(Math.abs(b.writes - a.writes)).toBeLessThan(0.02 * a.writes);
  });
});

describe('a review', () => {
  it('a review always puts the policies together', () => {
    const policies = ['always', 'pv-sound', 'merged'];
    const reviews = policies.map((policy) => reviewPolicy(options(policy, NO_RESTORE)));
    const findings = findingsOf(reviews);
    const own = findings.filter(({ by, kind }) => by === 'kernel' && kind === 'lost');
    expect(own.map(({ property }) => property)).toContain('callstack-true');
    const { policies: under } = own.find(({ property }) => property === 'callstack-true') ?? own[0];
    expect(under).toEqual(expect.arrayContaining(['always', 'pv-sound']));
    expect(losesAnything(reviews)).toBe(true);
    // A failure that only moved to another schedule is no gain.
    const gains = findings.filter((f) => f.kind === 'gained' && f.elsewhere);
    for (const { by, property, policies: names } of gains) {
      const twin = findings.find(
        (f) => f.kind === 'lost' && f.by === by && f.property === property,
      );
      expect(twin === undefined || (by === 'policy' && twin.policies[0] !== names[0])).toBe(true);
    }
    const parting = shortestParting(reviews);
    const lengths = reviews.map(({ accesses }) => accesses?.parting?.actions.length ?? Infinity);
    expect(parting?.actions.length).toBe(Math.min(...lengths));
  });

  it('a review has nothing to say of a driver that only reads once more', () => {
    const reviews = ['always', 'pv-sound', 'lazy-sound'].map((policy) =>
      reviewPolicy(options(policy, ONE_MORE_READ)),
    );
    expect([findingsOf(reviews), vacuousOf(reviews)]).toEqual([[], []]);
    expect(losesAnything(reviews)).toBe(false);
    expect(shortestParting(reviews)).not.toBeNull();
  });

  it('a review always takes a property that became vacuous for a loss', () => {
    const reviews = [reviewPolicy(options('always', NO_EVENTS))];
    expect(vacuousOf(reviews).map(({ property }) => property)).toContain('callstack-true');
    expect(losesAnything(reviews)).toBe(true);
  });
});

/** The campaign: how a run is made, and what the report says about the runs. */
import { describe, expect, it, vi } from 'vitest';
import { Monitor } from '../../src/judge/monitor.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import { POLICIES } from '../../src/host/policy/index.js';
import { PROPERTY, PROPERTY_NAMES } from '../../src/judge/properties.js';
import { type Action, ACTIONS } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import type { CampaignOptions, Progress, Report } from '../../src/campaign/campaign.js';
import { Bench } from '../../src/campaign/trial.js';
import { drawOf } from '../../src/schedule/draw.js';
import {
  type Counterexample,
  DEFAULT_SHAPES,
  mergedReports,
  oneForEachCause,
  runCampaign,
} from '../../src/campaign/campaign.js';
import { PartingBench } from '../../src/campaign/because.js';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import { caseOf, replayToken } from '../../src/campaign/replay_file.js';
import { encodeToken } from '../../src/schedule/token.js';
import { cpuModel } from '../rig/cpu.js';
import { policyOf } from '../rig/machine.js';

const model = cpuModel('haswell/4');

function options(more: Partial<CampaignOptions> = {}): CampaignOptions {
  return {
    model,
    kernel: '6.1',
    shapes: DEFAULT_SHAPES,
    policies: [policyOf('never')],
    properties: PROPERTY_NAMES,
    runs: 40,
    steps: 60,
    seed: 1,
    schedules: [],
    ...more,
  };
}

let mergedResults: Report['results'] | null = null;

/** What a campaign finds of `merged`, which fails for many causes. */
function ofMerged(): Report['results'] {
  const policies = [policyOf('merged')];
  mergedResults ??= runCampaign(options({ policies, runs: 120 })).results;
  return mergedResults;
}

function numbers(seed: number, run: number): number[] {
  const draw = drawOf(seed, run);
  return Array.from({ length: 20 }, () => draw.below(1000));
}

describe('drawOf', () => {
  it('the draws of a seed and a run always repeat, and differ from those of others', () => {
    expect(numbers(1, 2)).toEqual(numbers(1, 2));
    expect(numbers(1, 3)).not.toEqual(numbers(1, 2));
    expect(numbers(2, 2)).not.toEqual(numbers(1, 2));
  });

  it('a draw never has bits that depend on the parity of the run', () => {
    // A run first draws the groups that it leaves out, one bit each.
    for (const nth of [0, 1, 2]) {
      const agree = Array.from({ length: 2000 }, (_, run) => {
        const draw = drawOf(1, run);
        const bits = Array.from({ length: 3 }, () => draw.below(2));
        return bits[nth] === run % 2;
      }).filter(Boolean).length;
      expect(Math.abs(agree - 1000)).toBeLessThan(150);
    }
  });
});

describe('a run with the guests left alone', () => {
  const shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 2 };
  const campaign = new ShapeCampaign({
    shape,
    model,
    kernel: '6.1',
    policy: policyOf('always'),
  });
  const runs = Array.from({ length: 300 }, (_, run) => {
    campaign.runGuestsOnly(drawOf(1, run), 60);
    return campaign.lastSchedule.actions();
  });
  const kinds = new Set(runs.flatMap((actions) => actions.map(({ kind }) => kind)));

  it('a run with the guests left alone has no action of the host, nor an NMI in a function', () => {
    for (const kind of ['run', 'idle', 'halt', 'exit', 'hostEvent', 'rdmsr', 'wrmsr'] as const) {
      expect(kinds.has(kind)).toBe(false);
    }
    for (const { kind, args } of runs.flat()) {
      const after = ACTIONS[kind].params.findIndex(({ name }) => name === 'after');
      if (after >= 0) expect(args[after]).toBe(0);
    }
    for (const kind of ['call', 'ret', 'taskSwitch', 'migrateTask', 'open', 'pmi'] as const) {
      expect(kinds.has(kind)).toBe(true);
    }
  });

  it('every second run with the guests left alone is one family: one event, and forks', () => {
    const opens = (actions: readonly Action[]): Action[] =>
      actions.filter(({ kind }) => kind === 'open');
    const INHERIT = 2;
    const families = runs.filter((actions) =>
      opens(actions).every(({ args }) => (args[1] & INHERIT) !== 0 && args[2] === 2049),
    );
    expect(families.length).toBeGreaterThan(100);
    expect(families.length).toBeLessThan(250);
    const forks = (of: readonly (readonly Action[])[]): number =>
      of.flat().filter(({ kind }) => kind === 'fork').length / of.length;
    const others = runs.filter((actions) => !families.includes(actions));
    expect(forks(families)).toBeGreaterThan(forks(others));
  });

  it('a family run never has a second event of its own', () => {
    let opens = 0;
    for (const [run, actions] of runs.entries()) {
      // The first draw decides whether the run has a single family.
      if (drawOf(1, run).below(2) !== 0) continue;
      let there = 0;
      for (const { kind } of actions) {
        if (kind === 'open') there++;
        if (kind === 'close') there--;
        if (kind === 'open') opens++;
        expect(there).toBeLessThanOrEqual(1);
      }
    }
    expect(opens).toBeGreaterThan(100);
  });

  it('a run always begins anew after a run of the other kind', () => {
    campaign.runGuestsOnly(drawOf(1, 0), 60);
    campaign.run(drawOf(1, 1), 60, null);
    const first = campaign.lastSchedule.actions();
    campaign.run(drawOf(1, 1), 60, null);
    expect(campaign.lastSchedule.actions()).toEqual(first);
  });
});

describe('crashesAt', () => {
  const shape = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
  const open: Action = { kind: 'open', actor: 0, args: [0, 0, 2049] };
  const call: Action = { kind: 'call', actor: 0, args: [1, 0] };
  const schedule = Schedule.of([call, open, call]);

  it('crashesAt is the action in which the driver throws, 0 for the boot, -1 for none', () => {
    const config = { shape, model, kernel: '6.1', policy: policyOf('always') } as const;
    expect(new ShapeCampaign(config).crashesAt(schedule)).toBe(-1);
    const fail = (): never => {
      throw new Error('crash');
    };
    const inAdd = {
      ...PORT,
      create: (...args: Parameters<typeof PORT.create>) => {
        return { ...PORT.create(...args), intel_pmu_lbr_add: fail };
      },
    };
    expect(new ShapeCampaign({ ...config, driver: inAdd }).crashesAt(schedule)).toBe(2);
    const inBoot = {
      ...PORT,
      create: (...args: Parameters<typeof PORT.create>) => ({
        ...PORT.create(...args),
        boot: fail,
      }),
    };
    expect(new ShapeCampaign({ ...config, driver: inBoot }).crashesAt(schedule)).toBe(0);
  });
});

describe('runCampaign', () => {
  it('a campaign always gives the same report for the same options', () => {
    expect(runCampaign(options())).toEqual(runCampaign(options()));
    const other = runCampaign(options({ seed: 2 }));
    expect(other.actions).not.toEqual(runCampaign(options()).actions);
  });

  it('a campaign judges each policy by runs of its own, whatever the others are', () => {
    const names = ['never', 'merged'];
    const both = runCampaign(options({ policies: names.map(policyOf) }));
    const alone = names.flatMap(
      (name) => runCampaign(options({ policies: [policyOf(name)] })).results,
    );
    expect(both.results).toEqual(alone);
    expect([both.runs, both.steps]).toEqual([80, 80 * 60]);
  });

  it('a warning of the host is reported of the policy under which it comes', () => {
    const quiet = runCampaign(options({ policies: [policyOf('always')] }));
    expect(quiet.results.filter(({ property }) => property === 'no-warn')).toEqual([]);
    const warns = vi.spyOn(Monitor.prototype, 'cstate').mockImplementation(function (
      this: Monitor,
    ) {
      this.hostWarned('kernel/events/core.c', 9);
    });
    try {
      const report = runCampaign(options({ policies: [policyOf('always')] }));
      const [warning] = report.results.filter(({ property }) => property === 'no-warn');
      expect(warning).toMatchObject({ policy: 'always', verdict: 'fails', expected: 'holds' });
      expect(warning.counterexample?.text).toBe('the host: WARNING at kernel/events/core.c:9');
      expect(warning.counterexample?.actions.at(-1)?.kind).toBe('cstate');
    } finally {
      warns.mockRestore();
    }
  });

  it('a failure always has a counterexample, which its token replays', () => {
    const { results } = runCampaign(options());
    const failures = results.filter(({ verdict }) => verdict === 'fails');
    expect(failures.length).toBeGreaterThan(3);
    for (const { property, counterexample, expected } of failures) {
      if (counterexample === null) throw new Error(`${property} has no counterexample`);
      const replay = replayToken(encodeToken(counterexample));
      expect(replay.property).toBe(property);
      expect(replay.schedule.actions()).toEqual(counterexample.actions);
      expect(expected).toBe('fails');
      // It comes out of a worker thread as it is: there is nothing but data in it.
      expect(structuredClone(counterexample)).toStrictEqual(counterexample);
    }
  });

  it('a failure has the shortest schedule of each cause, no cause twice', () => {
    let several = 0;
    for (const { property, counterexample, otherCauses } of ofMerged()) {
      if (counterexample === null) {
        expect(otherCauses).toEqual([]);
        continue;
      }
      const all = [counterexample, ...otherCauses];
      several += otherCauses.length;
      expect(new Set(all.map(({ cause }) => cause)).size).toBe(all.length);
      const lengths = all.map(({ actions }) => actions.length);
      expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
      for (const found of all) {
        const { config, schedule } = caseOf(found);
        const again = new PartingBench(config).causeOf(schedule, { property, by: 'policy' });
        expect(again).toBe(found.cause);
      }
    }
    expect(several).toBeGreaterThan(3);
  });

  it('a campaign always gives a sign of life at each replay while it shrinks failures', () => {
    let signs = 0;
    const alive = (): boolean => ++signs > 0;
    // Progress ends with the runs.
    const progress = (): boolean => (signs = 0) === 0;
    const properties = ['no-loss/any'] as const;
    runCampaign(options({ alive, progress, properties, runs: 12 }));
    expect(signs).toBeGreaterThan(100);
  });

  it('a campaign that is stopped always ends early, and says so', () => {
    let asked = 0;
    const progress = (): boolean => ++asked < 7;
    const report = runCampaign(options({ progress, policies: POLICIES }));
    expect([report.interrupted, report.runs]).toEqual([true, 7]);
    expect(runCampaign(options()).interrupted).toBe(false);
  });

  it('a finding about the kernel is told once, however many policies meet it', () => {
    const report = runCampaign(options({ runs: 200 }));
    expect(report.kernelFindings.length).toBeGreaterThan(0);
    const both = mergedReports([report, report], PROPERTY_NAMES);
    expect(both.kernelFindings).toEqual(report.kernelFindings);
  });

  it('a campaign always keeps the failures that it was told to stop making short', () => {
    let [shrinking, asked] = [false, 0];
    const progress = ({ runs, runsWanted }: Progress): boolean => {
      shrinking = runs === runsWanted;
      return true;
    };
    const alive = (): boolean => !shrinking || asked++ === 0;
    const whole = runCampaign(options());
    const cut = runCampaign(options({ progress, alive }));
    expect(cut.interrupted).toBe(true);
    const actions = ({ results }: Report): number =>
      results.reduce((sum, { counterexample }) => sum + (counterexample?.actions.length ?? 0), 0);
    expect(actions(cut)).toBeGreaterThan(4 * actions(whole));
    expect(cut.results.map(({ verdict }) => verdict)).toEqual(
      whole.results.map(({ verdict }) => verdict),
    );
    for (const { counterexample } of cut.results) {
      if (counterexample === null) continue;
      const { config, property, schedule } = caseOf(counterexample);
      expect(new Bench(config).breaksAt(schedule, PROPERTY[property])).toBeGreaterThan(0);
    }
  });

  it('known failures are expected on their own machines only', () => {
    // One vCPU with a pCPU of its own loses nothing, so no known failure shows.
    const alone = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
    const { results } = runCampaign(options({ shapes: [alone], runs: 4 }));
    expect(results.filter(({ verdict, expected }) => verdict !== expected)).toEqual([]);
    const own = runCampaign(options({ runs: 1 })).results;
    expect(own.some(({ verdict, expected }) => verdict !== expected)).toBe(true);
  });

  it('runs without some actions owe no failure, and no risk, that they can not meet', () => {
    const names = ['run', 'hostEvent'] as const;
    const report = runCampaign(options({ without: names, runs: 8 }));
    expect(names.map((name) => report.actions[name])).toEqual([0, 0]);
    expect(report.actions['taskSwitch']).toBeGreaterThan(0);
    const { results } = report;
    expect(results.filter(({ verdict, expected }) => verdict !== expected)).toEqual([]);
    const intact = results.find(({ property }) => property === 'host-intact');
    expect([intact?.verdict, intact?.reason === '']).toEqual(['vacuous', false]);
  });

  it('a known failure that is seldom met is expected whether it is met or not', () => {
    const verdicts = (seldom: boolean): string[] => {
      const failure = { why: 'so the test has it', ...(seldom ? { seldom: true as const } : {}) };
      const policy = { ...policyOf('parked'), knownFailures: { 'no-leak/vm': failure } };
      const { results } = runCampaign(options({ policies: [policy], runs: 20 }));
      const found = results.filter(({ property }) => property === 'no-leak/vm');
      return found.map(({ verdict, expected }) => `${verdict}, expected ${expected}`);
    };
    expect([true, false].map(verdicts)).toEqual([
      ['holds, expected holds'],
      ['holds, expected fails'],
    ]);
  });
});

describe('oneForEachCause', () => {
  const found = (cause: string, actions: number, text: string): Counterexample => {
    const [shape] = DEFAULT_SHAPES;
    const act = { kind: 'halt', actor: 0, args: [] } as const;
    const names = { policy: 'a', property: 'balanced', cpu: 'b', kernel: '6.1', shape, text };
    const all = Array.from({ length: actions }, (): Action => act);
    return { ...names, cause, actions: all, label: 'shrunk' };
  };

  it('keeps the shortest of each cause, of equals the first, and has the shortest first', () => {
    const all = [found('a', 3, '1'), found('b', 2, '2'), found('a', 1, '3'), found('b', 2, '4')];
    expect(oneForEachCause(all).map(({ text }) => text)).toEqual(['3', '2']);
    expect(oneForEachCause([])).toEqual([]);
  });
});

describe('the cause of a failure', () => {
  it('is found on one machine for one schedule after the other, in any order', () => {
    const [shape] = DEFAULT_SHAPES;
    const config = { shape, model, kernel: '6.1', policy: policyOf('merged') } as const;
    const cases = ofMerged().flatMap(({ counterexample, otherCauses }) =>
      [counterexample ?? [], otherCauses].flat().filter((one) => one.shape === shape),
    );
    expect(cases.length).toBeGreaterThan(3);
    const bench = new PartingBench(config);
    for (const one of [...cases, ...cases.toReversed()]) {
      const { property, schedule } = caseOf(one);
      expect(bench.causeOf(schedule, { property, by: 'policy' })).toBe(one.cause);
    }
  });

  it('can be asked only of a schedule that breaks the property', () => {
    const [shape] = DEFAULT_SHAPES;
    const bench = new PartingBench({ shape, model, kernel: '6.1', policy: policyOf('parked') });
    const breach = { property: 'no-leak/vm', by: 'policy' } as const;
    const schedule = Schedule.of([{ kind: 'halt', actor: 0, args: [] }]);
    expect(() => bench.causeOf(schedule, breach)).toThrow('the property breaks as it did before');
  });
});

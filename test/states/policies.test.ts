/** Whole explorations: number of states, verdicts, and shortest counterexamples. */
import type { Vcpu } from '../../src/host/vcpu.js';
import { describe, expect, it } from 'vitest';
import type { Group } from '../../src/schedule/explored.js';
import { DEFAULT_GROUPS } from '../../src/states/alphabet.js';
import { explore, type Explored, type ExploreOptions } from '../../src/states/explore.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { PROPERTY, type PropertyName } from '../../src/judge/properties.js';
import type { Action } from '../../src/schedule/table.js';
import { actionText } from '../../src/schedule/action_text.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { Bench } from '../../src/campaign/trial.js';
import { cpuModel } from '../rig/cpu.js';
import { policyOf } from '../rig/machine.js';
import { configOf, exploreOptions } from '../rig/states.js';

const OUTSIDE: readonly Group[] = DEFAULT_GROUPS.filter((group) => group !== 'inside');

/** @param calls - bound of nested calls of a task. */
function explored(
  policy: string | LbrPolicy,
  groups: readonly Group[],
  more: Partial<ExploreOptions> = {},
  calls = 2,
): Explored {
  const whole = typeof policy === 'string' ? policyOf(policy) : policy;
  const bounds = { groups, events: 1, calls, suspended: 1 };
  return explore(exploreOptions(whole, groups, { bounds, ...more }));
}

/** Properties whose verdict is not `holds`. */
function others({ results }: Explored): Partial<Record<PropertyName, string>> {
  const entries = results.filter(({ verdict }) => verdict !== 'holds');
  return Object.fromEntries(entries.map(({ property, verdict }) => [property, verdict]));
}

const counts = ({ outcome, complete, exhausted }: Explored): unknown[] => [
  outcome.states,
  outcome.transitions,
  complete,
  exhausted,
];

const worst = ({ liveness }: Explored): unknown => [liveness?.recurs, liveness?.most];

/** Length of each counterexample, whose last action must be the one that breaks the property. */
function lengths(one: Explored): Partial<Record<PropertyName, number>> {
  const found: Partial<Record<PropertyName, number>> = {};
  for (const { property, counterexample } of one.results) {
    if (counterexample === null) continue;
    const bench = new Bench(configOf(policyOf(one.policy), [2, 1, 2, 1]));
    const schedule = Schedule.of(counterexample.actions);
    expect(bench.breaksAt(schedule, PROPERTY[property])).toBe(schedule.length);
    found[property] = schedule.length;
  }
  return found;
}

/** Saves and restores only a stack that is recording when its vCPU leaves. */
const TRUSTING: LbrPolicy = {
  ...policyOf('never'),
  name: 'trusting',
  knownFailures: {},
  notApplicable: {},
  words: ['saved'],
  vcpu_put: (kvm, vcpu: Vcpu<'saved'>) => {
    vcpu.words.saved = vcpu.lbrEnabled ? 1 : 0;
    if (vcpu.lbrEnabled) kvm.saveStack(vcpu, true);
  },
  vcpu_load: (kvm, vcpu: Vcpu<'saved'>) => {
    if (vcpu.words.saved !== 0) kvm.restoreStack(vcpu, true);
  },
};

const PV = { 'host-intact': 'vacuous' };
const NOT_PV = { ...PV, 'active-agrees': 'not applicable' };

describe('a sound policy', () => {
  it('pv-sound always holds, interrupted or not, in so many states', () => {
    const one = explored('pv-sound', DEFAULT_GROUPS);
    expect(counts(one)).toEqual([297_305, 1_584_129, true, true]);
    expect([others(one), worst(one), one.neverPossible]).toEqual([PV, [false, 1], []]);
  });

  it('lazy-sound always holds with less to call', () => {
    const one = explored('lazy-sound', DEFAULT_GROUPS, {}, 1);
    expect(counts(one)).toEqual([151_829, 850_823, true, true]);
    expect([others(one), worst(one), one.neverPossible]).toEqual([NOT_PV, [false, 1], []]);
  });

  it.each([
    ['pv-sound', 11_589, 37_031, PV, 1],
    ['lazy-sound', 16_365, 57_521, NOT_PV, 1],
    ['parked', 26_637, 85_383, NOT_PV, 2],
  ])(
    '%s always holds where switches happen between functions, in so many states',
    (name, n, steps, rest, most) => {
      const one = explored(name, OUTSIDE);
      expect(counts(one)).toEqual([n, steps, true, true]);
      expect([others(one), worst(one), one.neverPossible]).toEqual([rest, [false, most], []]);
    },
  );

  it('pv-sound has eight times the states where names count', () => {
    const one = explored('pv-sound', OUTSIDE, { symmetry: false });
    expect(counts(one)).toEqual([8 * 11_589, 296_248, true, true]);
    expect([others(one), worst(one)]).toEqual([PV, [false, 1]]);
  });

  it('pv-sound holds where vCPUs of one VM share a pCPU, and where TO holds no cycles', () => {
    const shape = { vms: 1, vcpus: 2, tasks: 3, pcpus: 1 };
    const shared = explored('pv-sound', OUTSIDE, { shape }, 1);
    const skylake = explored('pv-sound', OUTSIDE, { model: cpuModel('skylake/2') }, 1);
    expect(counts(shared)).toEqual([10_592, 26_880, true, true]);
    expect([others(shared), worst(shared), shared.neverPossible]).toEqual([PV, [false, 1], []]);
    expect(counts(skylake)).toEqual([4_985, 16_059, true, true]);
    expect([others(skylake), worst(skylake)]).toEqual([PV, [false, 1]]);
  });
});

describe('a policy that is not sound', () => {
  const until = (maxLength: number): Partial<ExploreOptions> => ({ maxLength });

  it('the policy "never" always loses and leaks by so many actions', () => {
    const one = explored('never', DEFAULT_GROUPS, until(6));
    expect([one.complete, one.exhausted, one.liveness]).toEqual([true, false, null]);
    expect(lengths(one)).toEqual({
      'no-loss/callstack': 6,
      'no-loss/any': 6,
      'no-leak/vm': 6,
      'callstack-true': 6,
      'sample-true': 6,
      'recorder-owned': 6,
    });
    expect(one.results.every(({ known, verdict }) => known === (verdict === 'fails'))).toBe(false);
  });

  it.each([
    [
      'lazy-literal',
      6,
      {
        'no-loss/callstack': 5,
        'no-loss/any': 5,
        'callstack-true': 5,
        'sample-true': 5,
        'recorder-owned': 6,
        'no-premature-stop': 5,
      },
    ],
    [
      'pv-v2',
      8,
      {
        'no-loss/callstack': 4,
        'no-loss/any': 4,
        'no-leak/vm': 8,
        'callstack-true': 8,
        'sample-true': 8,
        'recorder-owned': 8,
        'no-premature-stop': 4,
      },
    ],
    [
      'pv-v2-direct',
      8,
      {
        'no-loss/callstack': 7,
        'no-loss/any': 7,
        'no-leak/vm': 8,
        'no-premature-stop': 7,
      },
    ],
  ] as const)('%s always loses by so many actions', (name, bound, found) => {
    expect(lengths(explored(name, DEFAULT_GROUPS, until(bound)))).toEqual(found);
  });

  it('merged always loses inside a function first', () => {
    const one = explored('merged', DEFAULT_GROUPS, until(8));
    expect(lengths(one)).toEqual({
      'no-loss/callstack': 5,
      'no-loss/any': 5,
      'no-leak/vm': 8,
      'callstack-true': 6,
      'sample-true': 6,
      'recorder-owned': 8,
      'no-premature-stop': 6,
    });
    const loss = one.results.find(({ property }) => property === 'no-loss/callstack');
    expect(loss?.counterexample?.actions.map(actionText)[0]).toBe('p0: run vcpu=1 after=7');
  });

  it('the policy "always" works in vain again and again', () => {
    const one = explored('always', OUTSIDE, {}, 1);
    expect(counts(one)).toEqual([4_437, 15_401, true, true]);
    expect(lengths(one)).toEqual({ 'no-needless-switch': 3 });
    const { liveness } = one;
    expect([liveness?.recurs, liveness?.most]).toEqual([true, Infinity]);
    const bench = new Bench(configOf(policyOf('always'), [2, 1, 2, 1]));
    bench.boot();
    /** Bit mask of the vCPUs for which the actions saved or restored an unused stack. */
    const inVain = (actions: readonly Action[]): number => {
      bench.monitor.forget();
      const schedule = Schedule.of(actions);
      for (let i = 0; i < schedule.length; i++) expect(bench.step(schedule, i)).toBe(true);
      return bench.monitor.switches.inVain;
    };
    inVain(liveness?.stem ?? []);
    const rounds = Array.from({ length: 5 }, () => inVain(liveness?.cycle ?? []));
    expect(rounds.every((vcpus) => (vcpus & 1) === 1)).toBe(true);
  });

  it('a policy that trusts DEBUGCTL loses inside functions only, if perf has no shortcut', () => {
    const properties = ['no-loss/callstack'] as const;
    const run = (kernel: '4.18' | '6.1', groups: readonly Group[]): Explored =>
      explored(TRUSTING, groups, { properties, kernel, untilBroken: true }, 1);
    const schedule = ({ results: [{ counterexample }] }: Explored): string[] | undefined =>
      counterexample?.actions.map(actionText);
    const outside = run('4.18', OUTSIDE);
    expect([others(outside), outside.exhausted]).toEqual([{}, true]);
    expect(schedule(run('4.18', DEFAULT_GROUPS))).toEqual([
      'p0: run vcpu=1 after=5',
      'v0: open task=0 type=CALL_STACK|USER',
      'v1: open task=0 type=CALL_STACK|USER',
      'v1: call',
      'p0: run vcpu=0',
      'v0: resume',
      'v0: taskSwitch task=1',
    ]);
    // The shortcut relies on a stack that the policy has given up.
    expect(schedule(run('6.1', OUTSIDE))?.length).toBe(7);
  });
});

describe('explore', () => {
  it('a property never holds when the search was cut short', () => {
    let polls = 0;
    for (const [end, more] of [
      ['memory', { memoryBytes: 2e6 }],
      ['interrupted', { poll: () => ++polls < 2 }],
    ] as const) {
      const one = explored('pv-sound', DEFAULT_GROUPS, more);
      expect([one.outcome.end, one.complete, one.exhausted]).toEqual([end, false, false]);
      expect(new Set(one.results.map(({ verdict }) => verdict))).toEqual(new Set(['unknown']));
      expect(one.liveness).toBe(null);
    }
    expect(polls).toBe(2);
  });

  it('a bounded exploration has looked at all that is not longer than its bound', () => {
    const one = explored('pv-sound', OUTSIDE, { maxLength: 3 });
    expect([one.complete, one.exhausted, one.liveness]).toEqual([true, false, null]);
    expect([one.outcome.end, one.outcome.length]).toEqual(['bound', 3]);
  });

  it('an exploration stops once all that was asked for is broken, and not before', () => {
    const properties: readonly PropertyName[] = ['no-loss/any', 'owner-only'];
    const said: number[] = [];
    const one = explored('never', OUTSIDE, {
      properties,
      untilBroken: true,
      searched: ({ states }) => void said.push(states),
    });
    expect([one.outcome.end, one.complete, one.exhausted]).toEqual(['broken', true, false]);
    expect(one.results.map(({ property, verdict }) => [property, verdict])).toEqual([
      ['no-loss/any', 'fails'],
      ['owner-only', 'not applicable'],
    ]);
    expect(one.results[0].known).toBe(true);
    expect(one.results[0].reason).toBe(policyOf('never').knownFailures['no-loss/any']?.why);
    expect(one.results[1].reason).toBe('it never touches the registers');
    expect(said).toEqual([one.outcome.states]);
    expect(one.bytesPerState).toBe(one.outcome.bytes / one.outcome.states);
  });

  it('an exploration says what the bounds have and never was possible', () => {
    const idle = explored('pv-sound', ['calls', 'tasks'], {}, 1);
    expect([idle.outcome.states, idle.neverPossible]).toEqual([1, ['call', 'ret']]);
    expect(new Set(idle.results.map(({ verdict }) => verdict))).toEqual(new Set(['vacuous']));
    const alone = { vms: 1, vcpus: 1, tasks: 2, pcpus: 1 };
    const one = explored('pv-sound', ['events', 'pmi', 'idle'], { shape: alone }, 1);
    expect(one.neverPossible).toEqual([]);
    const both = { vms: 1, vcpus: 2, tasks: 2, pcpus: 1 };
    const two = explored('pv-sound', OUTSIDE, { shape: both }, 1);
    expect(two.neverPossible).toEqual(['taskSwitch', 'migrateTask']);
  });

  it('what goes on for ever is never asked with raw accesses, or if nobody wants to know', () => {
    const alone = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
    const ask = (groups: readonly Group[], more: Partial<ExploreOptions>): unknown =>
      explored('pv-sound', groups, { shape: alone, ...more }, 1).liveness === null;
    expect(ask(['events'], {})).toBe(false);
    expect(ask(['events', 'raw'], {})).toBe(true);
    expect(ask(['events'], { properties: ['no-loss/any'] })).toBe(true);
    expect(ask(['events'], { fingerprints: true })).toBe(true);
  });
});

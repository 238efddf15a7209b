/** Counterexamples of a campaign: exploration makes them minimal or labels them shrunk. */
import { beforeAll, describe, expect, it } from 'vitest';
import { shorten, SMALL_MACHINES } from '../../src/states/shorten.js';
import { always } from '../../src/host/policy/always.js';
import { never } from '../../src/host/policy/never.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { PROPERTY, PROPERTY_NAMES, type PropertyName } from '../../src/judge/properties.js';
import { MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import type { Action } from '../../src/schedule/table.js';
import { Schedule } from '../../src/schedule/schedule.js';
import type { Counterexample, Result } from '../../src/campaign/campaign.js';
import { DEFAULT_SHAPES, runCampaign } from '../../src/campaign/campaign.js';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import { caseOf } from '../../src/campaign/replay_file.js';
import { Bench } from '../../src/campaign/trial.js';
import { cpuModel } from '../rig/cpu.js';

const model = cpuModel('skylake');
const [shape] = SMALL_MACHINES;

function campaign(policy: LbrPolicy, runs: number): readonly Result[] {
  const common = { model, kernel: '6.1', properties: PROPERTY_NAMES, schedules: [] } as const;
  const options = { ...common, shapes: DEFAULT_SHAPES, policies: [policy], steps: 60, seed: 1 };
  return runCampaign({ ...options, runs }).results;
}

/** A result whose schedule comes from the test. */
function resultOf(policy: LbrPolicy, property: PropertyName, actions: Action[]): Result {
  const config = { shape, model, kernel: '6.1', policy } as const;
  const schedule = Schedule.of(actions);
  const p = PROPERTY[property];
  expect(new Bench(config).breaksAt(schedule, p)).toBe(actions.length);
  const counterexample = new ShapeCampaign(config).counterexample(schedule, p, false);
  expect(counterexample.label).toBe('shrunk');
  const verdict = { verdict: 'fails', expected: 'fails' } as const;
  return {
    policy: policy.name,
    property,
    ...verdict,
    reason: '',
    runs: 1,
    reach: {},
    counterexample,
    otherCauses: [],
  };
}

/** What a counterexample says of itself is so: it breaks the property, at its end. */
function check(property: PropertyName, found: Counterexample): void {
  const { actions, text } = found;
  const { config, schedule } = caseOf(found);
  const bench = new Bench(config);
  expect(schedule.actions()).toEqual(actions);
  expect(bench.breaksAt(schedule, PROPERTY[property])).toBe(actions.length);
  expect(bench.monitor.verdicts.details[PROPERTY[property]]).toBe(text);
}

const options = { model, kernel: '6.1' } as const;
const rdmsr: Action = { kind: 'rdmsr', actor: 0, args: [MSR_LBR_TOS] };
const run = (vcpu: number): Action => ({ kind: 'run', actor: 0, args: [vcpu, 0] });

describe('shorten', () => {
  let before: readonly Result[] = [];
  let after: readonly Result[] = [];
  beforeAll(() => {
    before = campaign(never, 400);
    after = shorten(before, { ...options, policy: never });
  }, 60_000);

  it('shorten never makes a schedule longer, nor changes what holds', () => {
    let shorter = 0;
    for (const [i, result] of after.entries()) {
      const { counterexample } = before[i];
      if (counterexample === null || result.counterexample === null) {
        expect(result).toBe(before[i]);
        continue;
      }
      check(result.property, result.counterexample);
      const { counterexample: is, otherCauses } = result;
      expect(result).toEqual({ ...before[i], counterexample: is, otherCauses });
      const keys = [is, ...otherCauses].map(({ cause }) => cause);
      expect(new Set(keys).size).toBe(keys.length);
      const known = [counterexample, ...before[i].otherCauses].map(({ cause }) => cause);
      expect(keys).toEqual(expect.arrayContaining(known));
      for (const other of otherCauses) {
        check(result.property, other);
        expect(other.actions.length).toBeGreaterThanOrEqual(is.actions.length);
        if (other.label === 'minimal') expect(other.actions.length).toBe(is.actions.length);
      }
      const [was, now] = [counterexample.actions.length, is.actions.length];
      expect(now).toBeLessThanOrEqual(was);
      if (now < was) shorter++;
    }
    expect(shorter).toBeGreaterThan(0);
  });

  it('a schedule is minimal if no short schedule beats it, and has at most five actions', () => {
    const lengths = after.flatMap(({ property, counterexample }) =>
      counterexample === null
        ? []
        : [[property, counterexample.label, counterexample.actions.length]],
    );
    expect(lengths).toContainEqual(['no-loss/any', 'minimal', 3]);
    expect(lengths).toContainEqual(['no-leak/vm', 'minimal', 3]);
    expect(lengths).toContainEqual(['sample-true', 'minimal', 4]);
    expect(lengths.map(([, label]) => label)).toContain('shrunk');
    for (const [, label, length] of lengths) {
      if (Number(length) > 5) expect(label).toBe('shrunk');
    }
  });

  it('shorten finds the shortest of all, whatever the campaign has found', () => {
    const found = resultOf(always, 'no-needless-switch', [rdmsr, rdmsr, run(1)]);
    const [{ counterexample }] = shorten([found], { ...options, policy: always });
    expect(counterexample?.actions.map(({ kind }) => kind)).toEqual(['rdmsr', 'run']);
    expect(counterexample?.label).toBe('minimal');
  });

  it('shorten keeps a schedule that is as short as can be', () => {
    const found = resultOf(always, 'no-needless-switch', [rdmsr, run(1)]);
    const [{ counterexample }] = shorten([found], { ...options, policy: always });
    expect(counterexample).toEqual({ ...found.counterexample, label: 'minimal' });
  });

  it('a schedule is never called minimal if there was no time to look', () => {
    const found = resultOf(never, 'sample-true', [rdmsr, ...leak]);
    const poll = (): boolean => false;
    const [{ counterexample }] = shorten([found], { ...options, policy: never, poll });
    expect(counterexample).toEqual(found.counterexample);
  });

  it('shorten calls nothing minimal after an interruption, however late', () => {
    const found = [resultOf(never, 'sample-true', [rdmsr, ...leak])];
    let asked = 0;
    const shortened = (answers: number): Result[] => {
      asked = 0;
      const poll = (): boolean => asked++ < answers;
      return shorten(found, { ...options, policy: never, poll });
    };
    expect(shortened(Infinity).map((one) => one.counterexample?.label)).toEqual(['minimal']);
    const questions = asked;
    expect(questions).toBeGreaterThan(3);
    for (const answers of [0, questions >> 1, questions - 2, questions - 1]) {
      const [{ property, counterexample }] = shortened(answers);
      expect(asked).toBeGreaterThan(answers);
      if (counterexample === null) throw new Error('it still fails');
      expect(counterexample.label).toBe('shrunk');
      check(property, counterexample);
    }
  });

  it('shorten never does anything where nothing failed', () => {
    const results = [{ ...resultOf(always, 'no-needless-switch', [rdmsr, run(1)]) }];
    const none = results.map((result) => ({ ...result, counterexample: null }));
    expect(shorten(none, { ...options, policy: always })).toEqual(none);
  });
});

/** The host records into a stack, and a sample of the guest is then taken from this stack. */
const leak: Action[] = [
  { kind: 'hostEvent', actor: 0, args: [0, 0] },
  { kind: 'open', actor: 0, args: [0, 0, 0x801] },
  { kind: 'hostWork', actor: 0, args: [1] },
  { kind: 'pmi', actor: 0, args: [0, 0] },
];

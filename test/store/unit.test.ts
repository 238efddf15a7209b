import { describe, expect, it } from 'vitest';
import type { Report } from '../../src/campaign/campaign.js';
import { runCampaign } from '../../src/campaign/campaign.js';
import { PartingBench } from '../../src/campaign/because.js';
import { scheduleOf } from '../../src/campaign/shape_campaign.js';
import { listFor } from '../../src/campaign/kernel_lists.js';
import {
  foundIn,
  NOTHING_FOUND,
  shortestOf,
  withRange,
  withShort,
} from '../../src/store/findings.js';
import { doUnit, type Example, type Failure, type RunsDone } from '../../src/store/unit.js';
import { ASKED, crossed, optionsOf, PORT_7_3 } from '../rig/campaign.js';
import { cpuModel } from '../rig/cpu.js';
import { policyOf } from '../rig/machine.js';

const options = optionsOf(ASKED, 0);
const runs = (from: number, to: number): RunsDone => {
  const done = doUnit(options, { kind: 'runs', range: { from, to } });
  if (done === null) throw new TypeError('the unit was done');
  return crossed(done) as RunsDone;
};
const causeOf = ({ property, own }: Failure, { shape, words }: Example): string => {
  const [policy, model] = [policyOf('merged'), cpuModel('haswell/4')];
  const config = { shape: ASKED.shapes[shape], model, kernel: '7.3', policy } as const;
  const by = own ? 'kernel' : 'policy';
  return new PartingBench(config).causeOf(scheduleOf(words), { property, by });
};

describe('a unit of runs', () => {
  const whole = runs(0, 40);

  it('tells each failure once, with the first schedule that shows it', () => {
    expect(whole.met.length).toBeGreaterThan(5);
    const keys = whole.met.map(({ property, own, known, cause }) =>
      [property, own, known, cause].join(' '),
    );
    expect(new Set(keys).size).toBe(keys.length);
    expect(whole.met.some(({ own }) => own)).toBe(true);
    expect(whole.met.some(({ count }) => count > 1)).toBe(true);
  });

  it('tells of each failure the code that decides it', () => {
    for (const met of whole.met) expect(causeOf(met, met)).toBe(met.cause);
  });

  it('counts all runs that break a property, and keeps no schedules beside the failures', () => {
    for (const shape of whole.found.shapes) {
      expect(shape.failures.flat()).toEqual([]);
      expect(shape.own).toEqual([]);
    }
    const broken = whole.found.shapes.map((shape) => shape.broken);
    expect(broken.flat().reduce((a, b) => a + b)).toBeGreaterThan(20);
    expect(Math.max(...broken.flat())).toBeLessThanOrEqual(10);
  });

  it('tells only of properties that are asked for', () => {
    const asked = { ...ASKED, properties: ['no-needless-switch'] as const };
    const done = doUnit(optionsOf(asked, 0), { kind: 'runs', range: { from: 0, to: 40 } });
    const { met } = done as RunsDone;
    expect(new Set(met.map(({ property }) => property))).toEqual(new Set(['no-needless-switch']));
  });

  it('is not done if it was told to end', () => {
    const cut = optionsOf(ASKED, 0, () => false);
    expect(doUnit(cut, { kind: 'runs', range: { from: 0, to: 40 } })).toBeNull();
  });
});

describe('a unit that makes a schedule short', () => {
  const { met } = runs(0, 8);

  it('keeps the property, the cause and the entry of the list of the kernel', () => {
    const { findings } = listFor('7.3');
    expect(met.length).toBeGreaterThan(3);
    for (const { shape, words, count: _, ...failure } of met.slice(0, 6)) {
      const unit = { kind: 'shrink', failure, example: { shape, words } } as const;
      const short = doUnit(options, unit) as Example;
      expect(short.shape).toBe(shape);
      expect(short.words.length).toBeLessThanOrEqual(words.length);
      expect(causeOf(failure, short)).toBe(failure.cause);
      if (failure.own) expect(failure.known).toBeLessThan(findings.length);
    }
  });

  it('is not done if it was told to end', () => {
    const [{ shape, words, count: _, ...failure }] = met;
    const unit = { kind: 'shrink', failure, example: { shape, words } } as const;
    expect(
      doUnit(
        optionsOf(ASKED, 0, () => false),
        unit,
      ),
    ).toBeNull();
  });
});

describe('a unit that sums up', () => {
  const done = runs(0, ASKED.runs);
  let findings = withRange(NOTHING_FOUND, done);
  for (const [
    e,
    { examples, short: _, count: __, first: ___, ...failure },
  ] of findings.entries.entries()) {
    const short = doUnit(options, { kind: 'shrink', failure, example: examples[0] }) as Example;
    findings = withShort(findings, e, 0, short);
  }
  const found = foundIn(findings);
  if (found === null) throw new TypeError('a range is in it');
  const report = doUnit(options, { kind: 'sum', found }) as Report;

  it('gives the verdicts that all runs in one process give', () => {
    const { target: _, asked: __, alive: ___, ran: ____, policy, ...named } = options;
    const campaign = { ...ASKED, ...named, kernel: PORT_7_3.kernel, policies: [policy] };
    const whole = runCampaign({ ...campaign, list: listFor('7.3'), steps: 60, schedules: [] });
    const verdictsOf = ({ results }: Report): object[] =>
      results.map(({ counterexample, otherCauses: _____, ...rest }) => ({
        ...rest,
        fails: counterexample !== null,
      }));
    expect(verdictsOf(report)).toEqual(verdictsOf(whole));
    expect(report.actions).toEqual(whole.actions);
    expect(report.kernelFindings.map(({ property }) => property)).toEqual(
      whole.kernelFindings.map(({ property }) => property),
    );
  });

  it('tells the shortest schedule of each property', () => {
    for (const { property, counterexample } of report.results) {
      if (counterexample === null) continue;
      const its = findings.entries.filter((entry) => !entry.own && entry.property === property);
      const shortest = Math.min(...its.map((entry) => shortestOf(entry).words.length / 5));
      expect(counterexample.actions.length).toBeLessThanOrEqual(shortest);
    }
  });

  it('sums up what is known even when it is told to end, if the runs were cut short', () => {
    const cut = optionsOf(ASKED, 0, () => false);
    expect(doUnit(cut, { kind: 'sum', found })).toBeNull();
    const partial = doUnit(cut, { kind: 'sum', found: { ...found, interrupted: true } }) as Report;
    expect(partial.interrupted).toBe(true);
    expect(partial.results.some(({ verdict }) => verdict === 'fails')).toBe(true);
  });
});

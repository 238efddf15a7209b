/** The verdicts of a campaign as test cases. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_SHAPES, runCampaign } from '../../../src/campaign/campaign.js';
import { listFor } from '../../../src/campaign/kernel_lists.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { type Loss, sinceOf } from '../../../src/console/baseline.js';
import { lossesIn } from '../../../src/tell/verdicts/losses.js';
import type { Campaign } from '../../../src/tell/verdicts/text.js';
import { verifySuite } from '../../../src/tell/verdicts/suite.js';
import { cpuModel } from '../../rig/cpu.js';
import { policyOf } from '../../rig/machine.js';

const model = cpuModel('haswell/4');
const PROPERTIES = ['no-leak/vm', 'owner-only', 'sample-true'] as const;
const report = runCampaign({
  model,
  kernel: '6.1',
  shapes: DEFAULT_SHAPES,
  policies: [policyOf('never')],
  properties: PROPERTIES,
  runs: 40,
  steps: 60,
  seed: 1,
  schedules: [],
});
const list = listFor('6.1');
const byKernel = { version: '6.1', list, own: true, unknown: [], missing: [] };

function campaign(more: Partial<Campaign> = {}): Campaign {
  const asked = { model, kernel: '6.1', driver: PORT, source: null, driverWords: [], seed: 1 };
  const rest = { policies: ['never'], properties: PROPERTIES, without: [], recordings: [] };
  const ran = { runsAsked: 40, shapes: DEFAULT_SHAPES, elapsed_s: 1, report, byKernel };
  return { ...asked, ...rest, ...ran, since: null, ...more };
}

const rows = (of: Campaign): string[] =>
  verifySuite(of).cases.map(({ group, name, outcome }) => `${group} ${name} ${outcome}`);

describe('verifySuite', () => {
  it('a known failure that fails is ok, and what does not apply is skipped', () => {
    expect(rows(campaign()).slice(0, 3)).toEqual([
      'never no-leak/vm ok',
      'never sample-true ok',
      'never owner-only skip',
    ]);
  });
  it('what is not expected is not ok, and says how to see it', () => {
    const results = report.results.map((one) =>
      one.verdict === 'fails' ? { ...one, expected: 'holds' as const } : one,
    );
    const [leak] = verifySuite(campaign({ report: { ...report, results } })).cases;
    expect(leak.outcome).toBe('not ok');
    expect(leak.says).toMatch(/^fails, expected: holds: v\d.*; vlbr replay v1\.\S+$/);
  });
  it('a run that was cut short says nothing of what has not failed', () => {
    const results = report.results.map((one) => ({ ...one, verdict: 'holds' as const }));
    const cut = { ...report, results, interrupted: true };
    const found = verifySuite(campaign({ report: cut, policies: ['never', 'always'] })).cases;
    expect(found.map(({ outcome }) => outcome).slice(0, 4)).toEqual([
      'skip',
      'skip',
      'skip',
      'skip',
    ]);
    expect(found[0].says).toBe('cut short after 40 runs');
    expect(found[3]).toMatchObject({ group: 'always', says: 'cut short: it was not run' });
  });
  it('what the kernel breaks is ok if it is known, and not ok if it is new, or gone', () => {
    const [counterexample] = report.results.flatMap((one) => one.counterexample ?? []);
    const kernelFindings = [
      { property: 'balanced', known: null, counterexample },
      { property: 'balanced', known: 'it is known', counterexample },
    ] as const;
    const missing = [{ ...list.findings[0], property: 'no-leak/task' as const, why: 'it was' }];
    const of = campaign({
      report: { ...report, results: [], kernelFindings },
      byKernel: { ...byKernel, missing },
      policies: [],
    });
    expect(rows(of)).toEqual([
      'Linux 6.1 balanced: not known not ok',
      'Linux 6.1 balanced: it is known ok',
      'Linux 6.1 no-leak/task: it was not ok',
    ]);
  });
  it('with a baseline, what it has lost is ok, and says so', () => {
    const [counterexample] = report.results.flatMap((one) => one.counterexample ?? []);
    const results = report.results.map((one) =>
      one.verdict === 'fails' ? { ...one, expected: 'holds' as const } : one,
    );
    const unknown = { property: 'balanced', known: null, counterexample } as const;
    const missing = [{ ...list.findings[0], property: 'no-leak/task' as const, why: 'it was' }];
    const now = campaign({
      report: { ...report, results, kernelFindings: [unknown] },
      byKernel: { ...byKernel, unknown: [unknown], missing },
    });
    const losses = lossesIn(now);
    const notOk = (known: readonly Loss[]): string[] => {
      const since = sinceOf({ file: 'base.json', losses: known }, losses, false);
      return rows({ ...now, since }).filter((row) => row.endsWith('not ok'));
    };
    expect([losses.length, notOk([]).length, notOk(losses)]).toEqual([4, 4, []]);
    for (const [i] of losses.entries()) {
      expect(notOk(losses.filter((_, k) => k !== i))).toHaveLength(1);
    }
    const since = sinceOf({ file: 'base.json', losses }, losses, false);
    const [first] = verifySuite({ ...now, since }).cases;
    expect(first.says).toMatch(/^known from base\.json: fails, expected: holds: v\d/);
  });
});

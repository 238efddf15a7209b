/** However the runs of a policy are cut, the report is the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CampaignOptions } from '../../src/campaign/campaign.js';
import { DEFAULT_SHAPES, reportOf, runCampaign, runUnit } from '../../src/campaign/campaign.js';
import { type Found, mergeFound } from '../../src/campaign/found.js';
import { type CampaignJob, unitsFor } from '../../src/console/campaigns.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { cpuModel } from '../rig/cpu.js';
import { policyOf } from '../rig/machine.js';

const RUNS = 48;
const policy = policyOf('never');
const options: Omit<CampaignOptions, 'policies'> = {
  model: cpuModel('haswell/4'),
  kernel: '7.3',
  shapes: DEFAULT_SHAPES,
  properties: PROPERTY_NAMES,
  runs: RUNS,
  steps: 60,
  seed: 1,
  schedules: [],
};
const found = (from: number, to: number): Found => runUnit({ ...options, policy }, { from, to });

/** As it comes out of a file or another process. */
const kept = (of: Found): Found => JSON.parse(JSON.stringify(of)) as Found;

describe('a campaign in units', () => {
  const whole = found(0, Infinity);

  it('finds what one process finds, however its runs are cut', () => {
    expect(whole.runs).toBe(RUNS);
    expect(whole.shapes.some(({ own }) => own.length > 0)).toBe(true);
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: RUNS - 1 }), { maxLength: 5 });
    const cut = fc.property(cuts, (places) => {
      const ends = [...places.toSorted((a, b) => a - b), Infinity];
      const parts = ends.map((to, i) => kept(found(i === 0 ? 0 : ends[i - 1], to)));
      expect(mergeFound(parts)).toEqual(whole);
    });
    fc.assert(cut, { numRuns: 6 });
  });
  it('reports what one process reports', () => {
    const parts = [found(0, 10), found(10, 40), found(40, Infinity)].map(kept);
    const report = reportOf({ ...options, policy }, mergeFound(parts));
    expect(report).toEqual(runCampaign({ ...options, policies: [policy] }));
    expect(report.results.filter(({ verdict }) => verdict === 'fails').length).toBeGreaterThan(3);
    expect(report.kernelFindings.length).toBeGreaterThan(0);
    // What was met while failures were made short does not count.
    const [first] = report.results;
    for (const { reach } of report.results) expect(reach).toEqual(first.reach);
  });
  it('keeps three failures of a property and shape, the first ones', () => {
    const one = { property: 1, known: -1, schedules: [[1], [2]] };
    const other = { property: 1, known: 0, schedules: [] };
    const part = (schedules: number[][]): Found => ({
      runs: 2,
      interrupted: false,
      shapes: [
        {
          steps: 3,
          counts: [1, 2],
          reach: [4],
          broken: [5],
          failures: [schedules],
          own: [one, other],
        },
      ],
    });
    const merged = mergeFound([part([[7]]), part([[8], [9], [10]])]);
    expect(merged).toEqual({
      runs: 4,
      interrupted: false,
      shapes: [
        {
          steps: 6,
          counts: [2, 4],
          reach: [8],
          broken: [10],
          failures: [[[7], [8], [9]]],
          own: [{ ...one, schedules: [[1], [2], [1]] }, other],
        },
      ],
    });
    const cut = mergeFound([part([]), { ...part([]), interrupted: true }]);
    expect(cut.interrupted).toBe(true);
  });
});

describe('unitsFor', () => {
  const job = (runs: number, policies: number, recorded = false): CampaignJob =>
    ({
      cpus: ['skylake'],
      policies: Array.from({ length: policies }, () => 'never'),
      runs,
      schedules: recorded ? [{}] : [],
    }) as unknown as CampaignJob;

  it('cuts few policies into ranges that follow each other, and many not at all', () => {
    const units = unitsFor(job(4000, 1), 2);
    expect(units.length).toBe(8);
    for (const [i, { from }] of units.entries()) expect(from).toBe(500 * i);
    expect(units.map(({ to }) => to)).toEqual([500, 1000, 1500, 2000, 2500, 3000, 3500, Infinity]);
    expect(unitsFor(job(4000, 20), 2)).toEqual([{ from: 0, to: Infinity }]);
    expect(unitsFor(job(300, 1), 8).map(({ from }) => from)).toEqual([0, 200]);
    expect(unitsFor(job(4000, 1, true), 8)).toEqual([{ from: 0, to: Infinity }]);
  });
});

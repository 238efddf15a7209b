/** The trials of the corpus as test cases, from invented reports. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ShapeCampaign } from '../../../src/campaign/shape_campaign.js';
import { tokenOf } from '../../../src/campaign/replay_file.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { readCorpus } from '../../../src/questions/corpus/corpus_file.js';
import type { HuntReport } from '../../../src/questions/corpus/hunt.js';
import { corpusSuite } from '../../../src/questions/corpus/suite.js';
import type { CorpusReport } from '../../../src/questions/corpus/text.js';
import { type Judged, trialsOf } from '../../../src/questions/corpus/trial.js';
import { goldenCase } from '../../rig/stories.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DEFECTS = readCorpus(ROOT).filter(({ id }) => ['A01', 'B17'].includes(id));
const [model, inC] = trialsOf(ROOT, DEFECTS);

const golden = goldenCase('001');
const { config, schedule } = golden;
const found = new ShapeCampaign(config).counterexample(schedule, PROPERTY['no-leak/vm'], false);

function judged(trial: Judged['trial'], outcome: object): Judged {
  const report = { outcome, runs: 70, steps: 4200 } as unknown as HuntReport;
  return { trial, report, elapsed_s: 1 };
}

const KILLED = { verdict: 'killed', kill: { counterexample: found } };

function cases(all: readonly Judged[], notTried: readonly string[] = []): object[] {
  const report = { defects: DEFECTS, judged: all, notTried } as unknown as CorpusReport;
  const { name, cases: made } = corpusSuite(report);
  expect(name).toBe('vlbr corpus');
  expect(new Set(made.map(({ group }) => group))).toEqual(new Set(['corpus']));
  return made.map((one) => [one.name, one.outcome, one.says]);
}

describe('corpusSuite', () => {
  const outside = ['B17', 'skip', DEFECTS.find(({ id }) => id === 'B17')?.reason];

  it('a defect that is found is ok, with the token that shows it', () => {
    expect(cases([judged(model, KILLED)])).toEqual([
      ['A01', 'ok', `vlbr replay ${tokenOf({ ...golden, whose: null })}`],
      outside,
    ]);
  });

  it('a defect that is not found is not ok, after so many runs', () => {
    expect(cases([judged(model, KILLED), judged(inC, { verdict: 'survived' })])[1]).toEqual([
      'A01.lbr.c',
      'not ok',
      'survived after 70 runs',
    ]);
    const crash = { ...found, error: 'RangeError: a bug of the model' };
    expect(cases([judged(inC, { verdict: 'oops', crash })])[0]).toEqual([
      'A01.lbr.c',
      'not ok',
      'oops after 70 runs',
    ]);
  });

  it('what was not tried, and what is outside of the model, is skipped', () => {
    expect(cases([], ['A01', 'A01.lbr.c'])).toEqual([
      ['A01', 'skip', 'not tried'],
      ['A01.lbr.c', 'skip', 'not tried'],
      outside,
    ]);
  });
});

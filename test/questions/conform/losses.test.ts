/** What a whole path loses against the port, with a baseline, from hand-made results. */
import { describe, expect, it } from 'vitest';
import { sinceOf } from '../../../src/console/baseline.js';
import { coloursFor } from '../../../src/console/colours.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { type CpuResult, lossesOf } from '../../../src/questions/conform/whole/comparison.js';
import type { Divergence } from '../../../src/questions/conform/whole/divergence.js';
import { wholeJson } from '../../../src/questions/conform/whole/json.js';
import { noCounts } from '../../../src/questions/conform/whole/pair.js';
import { type Whole, wholeText } from '../../../src/questions/conform/whole/text.js';
import { replayOf } from '../../../src/schedule/token.js';
import { wrongWithMade } from '../../rig/schemas.js';
import { goldenCase } from '../../rig/stories.js';

const { config, property, schedule } = goldenCase('001');

function resultOn(cpu: string, more: Partial<Divergence> = {}): CpuResult {
  const divergence: Divergence = {
    action: 2,
    in: 'access',
    where: 'intel_pmu_lbr_del() on v1',
    access: 0,
    what: 'an access',
    value: { port: 'nothing more', kernel: 'v1: RDMSR LBR_TOS reads 0x0' },
    accesses: { port: [], kernel: [] },
    ...more,
  };
  const first = { replay: replayOf(config, property, schedule), divergence };
  return { cpu, schedules: 20, parted: 3, first };
}

const RESULTS = [resultOn('haswell'), resultOn('goldmont')];
const LOSSES = RESULTS.flatMap(lossesOf);
const REPORT: Whole = {
  kernel: { version: '6.1.1', sha256: '0'.repeat(64) },
  driver: PORT,
  driverWords: ['--driver', 'kernel'],
  policy: 'always',
  models: ['haswell', 'goldmont'],
  seed: 1,
  runs: 40,
  counts: noCounts(),
  results: RESULTS,
  withoutLbr: [],
  coverage: null,
  coverageProblem: '',
  interrupted: false,
  elapsed_s: 1,
  since: null,
};

describe('the losses of a whole path', () => {
  it('a difference is known by its CPU, and by what differs in which function', () => {
    const what = 'an access in intel_pmu_lbr_del() on v#';
    expect(LOSSES).toEqual([
      { of: 'haswell', what, how: 'differs' },
      { of: 'goldmont', what, how: 'differs' },
    ]);
    const word = resultOn('haswell', { where: '', what: 'event 3 of v1: state' });
    expect(lossesOf(word)).toEqual([
      { of: 'haswell', what: 'event # of v#: state', how: 'differs' },
    ]);
    expect(lossesOf({ ...word, first: null })).toEqual([]);
  });

  it('with a baseline, only what is new is told in full', () => {
    const since = sinceOf({ file: 'base.json', losses: [LOSSES[0]] }, LOSSES, false);
    const text = wholeText({ ...REPORT, since }, coloursFor(false)).join('\n');
    expect(text).not.toMatch(/^1\. haswell/m);
    expect(text).toMatch(/^2\. goldmont/m);
    expect(text).toMatch(/\nsince base\.json: 1 new loss, 1 known, 0 no longer$/);
    expect(wholeText(REPORT, coloursFor(false)).join('\n')).toMatch(/^1\. haswell/m);
    const json = wholeJson({ ...REPORT, since });
    expect(wrongWithMade(json)).toEqual([]);
    expect(json).toMatchObject({ losses: LOSSES, baseline: { new: [LOSSES[1]] } });
  });
});

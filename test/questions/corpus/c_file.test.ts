/** The real defects in a kernel's lbr.c: each patch of the corpus is applied to the file of 6.1. */
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { readCorpus } from '../../../src/questions/corpus/corpus_file.js';
import { hunt, type HuntOptions, SHORT_ENOUGH } from '../../../src/questions/corpus/hunt.js';
import { Laboratory, trialName, trialsOf } from '../../../src/questions/corpus/trial.js';
import { PORT } from '../../../src/guest/perf/lbr_port.js';
import { findPolicy } from '../../../src/host/policy/index.js';
import { findCpuModel } from '../../../src/hw/cpu_models.js';
import { DEFAULT_SHAPES } from '../../../src/campaign/campaign.js';
import { compareDrivers } from '../../../src/campaign/compare.js';
import { PROPERTY } from '../../../src/judge/properties.js';
import { caseOf, withDriver } from '../../../src/campaign/replay_file.js';
import { Bench } from '../../../src/campaign/trial.js';
import { installedSource } from '../../rig/installed_kernel.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const HOOK_MS = 120_000;
const TRIALS = trialsOf(ROOT, readCorpus(ROOT)).filter(({ target }) => target === 'lbr.c');
const NAMED = TRIALS.map((trial) => [trialName(trial), trial] as const);

/** Runs for patches that show only after a fork, or in certain samples in turn. */
const RUNS_OF: ReadonlyMap<string, number> = new Map([
  ['A06.lbr.c', 4000],
  ['B01.lbr.c', 800],
  ['B15.lbr.c', 2400],
]);

/** Properties that a review of the patch reports as lost. */
function lostIn({ bad, good, place, properties }: HuntOptions, runs: number): readonly string[] {
  const model = findCpuModel(place.cpu);
  const policy = findPolicy(place.policy);
  if (model === undefined || policy === undefined) throw new Error('the corpus names what exists');
  const { kernel } = place;
  const sides = { driver: bad.driver ?? PORT, before: good.driver ?? PORT };
  const what = { model, kernel, policy, ...sides, properties };
  const asked = { ...what, shapes: DEFAULT_SHAPES, runs, steps: 60, seed: 1 };
  const { changes } = compareDrivers(asked);
  return changes.filter(({ kind }) => kind === 'lost').map(({ property }) => property);
}

describe.skipIf(installedSource === null)("defects in a kernel's lbr.c", () => {
  let laboratory: Laboratory;

  beforeAll(async () => {
    laboratory = await Laboratory.open(ROOT, installedSource);
  }, HOOK_MS);

  it.each(NAMED)(
    'a defect in lbr.c is always killed by a property that %s names',
    async (_name, trial) => {
      const options = await laboratory.prepare(trial, 4000, 1);
      const work = hunt(options);
      let now = work.next();
      while (now.done !== true) now = work.next();
      const { outcome } = now.value;
      if (outcome.verdict !== 'killed') throw new Error(`it is ${outcome.verdict}`);
      const { property, counterexample } = outcome.kill;
      expect(trial.suspect.properties).toContain(property);
      expect(counterexample.actions.length).toBeLessThanOrEqual(SHORT_ENOUGH);
      // Neither the unpatched file nor the port breaks the property in this schedule.
      for (const driver of [options.good.driver ?? PORT, PORT]) {
        const { config, schedule } = withDriver(caseOf(counterexample), driver);
        const bench = new Bench(config);
        expect(bench.breaksAt(schedule, PROPERTY[property])).toBe(-1);
        expect(bench.guestBreaksAt(schedule, PROPERTY[property])).toBe(-1);
      }
    },
  );

  it.each(NAMED)('a defect in lbr.c is always a loss in a review of %s', async (name, trial) => {
    const options = await laboratory.prepare(trial, 1, 1);
    expect(lostIn(options, RUNS_OF.get(name) ?? 300)).not.toEqual([]);
  });
});

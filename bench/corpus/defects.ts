/** The defects of test/corpus, each put back into the model. */
import { DEFAULT_SHAPES, GUESTS_ONLY } from '../../src/campaign/campaign.js';
import { type Breaking, onlyOnOne, Side } from '../../src/campaign/side.js';
import { PROPERTY } from '../../src/judge/properties.js';
import type { Verdicts } from '../../src/judge/verdicts.js';
import type { Shape } from '../../src/machine/config.js';
import { readCorpus } from '../../src/questions/corpus/corpus_file.js';
import type { HuntOptions, Variant } from '../../src/questions/corpus/hunt.js';
import { Laboratory, trialName, trialsOf } from '../../src/questions/corpus/trial.js';
import type { Ground, Quarry } from './hunt.js';
import { type Corpus, Runs } from './runs.js';

const ROOT = new URL('../..', import.meta.url).pathname;

/** Every defect that the model can have. */
export async function defectQuarries(): Promise<Quarry[]> {
  const laboratory = await Laboratory.open(ROOT, null);
  const trials = trialsOf(ROOT, readCorpus(ROOT)).filter(({ target }) => target === 'model');
  return Promise.all(
    trials.map(async (trial): Promise<Quarry> => {
      const { policy, cpu, properties } = trial.suspect;
      const options = await laboratory.prepare(trial, 0, 0);
      return {
        wanted: [[trialName(trial), policy, cpu, properties.join(', ')]],
        begin: (corpus) => turns(options, corpus),
      };
    }),
  );
}

/** The machines in the order of `vlbr corpus`, which leaves the guests alone every other time. */
function turns(options: HuntOptions, corpus: Corpus | null): (i: number) => Ground {
  const { shape } = options.place;
  if (shape !== undefined) {
    const only = groundOf(options, shape, false, corpus);
    return () => only;
  }
  const alone = groundOf(options, GUESTS_ONLY, true, corpus);
  const shared = DEFAULT_SHAPES.map((one) => groundOf(options, one, false, corpus));
  return (i) => (i % 2 === 1 ? alone : shared[(i >> 1) % shared.length]);
}

function sideOf({ model, cpu }: Variant, { place }: HuntOptions, shape: Shape): Side {
  const policy = model.findPolicy(place.policy);
  const found = model.findCpuModel(cpu);
  if (policy === undefined || found === undefined) throw new Error('the corpus names what exists');
  const config = { shape, model: found, kernel: place.kernel, policy };
  return new Side(new model.ShapeCampaign(config));
}

function groundOf(
  options: HuntOptions,
  shape: Shape,
  guestsOnly: boolean,
  corpus: Corpus | null,
): Ground {
  const { bench } = sideOf(options.bad, options, shape).campaign;
  const runs = new MutantRuns(bench, corpus);
  // What is tried on these two covers nothing.
  const bad = sideOf(options.bad, options, shape);
  const good = sideOf(options.good, options, shape);
  const shows = (): boolean => {
    if (runs.oops) return options.properties.includes('no-fault');
    return options.properties.some((name) =>
      brokenBy(bench.monitor.verdicts, PROPERTY[name]).some(
        (by) => onlyOnOne(runs.schedule, bad, good, by, PROPERTY[name]) !== null,
      ),
    );
  };
  return { runs, guestsOnly, shows };
}

function brokenBy({ broken, own }: Verdicts, property: number): Breaking[] {
  const by: Breaking[] = [];
  if (broken[property] !== 0) by.push('policy');
  if (own[property] !== 0) by.push('kernel');
  return by;
}

/** Runs on a mutant, which may follow a null pointer: no run can be made after that. */
class MutantRuns extends Runs {
  oops = false;

  override run(...args: Parameters<Runs['run']>): void {
    try {
      super.run(...args);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      this.oops = true;
    }
  }
}

/** Which patch of a series loses what: each is reviewed against the tree as it is before it. */
import { caseOf, withDriver } from '../../campaign/replay_file.js';
import { Bench } from '../../campaign/trial.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { PROPERTY } from '../../judge/properties.js';
import { NothingRuns, NotBuilt } from '../../tree/errors.js';
import { type Finding, findingsOf, isMain } from './comparison.js';
import type { Series, Sides } from './sides.js';
import type { Review } from './conclusion.js';

/** A patch, or more of them where the tree does not build in between. */
export interface Step {
  /** The first and the last of its patches, from 1. */
  readonly first: number;
  readonly last: number;
  /** Title of the last. */
  readonly title: string;
  /** Null if there is none: `why` says why. */
  readonly found: Review | null;
  readonly why: string | null;
}

/** A finding of the whole series. */
export interface Blame {
  readonly finding: Finding;
  /** From which step on its schedule ends as it does; null if that is not known. */
  readonly step: Step | null;
}

export interface Each {
  readonly patches: number;
  /** In order; none after an interruption. */
  readonly steps: readonly Step[];
  readonly blamed: readonly Blame[];
  readonly interrupted: boolean;
}

/**
 * Reviews each patch of a series. A patch without which the next one is needed to build is reviewed
 * together with that one.
 *
 * @param reviewed - reviews two sides.
 * @param say - is told which patch is looked at.
 */
export async function reviewEach(
  series: Series,
  whole: Review,
  reviewed: (sides: Sides, titles: readonly string[]) => Promise<Review>,
  say: (text: string) => void,
): Promise<Each> {
  const steps: Step[] = [];
  const { titles } = series;
  let built = 0;
  let interrupted = whole.interrupted;
  for (let last = 1; last <= titles.length && !interrupted; last++) {
    const title = titles[last - 1];
    const where = { first: built + 1, last, title };
    say(`patch ${stepText(where)} of ${titles.length}: ${title}`);
    try {
      const found = await reviewed(await series.sides(built, last), titles.slice(built, last));
      steps.push({ ...where, found, why: null });
      interrupted = found.interrupted;
      built = last;
    } catch (error) {
      if (!(error instanceof NotBuilt) && !(error instanceof NothingRuns)) throw error;
      steps.push({ ...where, found: null, why: error.message });
      if (error instanceof NothingRuns) built = last;
    }
  }
  const blamed = findingsOf(whole.reviews)
    .filter(isMain)
    .map((finding) => ({ finding, step: stepOf(finding, steps) }));
  return { patches: titles.length, steps, blamed, interrupted };
}

/** `3`, or `2-3`. */
export function stepText({ first, last }: Pick<Step, 'first' | 'last'>): string {
  return first === last ? String(last) : `${first}-${last}`;
}

/** The last step over which the schedule of a finding changes as it does over the whole series. */
function stepOf(finding: Finding, steps: readonly Step[]): Step | null {
  const isLoss = finding.kind === 'lost';
  const changes = ({ found }: Step): boolean =>
    found !== null &&
    breaksOn(finding, found.before.driver) !== isLoss &&
    breaksOn(finding, found.after.driver) === isLoss;
  return steps.findLast(changes) ?? null;
}

/** Whether the schedule of a finding breaks its property with a driver, whoever breaks it. */
function breaksOn({ counterexample, property }: Finding, driver: DriverKind): boolean {
  const { config, schedule } = withDriver(caseOf(counterexample), driver);
  const bench = new Bench(config);
  const index = PROPERTY[property];
  return bench.breaksAt(schedule, index) >= 0 || bench.guestBreaksAt(schedule, index) >= 0;
}

/** Losses of single patches that the whole series does not have. */
export function lostOnTheWay({ steps, blamed }: Each): { finding: Finding; step: Step }[] {
  const whole = blamed.filter(({ finding }) => finding.kind === 'lost');
  return steps.flatMap((step) =>
    findingsOf(step.found?.reviews ?? [])
      .filter((finding) => finding.kind === 'lost' && isMain(finding))
      .filter(({ property }) => !whole.some(({ finding }) => finding.property === property))
      .map((finding) => ({ finding, step })),
  );
}

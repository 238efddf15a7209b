/** The report of `vlbr review` as one JSON object; its keys are stable (README, "JSON"). */
import { findCpuModel } from '../../hw/cpu_models.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import { CALL_NAMES } from '../../machine/guest_call.js';
import type { Access } from './access_log.js';
import { type JsonReport, caseOf, withDriver } from '../../campaign/replay_file.js';
import { encodeToken } from '../../schedule/token.js';
import type { Crash } from '../../campaign/side.js';
import { crashOf, findingsOf, losesAnything } from './comparison.js';
import { shortestParting, vacuousOf } from './comparison.js';
import type { Finding } from './comparison.js';
import type { Each } from './each.js';
import { msrName } from '../../tell/msr_name.js';
import { isPartial, type Review } from './conclusion.js';
import { whyNot } from './reached.js';
import type { ReviewSide } from './sides.js';
import type { Settings } from '../../console/baseline.js';
import { lossesIn } from './losses.js';
import { timeline } from '../../tell/timeline.js';

export const REVIEW_SCHEMA = 'vlbr/review/2';

/** The number of accesses printed on each side, around the first that differs. */
const AROUND = 8;

/** What must be as in another review, so that the two can be compared. */
export function settingsOf({
  cpus,
  policies,
  properties,
  reverse,
  before,
}: Pick<Review, 'cpus' | 'policies' | 'properties' | 'reverse' | 'before'>): Settings {
  return { cpus, policies, properties, reverse, before: sideJson(before) };
}

/** Only `elapsed_s`, `baseline` and the paths depend on more than the options and the seed. */
export function reviewJson(review: Review): JsonReport {
  const { seed, runs, before, after, patches, leftOut, reviews } = review;
  const findings = findingsOf(reviews);
  const compared = reviews.flatMap(({ accesses }) => accesses ?? []);
  const of = (kind: Finding['kind']): object[] =>
    findings
      .filter((finding) => finding.kind === kind)
      .map((finding) => findingJson(finding, (kind === 'lost' ? after : before).driver));
  return {
    schema: REVIEW_SCHEMA,
    ...settingsOf(review),
    seed,
    runs,
    patches,
    after: sideJson(after),
    notModelled: leftOut,
    partial: isPartial(review),
    changedLines: reachedJson(review),
    lost: of('lost'),
    vacuous: vacuousOf(reviews),
    crashes: [crashOf(reviews, 'before'), crashOf(reviews, 'after')].flatMap(crashJson),
    gained: of('gained'),
    accesses: {
      schedules: compared.reduce((n, { schedules }) => n + schedules, 0),
      compared: compared.reduce((n, { accesses }) => n + accesses, 0),
      parted: compared.reduce((n, { parted }) => n + parted, 0),
      parting: partingJson(review),
    },
    costs: compared.map(({ policy, cpu, costs }) => ({ policy, cpu, ...costs })),
    ...(review.each === null ? {} : { each: eachJson(review.each) }),
    losses: lossesIn(review),
    baseline: review.since,
    interrupted: review.interrupted,
    elapsed_s: review.elapsed_s,
    ok: !losesAnything(reviews),
  };
}

function reachedJson({ reached }: Review): object | null {
  if (reached === null) return null;
  const { lines, notReached } = reached;
  return { lines, reached: lines - notReached.length, notReached, why: whyNot(notReached) };
}

/** A step has the keys of a review, unless there is none. */
function eachJson({ patches, steps, blamed, interrupted }: Each): object {
  return {
    patches,
    interrupted,
    steps: steps.map(({ first, last, title, found, why }) => {
      return { first, last, title, why, review: found === null ? null : reviewJson(found) };
    }),
    blamed: blamed.map(({ finding: { kind, property, by, policies }, step }) => {
      return { kind, property, by, policies, patch: step === null ? null : step.last };
    }),
  };
}

function sideJson({ info, path }: ReviewSide): object {
  return { ...info, kernelSrc: path };
}

function findingJson(finding: Finding, driver: DriverKind): object {
  const { by, policies, cpus, property, elsewhere, onLinux61, counterexample } = finding;
  const { shape, actions } = counterexample;
  const token = encodeToken(counterexample);
  const { text, lines, because } = timeline(withDriver(caseOf(counterexample), driver));
  const shown = { shape, actions, token, text, because, timeline: lines };
  return { property, by, policies, cpus, elsewhere, onLinux61, counterexample: shown };
}

function crashJson(crash: Crash | null): object[] {
  if (crash === null) return [];
  const { side, cpu, error, actions } = crash;
  return [{ side, cpu, error, actions, token: encodeToken(crash) }];
}

function partingJson({ reviews }: Review): object | null {
  const parting = shortestParting(reviews);
  if (parting === null) return null;
  const { policy, cpu, shape, actions, at, before, after } = parting;
  const token = encodeToken(parting);
  const model = findCpuModel(cpu);
  const window = (accesses: readonly Access[]): object[] =>
    accesses.slice(Math.max(0, at - AROUND), at + AROUND).map((access) => ({
      ...access,
      fn: CALL_NAMES[access.fn],
      name: model === undefined ? '' : msrName(model, access.msr),
    }));
  const shown = { before: window(before), after: window(after) };
  return { policy, cpu, shape, actions, token, at, ...shown };
}

/** The report of an exploration as one JSON object; its keys are stable. */
import type { JsonReport } from '../../campaign/replay_file.js';
import type { Explored } from '../../states/explore.js';
import type { Counterexample } from '../../campaign/campaign.js';
import { encodeToken } from '../../schedule/token.js';
import { collisionOdds } from '../../search/visited.js';
import type { Exploration, TimedExploration } from './text.js';
import { coveredLength, endText, isSilicon, siliconName } from './text.js';
import { statesPerSecond, verdictWord } from './text.js';
import { ascii } from '../../console/text.js';

/** The schema of `vlbr explore --json`. */
const EXPLORE_SCHEMA = 'vlbr/explore/2';

/** Everything but times and rates depends on the options alone. */
export function exploreJson(exploration: Exploration): JsonReport {
  const { kernel, driver, source, results, policies, interrupted, elapsed_s } = exploration;
  const begun = results.map(({ explored }) => explored.policy);
  return {
    schema: EXPLORE_SCHEMA,
    kernel,
    driver: driver.name,
    kernelSource: source,
    elapsed_s,
    interrupted,
    notBegun: policies.filter((policy) => !begun.includes(policy)),
    results: results.map((result) => resultJson(exploration, result)),
  };
}

function resultJson(exploration: Exploration, result: TimedExploration): object {
  const { explored, seconds } = result;
  const { outcome } = explored;
  return {
    policy: explored.policy,
    states: outcome.states,
    transitions: outcome.transitions,
    depth: outcome.length,
    complete: explored.complete,
    exhausted: explored.exhausted,
    verdictWord: verdictWord(explored),
    why: endText(explored),
    frontier: outcome.frontier,
    coveredLength: coveredLength(explored),
    seconds: Math.round(seconds * 1000) / 1000,
    statesPerSecond: statesPerSecond(result),
    bytesPerState: Math.round(explored.bytesPerState),
    bounds: boundsJson(exploration),
    collisionOdds: exploration.fingerprints ? collisionOdds(outcome.states) : null,
    neverPossible: explored.neverPossible,
    liveness: livenessJson(explored),
    verdicts: verdictsJson(exploration, explored),
  };
}

function boundsJson(exploration: Exploration): object {
  const { model, shape, bounds, maxLength, memoryMB, fingerprints, symmetry } = exploration;
  return {
    cpu: siliconName(model),
    lbrDepth: model.lbr_nr,
    silicon: isSilicon(model),
    ...shape,
    events: bounds.events,
    calls: bounds.calls,
    suspended: bounds.suspended,
    length: maxLength === Infinity ? null : maxLength,
    actions: bounds.groups,
    memoryMB,
    fingerprints,
    symmetry,
  };
}

function livenessJson({ liveness }: Explored): object | null {
  if (liveness === null) return null;
  return { ...liveness, most: liveness.recurs ? null : liveness.most };
}

export function verdictsJson(
  { fingerprints }: Pick<Exploration, 'fingerprints'>,
  { results }: Pick<Explored, 'results'>,
): object[] {
  return results.map(({ property, verdict, known, reason, counterexample }) => ({
    property,
    verdict,
    known,
    reason: ascii(reason),
    // With fingerprints a state of a shorter schedule may have been missed.
    minimal: counterexample !== null && !fingerprints,
    counterexample: counterexample === null ? null : counterexampleJson(counterexample),
  }));
}

export function counterexampleJson(found: Counterexample): object {
  return {
    length: found.actions.length,
    actions: found.actions,
    token: encodeToken(found),
    text: ascii(found.text),
  };
}

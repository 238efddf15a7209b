/** The report of schedules that were run one by one as one JSON object; its keys are stable. */
import type { JsonReport } from '../../campaign/replay_file.js';
import { counterexampleJson, verdictsJson } from './json.js';
import type { ImageExploration, TimedEnumeration } from './image_text.js';
import { countOf } from './image_text.js';

/** The schema of `vlbr explore --driver kernel --json`. */
const IMAGE_SCHEMA = 'vlbr/explore-image/2';

/** Everything but times depends on the options and the tree alone. */
export function imageJson(exploration: ImageExploration): JsonReport {
  const { kernel, driver, source, results, policies, interrupted, elapsed_s, list } = exploration;
  const begun = results.map(({ explored }) => explored.policy);
  return {
    schema: IMAGE_SCHEMA,
    kernel,
    driver: driver.name,
    kernelSource: source,
    kernelList: { version: list.version, own: exploration.ownList },
    elapsed_s,
    interrupted,
    notBegun: policies.filter((policy) => !begun.includes(policy)),
    bounds: boundsJson(exploration),
    results: results.map(resultJson),
  };
}

function boundsJson({ model, shape, bounds, maxLength }: ImageExploration): object {
  const { events, calls, suspended, groups } = bounds;
  const machine = { cpu: model.name, lbrDepth: model.lbr_nr, ...shape };
  return { ...machine, events, calls, suspended, length: maxLength, actions: groups };
}

function resultJson({ explored, seconds }: TimedEnumeration): object {
  const { policy, schedules, performed, covered, complete, neverPossible, findings } = explored;
  return {
    policy,
    schedules: countOf(explored),
    schedulesByLength: schedules,
    performed,
    complete,
    coveredLength: covered,
    seconds: Math.round(seconds * 1000) / 1000,
    neverPossible,
    verdicts: verdictsJson({ fingerprints: false }, explored),
    kernelFindings: findings.map(({ property, known, counterexample }) => ({
      property,
      known,
      counterexample: counterexampleJson(counterexample),
    })),
  };
}

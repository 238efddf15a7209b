/** The report of a campaign as one JSON object; its keys are stable (README, "JSON"). */
import { type JsonReport, caseOf, VERIFY_SCHEMA, withDriver } from '../../campaign/replay_file.js';
import { encodeToken } from '../../schedule/token.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import type { Counterexample } from '../../campaign/campaign.js';
import type { Settings } from '../../console/baseline.js';
import { recordingJson } from '../recording_text.js';
import { ascii } from '../../console/text.js';
import { timeline } from '../timeline.js';
import { lossesIn } from './losses.js';
import { type Campaign, windowsIn } from './text.js';

/** What of a campaign must be as in another one, so that the two can be compared. */
export function settingsOf({
  kernel,
  driver,
  source,
  model,
  policies,
  properties,
  shapes,
  without,
  recordings,
}: Asked): Settings {
  return {
    kernel,
    driver: driver.name,
    kernelSource: source,
    cpu: model.name,
    policies,
    properties,
    // A recording brings its own machines.
    shapes: recordings.length > 0 ? [] : shapes,
    without,
  };
}

type Asked = Pick<
  Campaign,
  | 'kernel'
  | 'driver'
  | 'source'
  | 'model'
  | 'policies'
  | 'properties'
  | 'shapes'
  | 'without'
  | 'recordings'
>;

/** Everything but `elapsed_s` and `baseline` depends on the options and the seed alone. */
export function verifyJson(campaign: Campaign): JsonReport {
  const { seed, recordings, elapsed_s, report, byKernel } = campaign;
  const { runs, steps, actions, interrupted, results, kernelFindings } = report;
  const losses = lossesIn(campaign);
  return {
    schema: VERIFY_SCHEMA,
    ...settingsOf(campaign),
    seed,
    elapsed_s,
    steps,
    runs,
    schedules: recordings.map((recording) => ({
      ...recordingJson(recording),
      // A result of fewer runs than all windows together has left some of the recording out.
      windows: windowsIn(recording),
    })),
    actions,
    results: results.map(({ otherCauses, ...result }) => {
      const found = [result.counterexample ?? [], otherCauses].flat();
      const told = found.map((one) => toldJson(one, campaign.driver));
      return {
        ...result,
        reason: ascii(result.reason),
        counterexample: told[0]?.counterexample ?? null,
        causes: told.map(({ cause }) => cause),
      };
    }),
    kernelList: {
      version: byKernel.list.version,
      own: byKernel.own,
      missing: byKernel.missing.map(({ property, why }) => ({ property, why: ascii(why) })),
    },
    kernelFindings: kernelFindings.map(({ property, known, counterexample }) => ({
      property,
      known,
      counterexample: toldJson(counterexample, campaign.driver).counterexample,
    })),
    interrupted,
    unexpected: losses.length,
    losses,
    baseline: campaign.since,
  };
}

/** A counterexample, and what of it is said of its cause. */
function toldJson(
  found: Counterexample,
  driver: DriverKind,
): { readonly counterexample: object; readonly cause: object } {
  const { shape, actions, label, cause: key } = found;
  const token = encodeToken(found);
  const { text, lines, because } = timeline(withDriver(caseOf(found), driver));
  return {
    counterexample: { shape, actions, token, label, text, because, timeline: lines },
    cause: { key, token, label, text, because },
  };
}

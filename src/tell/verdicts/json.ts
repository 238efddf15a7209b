/** The report of a campaign as one JSON object; its keys are stable (README, "JSON"). */
import { type JsonReport, caseOf, VERIFY_SCHEMA, withDriver } from '../../campaign/replay_file.js';
import { encodeToken } from '../../schedule/token.js';
import type { DriverKind } from '../../guest/perf/lbr_driver.js';
import type { Counterexample } from '../../campaign/campaign.js';
import { recordingJson } from '../recording_text.js';
import { ascii } from '../../console/text.js';
import { timeline } from '../timeline.js';
import { type Campaign, unexpectedIn, windowsIn } from './text.js';

/** Everything but `elapsed_s` depends on the options and the seed alone. */
export function verifyJson(campaign: Campaign): JsonReport {
  const { model, kernel, seed, shapes, recordings, elapsed_s, report, byKernel } = campaign;
  const { runs, steps, actions, interrupted, results, kernelFindings } = report;
  return {
    schema: VERIFY_SCHEMA,
    kernel,
    driver: campaign.driver.name,
    kernelSource: campaign.source,
    cpu: model.name,
    seed,
    elapsed_s,
    steps,
    runs,
    shapes: recordings.length > 0 ? [] : shapes,
    without: campaign.without,
    schedules: recordings.map((recording) => ({
      ...recordingJson(recording),
      // A result of fewer runs than all windows together has left some of the recording out.
      windows: windowsIn(recording),
    })),
    actions,
    results: results.map((result) => ({
      ...result,
      reason: ascii(result.reason),
      counterexample: counterexampleJson(result.counterexample, campaign.driver),
    })),
    kernelList: {
      version: byKernel.list.version,
      own: byKernel.own,
      missing: byKernel.missing.map(({ property, why }) => ({ property, why: ascii(why) })),
    },
    kernelFindings: kernelFindings.map(({ property, known, counterexample }) => ({
      property,
      known,
      counterexample: counterexampleJson(counterexample, campaign.driver),
    })),
    interrupted,
    unexpected: unexpectedIn(campaign),
  };
}

function counterexampleJson(
  counterexample: Counterexample | null,
  driver: DriverKind,
): object | null {
  if (counterexample === null) return null;
  const { shape, actions, label } = counterexample;
  const token = encodeToken(counterexample);
  const { text, lines, because } = timeline(withDriver(caseOf(counterexample), driver));
  return { shape, actions, token, label, text, because, timeline: lines };
}

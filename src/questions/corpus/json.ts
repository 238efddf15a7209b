/** The report of `vlbr corpus` as one JSON object; its keys are stable (README, "JSON"). */
import type { JsonReport } from '../../campaign/replay_file.js';
import { isCaught, type Judged, trialName } from './trial.js';
import { type CorpusReport, killLines, outsideOf, survivorsOf, tokenOf } from './text.js';

export const CORPUS_SCHEMA = 'vlbr/corpus/2';

/** Only `elapsed_s` depends on anything other than the options and the seed. */
export function corpusJson(report: CorpusReport): JsonReport {
  const { seed, runs, kernel, kernelProblem, judged, notTried } = report;
  return {
    schema: CORPUS_SCHEMA,
    seed,
    runs,
    kernel,
    kernelProblem,
    trials: judged.map(trialJson),
    outside: outsideOf(report).map(({ id, subject, component, reason, fidelity }) => {
      return { id, subject, component, reason, fidelity };
    }),
    survivors: survivorsOf(report).map(({ trial }) => trialName(trial)),
    notTried,
    interrupted: report.interrupted,
    elapsed_s: report.elapsed_s,
    ok: survivorsOf(report).length === 0,
  };
}

function trialJson(one: Judged): object {
  const { trial, report, elapsed_s } = one;
  const { defect, suspect, target } = trial;
  const { outcome, runs, steps } = report;
  const { id, subject, commit, component, property_class, kind } = defect;
  const { properties, policy, cpu, kernel, contrast = null } = suspect;
  const entry = { id, subject, commit, component, property_class, kind, target };
  return {
    name: trialName(trial),
    ...entry,
    properties,
    policy,
    cpu,
    contrast,
    kernel,
    verdict: outcome.verdict,
    caught: isCaught(one),
    property: outcome.verdict === 'killed' ? outcome.kill.property : null,
    by: outcome.verdict === 'killed' ? outcome.kill.by : null,
    runs,
    steps,
    elapsed_s,
    counterexample: counterexampleJson(one),
  };
}

function counterexampleJson(one: Judged): object | null {
  const { outcome } = one.report;
  if (outcome.verdict === 'survived') return null;
  const token = tokenOf(one);
  const lines = killLines(one);
  if (outcome.verdict === 'oops') {
    const { actions, error } = outcome.crash;
    return { actions, token, text: error, lines };
  }
  const { shape, actions, text } = outcome.kill.counterexample;
  return { shape, actions, token, text, lines };
}

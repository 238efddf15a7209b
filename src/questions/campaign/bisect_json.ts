/** The report of `vlbr campaign bisect` as JSON. */
import type { JsonReport } from '../../campaign/replay_file.js';
import type { Bisection, Judged } from './bisect.js';
import { replayCommand } from './bisect_text.js';

export function bisectJson(result: Bisection): JsonReport {
  const { range, subject, commits, changing, judged, left, suspects, failing, interrupted } =
    result;
  const campaign = subject?.campaign ?? null;
  return {
    schema: 'vlbr/bisect/1',
    repository: range.repository,
    good: range.good,
    bad: range.bad,
    policy: subject?.replay.config.policy.name ?? null,
    property: subject?.replay.property ?? null,
    cpu: subject?.replay.config.model.name ?? null,
    by: subject?.by ?? null,
    runs: campaign?.runs ?? null,
    seed: campaign?.seed ?? null,
    alsoLost: subject?.others ?? [],
    commits,
    changing,
    judged: judged.map(judgedJson),
    first: !interrupted && left === 1 ? suspects[0] : null,
    left,
    suspects,
    because: failing?.ending.because ?? null,
    token: failing?.ending.token ?? null,
    replay: replayCommand(result),
    interrupted,
    elapsed_s: result.elapsed_s,
  };
}

function judgedJson({ commit, ending }: Judged): object {
  const why = ending.kind === 'skipped' ? ending.why : null;
  return { ...commit, verdict: ending.kind, why };
}

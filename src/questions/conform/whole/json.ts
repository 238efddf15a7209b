/** The report of `vlbr conform` on the whole path as one JSON object (README, "JSON"). */
import type { JsonReport } from '../../../campaign/replay_file.js';
import type { Settings } from '../../../console/baseline.js';
import { findCpuModel } from '../../../hw/cpu_models.js';
import { assert } from '../../../hw/assert.js';
import { hex, hex64 } from '../../../hw/u64.js';
import { actionText } from '../../../schedule/action_text.js';
import { encodeToken } from '../../../schedule/token.js';
import { msrName } from '../../../tell/msr_name.js';
import { type Difference, lossesOf } from './comparison.js';
import type { Access } from './divergence.js';
import type { Whole } from './text.js';

export const WHOLE_SCHEMA = 'vlbr/conform-whole/2';

/** What must be as in another comparison, so that the two can be compared. */
export function settingsOf({
  kernel: { version, sha256 },
  policy,
  models,
}: Pick<Whole, 'kernel' | 'policy' | 'models'>): Settings {
  return { kernel: { version, sha256 }, policy, models };
}

/** Only `elapsed_s` and `baseline` depend on more than the options, the seed and the kernel. */
export function wholeJson(whole: Whole): JsonReport {
  const { seed, counts, results, interrupted, elapsed_s } = whole;
  const { coverage, coverageProblem, withoutLbr } = whole;
  return {
    schema: WHOLE_SCHEMA,
    ...settingsOf(whole),
    seed,
    elapsed_s,
    schedules: counts.schedules,
    actions: counts.actions,
    msrAccesses: counts.accesses,
    eventStates: counts.eventStates,
    samples: counts.samples,
    cpus: results.map(({ cpu, schedules, parted, first }) => ({
      cpu,
      schedules,
      parted,
      difference: first === null ? null : differenceJson(first),
    })),
    withoutLbr,
    coverage,
    coverageProblem: coverageProblem === '' ? null : coverageProblem,
    interrupted,
    losses: results.flatMap(lossesOf),
    baseline: whole.since,
  };
}

function differenceJson({ replay, divergence }: Difference): object {
  const { action, where, what, value, access, accesses } = divergence;
  return {
    token: encodeToken(replay),
    shape: replay.shape,
    actions: replay.actions.map((one) => ({ ...one, text: actionText(one) })),
    // The boot comes before the first action.
    action: action < 0 ? null : action,
    in: divergence.in,
    where: where === '' ? null : where,
    what,
    value,
    access: access < 0 ? null : access,
    accesses: {
      port: accesses.port.map((one) => accessJson(replay.cpu, one)),
      kernel: accesses.kernel.map((one) => accessJson(replay.cpu, one)),
    },
  };
}

function accessJson(cpu: string, { vcpu, write, msr, eax, edx, fault }: Access): object {
  const model = findCpuModel(cpu);
  assert(model !== undefined, 'a difference is one of a CPU model');
  const kind = write ? 'WRMSR' : 'RDMSR';
  return { vcpu, kind, msr: hex(msr), name: msrName(model, msr), value: hex64(eax, edx), fault };
}

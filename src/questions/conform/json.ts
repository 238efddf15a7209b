/** The report of `vlbr conform` as one JSON object; its keys are stable (README, "JSON"). */
import type { JsonReport } from '../../campaign/replay_file.js';
import type { Settings } from '../../console/baseline.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import { hex, hex64 } from '../../hw/u64.js';
import { type Difference, lossOf } from './campaign.js';
import type { Access } from './lockstep.js';
import { callText } from './sequence.js';
import { subjectOf } from './subjects.js';
import type { Conform } from './text.js';
import { msrName } from '../../tell/msr_name.js';

export const CONFORM_SCHEMA = 'vlbr/conform/2';

/** What must be as in another comparison, so that the two can be compared. */
export function settingsOf({ kernel, cpus }: Pick<Conform, 'kernel' | 'cpus'>): Settings {
  const { version, sha256 } = kernel;
  return { kernel: { version, sha256 }, cpus };
}

/** Only `elapsed_s` and `baseline` depend on more than the options, the seed and the kernel. */
export function conformJson(conform: Conform): JsonReport {
  const { seed, counts, filterCalls, coverage, coverageProblem } = conform;
  return {
    schema: CONFORM_SCHEMA,
    ...settingsOf(conform),
    seed,
    elapsed_s: conform.elapsed_s,
    schedules: counts.sequences,
    calls: counts.calls,
    msrAccesses: counts.msrAccesses,
    filterCalls,
    coverage,
    coverageProblem: coverageProblem === '' ? null : coverageProblem,
    differences: conform.differences.map(differenceJson),
    interrupted: conform.interrupted,
    losses: conform.differences.map(lossOf),
    baseline: conform.since,
  };
}

function differenceJson({ count, sequence, divergence }: Difference): object {
  const { cpu, pmuVersion, registers, calls } = sequence;
  const { model } = subjectOf(cpu);
  const { call, access, returned, word, accesses } = divergence;
  return {
    cpu,
    pmuVersion,
    count,
    registers,
    calls: calls.map(({ fn, args }) => ({ fn, args, text: callText({ fn, args }) })),
    call,
    in: divergence.in,
    access: access < 0 ? null : access,
    returned,
    word,
    accesses: {
      port: accesses.port.map((one) => accessJson(model, one)),
      kernel: accesses.kernel.map((one) => accessJson(model, one)),
    },
  };
}

function accessJson(model: CpuModel, { write, msr, eax, edx }: Access): object {
  const kind = write ? 'WRMSR' : 'RDMSR';
  return { kind, msr: hex(msr), name: msrName(model, msr), value: hex64(eax, edx) };
}

/** The report of `vlbr conform` as one JSON object; its keys are stable (README, "JSON"). */
import type { JsonReport } from '../../campaign/replay_file.js';
import type { CpuModel } from '../../hw/cpu_models.js';
import { hex, hex64 } from '../../hw/u64.js';
import type { Difference } from './campaign.js';
import type { Access } from './lockstep.js';
import { callText } from './sequence.js';
import { subjectOf } from './subjects.js';
import type { Conform } from './text.js';
import { msrName } from '../../tell/msr_name.js';

const CONFORM_SCHEMA = 'vlbr/conform/2';

/** Only `elapsed_s` depends on anything other than the options, the seed and the kernel. */
export function conformJson(conform: Conform): JsonReport {
  const { kernel, seed, cpus, counts, filterCalls, coverage, coverageProblem } = conform;
  const { version, sha256 } = kernel;
  return {
    schema: CONFORM_SCHEMA,
    kernel: { version, sha256 },
    seed,
    cpus,
    elapsed_s: conform.elapsed_s,
    schedules: counts.sequences,
    calls: counts.calls,
    msrAccesses: counts.msrAccesses,
    filterCalls,
    coverage,
    coverageProblem: coverageProblem === '' ? null : coverageProblem,
    differences: conform.differences.map(differenceJson),
    interrupted: conform.interrupted,
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

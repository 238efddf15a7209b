import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KernelVersion } from '../../src/guest/perf/kernel.js';
import { CPU_MODELS, findCpuModel, type CpuModel } from '../../src/hw/cpu_models.js';
import { always } from '../../src/host/policy/always.js';
import { POLICIES } from '../../src/host/policy/index.js';
import { knownFailure } from '../../src/judge/declared.js';
import { PROPERTY, PROPERTY_NAMES } from '../../src/judge/properties.js';
import { type LbrPolicy } from '../../src/host/policy/policy.js';
import { ACTION_NAMES, type ActionName, ACTIONS, needsTree } from '../../src/schedule/table.js';
import { totalVcpus } from '../../src/machine/config.js';
import { Schedule } from '../../src/schedule/schedule.js';
import type { KernelFinding, Report } from '../../src/campaign/campaign.js';
import { DEFAULT_SHAPES, runCampaign } from '../../src/campaign/campaign.js';
import { caseOf } from '../../src/campaign/replay_file.js';
import { encodeToken } from '../../src/schedule/token.js';
import { Bench } from '../../src/campaign/trial.js';
import { schedules } from '../../src/fast_check.js';

/**
 * The most actions that a reader should have to follow in a counterexample: 12, plus 2 for each
 * idle slice that the policy waits before it drops a stack.
 */
function counterexampleMax({ name }: LbrPolicy): number {
  return ['v6', 'v7', 'v10'].includes(name) ? 16 : 12;
}

/** Actions of a vCPU that the host performs: HLT asks the host for another thread. */
const OF_HOST: readonly ActionName[] = ['halt', 'liveMigrate'];

const SEED = Number(process.env['VLBR_SEED'] ?? 1);
const SOUND = POLICIES.filter((p) => ['pv-sound', 'lazy-sound', 'parked'].includes(p.name));

function model(name: string): CpuModel {
  const found = findCpuModel(name);
  if (found === undefined) throw new Error(`no CPU model ${name}`);
  return found;
}

function campaign(
  policies: readonly LbrPolicy[],
  cpu: string,
  kernel: KernelVersion,
  runs: number,
): Report {
  return runCampaign({
    model: model(cpu),
    kernel,
    shapes: DEFAULT_SHAPES,
    policies,
    properties: PROPERTY_NAMES,
    runs,
    steps: 60,
    seed: SEED,
    schedules: [],
  });
}

/** Whether the kernel breaks the property where each vCPU owns a pCPU and the host does nothing. */
function failsWithoutHost({ property, counterexample }: KernelFinding): boolean {
  const { config, schedule } = caseOf(counterexample);
  const ofGuests = schedule
    .actions()
    .filter(({ kind }) => ACTIONS[kind].actor === 'vcpu' && !OF_HOST.includes(kind));
  const { pv } = config.policy;
  const shape = { ...config.shape, pcpus: totalVcpus(config) };
  const bench = new Bench({ ...config, policy: { ...always, pv }, shape });
  const p = PROPERTY[property];
  return bench.breaksAt(Schedule.of(ofGuests), p) < 0 && bench.monitor.verdicts.own[p] !== 0;
}

/** Kernel findings that do not come up without a host, each with its schedule. */
function notTheKernels({ kernelFindings }: Report): string[] {
  return kernelFindings
    .filter((finding) => !failsWithoutHost(finding))
    .map((finding) => `${finding.property}: vlbr replay ${encodeToken(finding.counterexample)}`);
}

/** Verdicts that differ from the declared ones, each with its schedule. */
function unexpected(report: Report): string[] {
  return report.results
    .filter((r) => r.verdict !== r.expected)
    .map(
      (r) =>
        `${r.policy} ${r.property}: ${r.verdict}, expected ${r.expected}; ` +
        `vlbr replay ${r.counterexample === null ? '' : encodeToken(r.counterexample)}`,
    );
}

describe('the matrix on skylake with Linux 6.1', () => {
  for (const policy of POLICIES) {
    it(`${policy.name} has the verdicts that it declares, with short schedules`, () => {
      const report = campaign([policy], 'skylake', '6.1', 4000);
      expect(unexpected(report)).toEqual([]);
      for (const { counterexample } of report.results) {
        expect(counterexample?.actions.length ?? 0).toBeLessThanOrEqual(counterexampleMax(policy));
      }
      const never = ACTION_NAMES.filter((name) => report.actions[name] === 0);
      // The port can't do these.
      expect(never).toEqual(ACTION_NAMES.filter((name) => needsTree(ACTIONS[name])));
      // Every policy meets this fault of Linux 6.1, and no failure here may be a policy's.
      expect(report.kernelFindings.map(({ property }) => property)).toContain('balanced');
      expect(notTheKernels(report)).toEqual([]);
    });
  }

  it('every campaign finds the known fault of the guest kernel', () => {
    const found = campaign(SOUND, 'skylake', '6.1', 1000).kernelFindings.map((f) => f.property);
    expect(found).toEqual(['no-leak/task', 'callstack-true', 'sample-true', 'balanced']);
  });
});

describe('the matrix on other CPUs and kernels', () => {
  for (const cpu of CPU_MODELS.filter((m) => m.name !== 'skylake')) {
    it(`a campaign never breaks a sound policy on ${cpu.name}`, () => {
      expect(unexpected(campaign(SOUND, cpu.name, '6.1', 400))).toEqual([]);
    });
  }

  it('policies have the verdicts that they declare with Linux 4.18', () => {
    const differs = (policy: LbrPolicy): boolean =>
      PROPERTY_NAMES.some(
        (property) =>
          (knownFailure(policy, property, model('skylake'), '4.18') === null) !==
          (knownFailure(policy, property, model('skylake'), '6.1') === null),
      );
    const policies = POLICIES.filter((policy) => SOUND.includes(policy) || differs(policy));
    expect(policies.length).toBeGreaterThan(SOUND.length);
    const report = campaign(policies, 'skylake', '4.18', 2000);
    expect(unexpected(report)).toEqual([]);
    expect(notTheKernels(report)).toEqual([]);
  });

  it('every policy has the verdicts that it declares without call-stack mode', () => {
    const report = campaign(POLICIES, 'nehalem', '6.1', 2000);
    expect(unexpected(report)).toEqual([]);
    expect(notTheKernels(report)).toEqual([]);
  });
});

describe('schedules drawn by fast-check', () => {
  for (const policy of SOUND) {
    it(`schedules drawn by fast-check never break ${policy.name}`, () => {
      const shape = { vms: 2, vcpus: 2, tasks: 3, pcpus: 2 };
      const config = { shape, model: model('haswell'), kernel: '6.1' as const, policy };
      const bench = new Bench(config);
      fc.assert(
        fc.property(schedules(config, 120), (schedule) => {
          for (let p = 0; p < PROPERTY_NAMES.length; p++) {
            if (bench.breaksAt(schedule, p) >= 0) return false;
          }
          return true;
        }),
        { seed: SEED, numRuns: 60 },
      );
    });
  }
});

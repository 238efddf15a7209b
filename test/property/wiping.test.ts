/**
 * The sound policies wipe all registers when they save a stack. This file shows which smaller wipes
 * are enough and which are not. The schedules are random, so a smaller wipe that holds here is not
 * proven.
 */
import { describe, expect, it } from 'vitest';
import { type LbrPolicy, nothing, type PolicyHost } from '../../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { HostKernel } from '../../src/machine/host_perf.js';
import { DEFAULT_SHAPES, runCampaign } from '../../src/campaign/campaign.js';
import { onHost } from './clauses.js';
import { cpuModel } from '../rig/cpu.js';
import { policyOf } from '../rig/machine.js';

/** The policy with another way to wipe. */
type Wiping = (policy: LbrPolicy) => LbrPolicy;

/** Wipes FROM of every record, but not TO, INFO, TOS and LBR_SELECT. */
const fromOnly: Wiping = (policy) =>
  onHost(policy, (kvm) => ({
    scrubStack: (vcpu) => {
      const { lbr_from, lbr_nr } = vcpu.records.model;
      for (let i = 0; i < lbr_nr; i++) kvm.wrmsr(vcpu, lbr_from + i, 0, 0);
    },
  }));

/** Wipes FROM of the newest record, the only one that perf's restore shortcut reads. */
const newestOnly: Wiping = (policy) =>
  onHost(policy, (kvm) => ({
    scrubStack: (vcpu) => kvm.wrmsr(vcpu, vcpu.records.model.lbr_from + vcpu.records.tos, 0, 0),
  }));

/** Makes host perf forget whose stack it saved last, so that it never takes the shortcut. */
function forgetLast(perf: PolicyHost['perf'], pcpu: number): void {
  if (perf instanceof HostKernel) perf.kernel.cpus[pcpu].cpuc.last_task_ctx = 0;
}

const forgetting: Wiping = (policy) =>
  onHost(policy, (kvm) => ({ scrubStack: (vcpu) => forgetLast(kvm.perf, vcpu.pcpu) }));

/** Wipes before the first LBR event of the host itself starts. */
const beforeHostEvents: Wiping = (policy) => ({
  ...policy,
  host_perf_event: (kvm, pcpu, loaded, on) => {
    policy.host_perf_event(kvm, pcpu, loaded, on);
    if (on && !kvm.perf.hostLbrActive(pcpu)) kvm.scrubPcpu(pcpu);
  },
});

const onDemandOnly: Wiping = (policy) =>
  beforeHostEvents(onHost(policy, () => ({ scrubStack: nothing })));

/** Properties that break in `runs` schedules. */
function broken(policy: LbrPolicy, cpu: string, runs: number): string[] {
  const model = cpuModel(cpu);
  const options = { shapes: DEFAULT_SHAPES, properties: PROPERTY_NAMES, steps: 60, seed: 13 };
  return runCampaign({ ...options, model, kernel: '6.1', policies: [policy], runs, schedules: [] })
    .results.filter(({ verdict }) => verdict === 'fails')
    .map(({ property }) => property);
}

const wiped = (wiping: Wiping, name: string): LbrPolicy => wiping(policyOf(name));

const ON = ['skylake', 'nehalem'].flatMap((cpu) =>
  ['pv-sound', 'lazy-sound', 'parked'].map((name) => [name, cpu] as const),
);

describe('the wipe of a sound policy', () => {
  it.each(ON)('a wipe never needs more than FROM: %s on %s', (name, cpu) => {
    expect(broken(wiped(fromOnly, name), cpu, 2000)).toEqual([]);
  });

  it.each(ON)(
    'a wipe before host events is enough if perf takes no shortcut: %s on %s',
    (...on) => {
      const [name, cpu] = on;
      const policy = wiped((p) => beforeHostEvents(forgetting(p)), name);
      expect(broken(policy, cpu, 2000)).toEqual([]);
    },
  );

  it.each([
    ['the newest record alone', newestOnly],
    ['nothing, though perf forgets', forgetting],
    ['nothing, but before a host event', onDemandOnly],
  ] as const)('a wipe of %s always breaks host-intact, and nothing else', (_of, wiping) => {
    expect(broken(wiped(wiping, 'lazy-sound'), 'skylake', 4000)).toEqual(['host-intact']);
  });
});

/** Load and put for a guest that has the PMU to itself: the port against the C of Linux 7.3. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { breakerOf, parseReplayText, withDriver } from '../../../src/campaign/replay_file.js';
import * as guest from '../../../src/guest/perf/events_guest.js';
import { mediated, mediatedLbr } from '../../../src/host/policy/mediated.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { missingInTree } from '../../../src/judge/needs.js';
import { WholeComparison } from '../../../src/questions/conform/whole/comparison.js';
import { imageDriver } from '../../../src/tree/image/image.js';
import { cpuModel } from '../../rig/cpu.js';
import { imageOf, imageVersions } from '../../rig/images.js';

const KEPT = new URL('../../golden/', import.meta.url);
const NAMES = [
  '083-mediated-lbr-shows-guest-records-to-the-host.json',
  '085-mediated-lbr-loses-the-guests-filter.json',
  '089-mediated-lbr-puts-guest-calls-on-the-hosts-stack.json',
];

/** Runs schedules with this policy on both. Returns where they first differ, if they do. */
async function difference(policy: LbrPolicy, runs: number): Promise<unknown> {
  const kernel = imageDriver(await imageOf('7.3'));
  const models = [cpuModel('skylake')];
  const asked = { models, policy, kernel, version: '7.3' as const, seed: 1, runs };
  const comparison = new WholeComparison(asked);
  for (const _ of comparison.work()) continue;
  const [{ first }] = comparison.results;
  return first;
}

describe.each(imageVersions('7.3'))('perf_load_guest_context() of Linux %s', (_version) => {
  it('the port does what the C does, schedule by schedule', { timeout: 300_000 }, async () => {
    expect(await difference(mediatedLbr, 60)).toBe(null);
  });

  it('a host that never puts its events back differs', { timeout: 300_000 }, async () => {
    const broken: LbrPolicy = {
      ...mediatedLbr,
      mediated_put: (kvm, vcpu) => {
        kvm.perf.putGuestContext(vcpu.pcpu);
        // The port alone takes them out again.
        const { kernel, constructor } = kvm.perf as unknown as {
          kernel: { cpus: Parameters<typeof guest.perf_load_guest_context>[0][] };
          constructor: { name: string };
        };
        if (constructor.name !== 'HostKernel') return;
        guest.perf_load_guest_context(kernel.cpus[vcpu.pcpu]);
        kernel.cpus[vcpu.pcpu].cpuctx.guest_ctx_loaded = 0;
      },
    };
    expect(await difference(broken, 20)).not.toBe(null);
  });

  it('kept schedules end on the C as in the port', { timeout: 300_000 }, async () => {
    const driver = imageDriver(await imageOf('7.3'));
    for (const name of NAMES) {
      const [one] = parseReplayText(readFileSync(new URL(name, KEPT), 'utf8'));
      expect([name, breakerOf(withDriver(one, driver))]).toEqual([name, 'policy']);
    }
  });
});

describe('missingInTree', () => {
  it('missingInTree refuses a guest without LBR, and a tree without load and put', () => {
    expect(missingInTree(mediated, '7.3')).toContain('of the port alone');
    expect(missingInTree(mediatedLbr, '7.3')).toBe(null);
    expect(missingInTree(mediatedLbr, '6.12')).toContain('needs a kernel');
  });
});

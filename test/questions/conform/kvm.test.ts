/** The model of KVM, `merged`, against the KVM of 6.1: the same schedules, on that tree's perf. */
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { DriverKind } from '../../../src/guest/perf/lbr_driver.js';
import { kvm } from '../../../src/host/policy/kvm.js';
import { merged } from '../../../src/host/policy/merged.js';
import { WholeComparison } from '../../../src/questions/conform/whole/comparison.js';
import { imageDriver, treeImage } from '../../../src/tree/image/image.js';
import { cpuModel } from '../../rig/cpu.js';
import { CACHE, imageVersions, tarOf } from '../../rig/images.js';

describe.each(imageVersions('6.1'))('merged and the KVM of Linux %s', (version) => {
  let kernel: DriverKind;
  beforeAll(async () => {
    kernel = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
  }, 300_000);

  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** For each CPU, how many of 80 schedules part. */
  function parted(...cpus: readonly string[]): number[] {
    const models = cpus.map(cpuModel);
    const runs = 80 * cpus.length;
    const comparison = new WholeComparison({
      models,
      policy: kvm,
      kernel,
      version: '6.1',
      seed: 3,
      runs,
    });
    for (const _ of comparison.work());
    expect(comparison.counts.accesses).toBeGreaterThan(100 * runs);
    return comparison.results.map((result) => result.parted);
  }

  it('no schedule parts, with call stacks or without', { timeout: 120_000 }, () => {
    expect(parted('skylake', 'sandybridge')).toEqual([0, 0]);
  });

  it('schedules part if merged never releases its event', { timeout: 120_000 }, () => {
    vi.spyOn(merged, 'handleRequests').mockImplementation(() => {});
    expect(parted('skylake')[0]).toBeGreaterThan(0);
  });

  it('schedules part if the judge takes a dropped write for one that is taken', () => {
    vi.spyOn(merged, 'dropsWithoutEvent', 'get').mockReturnValue(undefined);
    expect(parted('sandybridge')[0]).toBeGreaterThan(0);
  });
});

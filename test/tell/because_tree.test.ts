/** Why schedules break where the C of a tree runs: its functions, by file and line. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { breakerOf, parseReplayText, withDriver } from '../../src/campaign/replay_file.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { kvmOf } from '../../src/host/policy/kvm.js';
import { type Because, becauseOf, becauseText } from '../../src/tell/because.js';
import { imageDriver, treeImage } from '../../src/tree/image/image.js';
import { openTree } from '../../src/tree/image/tree.js';
import { CACHE, imageVersions, tarOf } from '../rig/images.js';

const GOLDEN = new URL('../golden/', import.meta.url);

/** Of schedules of `merged`, under the tree's own KVM: the step and the key of the cause. */
const BY_KVM: readonly (readonly [golden: string, step: number, cause: string])[] = [
  ['001', 8, 'perf:intel_pmu_sched_task of the host'],
  ['002', 3, 'kvm:intel_pmu_handle_lbr_msrs_access'],
  ['003', 6, 'kvm:vmx_vcpu_run'],
  ['004', 5, 'kvm:intel_pmu_cleanup'],
  ['005', 1, 'kvm:intel_pmu_handle_lbr_msrs_access'],
  ['017', 3, 'perf:__intel_pmu_enable_all of the host'],
  ['026', 3, 'perf:intel_pmu_lbr_reset_64 of the host'],
  ['032', 5, 'perf:intel_pmu_lbr_restore of the host'],
  ['036', 4, 'kvm:kvm_pmu_reset'],
  ['080', 1, 'kvm:kvm_emulate_wrmsr'],
  ['099', 9, 'kvm:kvm_emulate_rdmsr'],
  ['100', 6, 'kvm:vmx_vcpu_run'],
  ['102', 2, 'kvm:kvm_emulate_wrmsr'],
];

/** Of schedules under policies of vlbr, or of kernels by themselves. */
const BY_PERF: readonly (readonly [golden: string, step: number, cause: string])[] = [
  ['013', 10, 'perf:intel_pmu_sched_task of the guest'],
  ['018', 2, 'perf:__intel_pmu_enable_all of the guest'],
  ['019', 1, 'perf:__intel_pmu_enable_all of the guest'],
  ['021', 3, 'perf:intel_pmu_lbr_save of the host'],
  ['044', 6, 'perf:__intel_pmu_enable_all of the host in hook:sched_in'],
  ['055', 5, 'perf:intel_pmu_lbr_reset_64 of the host in hook:debugctlAccess'],
];

describe.each(imageVersions('6.1'))('because with the C of Linux %s', (version) => {
  let driver: DriverKind;
  let tree = '';
  beforeAll(async () => {
    driver = imageDriver(await treeImage(tarOf(version), CACHE, { kvm: true }));
    tree = await openTree(tarOf(version), CACHE);
  }, 600_000);

  function because(number: string, withKvm: boolean): Because {
    const name = readdirSync(GOLDEN).find((file) => file.startsWith(number)) ?? '';
    const [one] = parseReplayText(readFileSync(new URL(name, GOLDEN), 'utf8'));
    const policy = withKvm ? kvmOf(version) : one.config.policy;
    const replay = withDriver(one, driver, policy);
    const why = becauseOf(replay, breakerOf(replay), 'what was found');
    if (why === null) throw new Error(`${name} breaks nothing`);
    return why;
  }

  /** Whether a function is defined at a place of the tree. */
  function isDefined(name: string, place: string | undefined): boolean {
    const [file, line] = place?.split(':') ?? ['', ''];
    const text = readFileSync(join(tree, file), 'utf8').split('\n')[Number(line) - 1];
    return new RegExp(`\\b${name}\\(`).test(text);
  }

  it.each(BY_KVM)('golden %s parts in step %i by %s', (golden, step, cause) => {
    const why = because(golden, true);
    expect([why.step, why.cause]).toEqual([step, cause]);
    expect(isDefined(why.decidedBy, why.at)).toBe(true);
    const isKvm = cause.startsWith('kvm:');
    expect(why.of).toBe(isKvm ? 'KVM' : "the host's perf");
    expect(why.at).toMatch(isKvm ? /^arch\/x86\/kvm\// : /^arch\/x86\/events\/intel\//);
  });

  it.each(BY_PERF)('golden %s parts in step %i by %s', (golden, step, cause) => {
    const why = because(golden, false);
    expect([why.step, why.cause]).toEqual([step, cause]);
    expect(isDefined(why.decidedBy, why.at)).toBe(true);
    // A hook may have the name of a function of C.
    expect(why.calledAt).toBe(undefined);
  });

  it('the reason has the place of each function', () => {
    const why = because('004', true);
    expect(becauseText(why)).toMatch(
      /^#5, intel_pmu_cleanup\(\) of KVM \(arch\/x86\/kvm\/vmx\/pmu_intel\.c:\d+\); expected /,
    );
    const called = { ...why, of: "the host's perf", calledBy: 'a', calledAt: 'b.c:1' };
    expect(becauseText(called)).toMatch(/ of the host's perf \(.*\), called by a\(\) \(b\.c:1\); /);
  });
});

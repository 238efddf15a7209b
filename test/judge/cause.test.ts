/** Keys of causes. They are promised to stay as they are. */
import { describe, expect, it } from 'vitest';
import { causeKey } from '../../src/judge/cause.js';
import { type Actor, HARDWARE } from '../../src/judge/running.js';

const actor = (who: Actor['who'], name: string): Actor => ({ who, name, kernel: null, cpu: 0 });
const HOOK = actor('hook', 'vcpu_load');
const PERF = actor('perf', 'intel_pmu_lbr_add');
const KVM = actor('kvm', 'intel_pmu_set_msr');

function key(by: 'policy' | 'kernel', who: Actor, within: Actor | null = null): string {
  const point = { step: 1, order: 2, by: who, within };
  return causeKey({ by, point, noticed: 1, wrong: null });
}

describe('causeKey', () => {
  it('names who has decided, and who has called perf', () => {
    expect([
      key('policy', HOOK),
      key('policy', PERF),
      key('kernel', PERF),
      key('policy', PERF, HOOK),
      key('policy', PERF, KVM),
      key('policy', KVM),
      key('policy', HARDWARE),
    ]).toEqual([
      'hook:vcpu_load',
      'perf:intel_pmu_lbr_add of the host',
      'perf:intel_pmu_lbr_add of the guest',
      'perf:intel_pmu_lbr_add of the host in hook:vcpu_load',
      'perf:intel_pmu_lbr_add of the host in kvm:intel_pmu_set_msr',
      'kvm:intel_pmu_set_msr',
      'hardware',
    ]);
  });

  it('is the same in whichever step and call that was', () => {
    const point = { step: 7, order: 99, by: HOOK, within: null };
    expect(causeKey({ by: 'policy', point, noticed: 9, wrong: null })).toBe(key('policy', HOOK));
  });
});

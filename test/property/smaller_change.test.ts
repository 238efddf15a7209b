/**
 * A smaller change to today's code than a sound policy: `merged` that refuses what hardware would
 * refuse, and keeps a guest's LBR event once it exists. This file shows what the change fixes and
 * what it leaves broken.
 */
import { describe, expect, it } from 'vitest';
import { merged } from '../../src/host/policy/merged.js';
import { type LbrPolicy, nothing } from '../../src/host/policy/policy.js';
import { PROPERTY_NAMES, type PropertyName } from '../../src/judge/properties.js';
import { lbrMap } from '../../src/hw/lbr_map.js';
import { GP_VECTOR } from '../../src/hw/msr_port.js';
import type { ActionName } from '../../src/schedule/table.js';
import { drawOf } from '../../src/schedule/draw.js';
import { DEFAULT_SHAPES } from '../../src/campaign/campaign.js';
import { ShapeCampaign } from '../../src/campaign/shape_campaign.js';
import { cpuModel } from '../rig/cpu.js';

/** Runs on each shape. */
const RUNS = 1000;

const checked: LbrPolicy = {
  ...merged,
  set_msr: (kvm, vcpu, msr, eax, edx) => {
    const faults = lbrMap(vcpu.records.model).faults(msr, eax, edx);
    return faults ? GP_VECTOR : merged.set_msr(kvm, vcpu, msr, eax, edx);
  },
};
const kept: LbrPolicy = { ...checked, handleRequests: nothing };

/** Properties that break in schedules without these kinds of actions. */
function broken(policy: LbrPolicy, without: readonly ActionName[]): PropertyName[] {
  const model = cpuModel('skylake');
  const found = new Set<PropertyName>();
  for (const shape of DEFAULT_SHAPES) {
    const campaign = new ShapeCampaign({ shape, model, kernel: '6.1', policy });
    const { verdicts } = campaign.bench.monitor;
    for (let run = 0; run < RUNS; run++) {
      campaign.run(drawOf(7, run), 60, null);
      if (!verdicts.broken.includes(1)) continue;
      if (campaign.lastSchedule.actions().some(({ kind }) => without.includes(kind))) continue;
      PROPERTY_NAMES.forEach((name, p) => verdicts.broken[p] !== 0 && found.add(name));
    }
  }
  return PROPERTY_NAMES.filter((name) => found.has(name));
}

/** Whatever takes LBR, or all counters, from the guest's event. */
const OF_HOST: readonly ActionName[] = ['hostEvent', 'hostCounters', 'pt'];

describe('merged that checks writes and keeps its event', () => {
  it('the smaller change never leaks without host events and migration, but loses', () => {
    const found = broken(kept, ['liveMigrate', ...OF_HOST]);
    expect(found).toEqual(['no-loss/callstack', 'no-loss/any', 'no-needless-switch']);
  });

  it('the smaller change with releases breaks what merged breaks, except no-fault', () => {
    const apart: readonly ActionName[] = ['liveMigrate', ...OF_HOST];
    const now = broken(merged, apart);
    expect(now).toContain('no-leak/vm');
    expect(broken(checked, apart)).toEqual(now.filter((name) => name !== 'no-fault'));
  });

  it('the smaller change always loses and leaks under a host event', () => {
    const found = broken(kept, ['liveMigrate']);
    expect(found).toEqual(expect.arrayContaining(['no-loss/callstack', 'no-leak/vm', 'balanced']));
    expect(found).not.toContain('no-fault');
  });
});

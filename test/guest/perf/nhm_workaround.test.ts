/** intel_pmu_nhm_enable_all() of Linux 6.1: how Nehalem and Westmere start their counters. */
import { describe, expect, it } from 'vitest';
import { perf_pmu_disable, perf_pmu_enable } from '../../../src/guest/perf/events_core.js';
import { modelOf } from '../../golden/accesses.js';
import { ANY, CTRL_ON, DEPTH, Rig } from '../../rig/kernel.js';

/** Writes of GLOBAL_CTRL since the last call. */
function controls(rig: Rig): string[] {
  return rig.take().filter((line) => line.startsWith('w CTRL'));
}

function rigOf(cpu: string): Rig {
  const model = { ...modelOf(cpu), lbr_nr: DEPTH };
  return new Rig({ model, pmu_version: model.pmu_version });
}

describe('intel_pmu_nhm_enable_all', () => {
  it('Nehalem starts and stops its general counters before it starts all, for a new event', () => {
    const rig = rigOf('nehalem');
    rig.open(0, ANY);
    expect(controls(rig).slice(-3)).toEqual(['w CTRL f', 'w CTRL 0', CTRL_ON]);
  });

  it('Nehalem starts all counters at once if no event was added', () => {
    const rig = rigOf('nehalem');
    rig.open(0, ANY);
    controls(rig);
    perf_pmu_disable(rig.cpu);
    perf_pmu_enable(rig.cpu);
    expect(controls(rig)).toEqual(['w CTRL 0', CTRL_ON]);
  });

  it('no other CPU starts its counters in steps', () => {
    for (const cpu of ['core2', 'silvermont', 'sandybridge', 'haswell', 'skylake']) {
      const rig = rigOf(cpu);
      rig.open(0, ANY);
      expect(controls(rig)).not.toContain('w CTRL f');
    }
  });
});

import { describe, expect, it } from 'vitest';
import { DEFAULTS, verify } from '../../../src/campaign/campaign.js';
import { kernelVerdict } from '../../../src/tell/verdicts/kernel_verdict.js';
import { policyOf } from '../../rig/machine.js';

const POLICIES = [policyOf('always')];
const NOTHING = { ...verify({ policies: POLICIES, runs: 1 }), kernelFindings: [] };
const JOB = { ...DEFAULTS, version: '6.1', policies: ['always'] };

/** How many entries of the kernel's list are missed by a report without findings. */
function missing(more: Partial<typeof JOB> = {}, report = NOTHING): number {
  return kernelVerdict(report, { ...JOB, ...more }, DEFAULTS.model).missing.length;
}

describe('kernelVerdict', () => {
  it('what is on the list of a kernel is missed under always, in the runs of the default', () => {
    expect(missing()).toBeGreaterThan(2);
    expect(missing({ properties: ['balanced'] })).toBe(1);
  });

  it('nothing is missed of a campaign that is less than the default', () => {
    const less: readonly Partial<typeof JOB>[] = [
      { runs: 3999 },
      { policies: ['parked'] },
      { shapes: [{ vms: 1, vcpus: 1, tasks: 2, pcpus: 1 }] },
      { without: ['fork'] },
      { properties: ['no-leak/vm'] },
    ];
    expect(less.map((more) => missing(more))).toEqual([0, 0, 0, 0, 0]);
    expect(missing({}, { ...NOTHING, interrupted: true })).toBe(0);
  });
});

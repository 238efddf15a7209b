import type { LbrPolicy } from './policy.js';
import { PASS_THROUGH } from './policy.js';

/** Baseline: the guest gets the bare registers, and nobody saves anything. */
export const never: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'never',
  summary: 'static pass-through; nothing is saved, restored or cleared',
  cites: 'baseline; patches 1 to 5 of the 2018 v2 series without 6 to 8',
  assumes: 'no two LBR users ever share a pCPU',
  needlessSwitches: 0,
  knownFailures: {},
  notApplicable: {
    'active-agrees': 'not a paravirtual policy',
    'owner-only': 'it never touches the registers',
    'no-premature-stop': 'it keeps no stack that it could drop',
  },
  inUse: () => null,
};

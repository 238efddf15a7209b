import { type LbrPolicy, PASS_THROUGH } from './policy.js';

/** Baseline: the guest gets the bare registers, and nobody saves anything. */
export const never: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'never',
  summary: 'static pass-through; nothing is saved, restored or cleared',
  cites: 'baseline; patches 1 to 5 of the 2018 v2 series without 6 to 8',
  assumes: 'no two LBR users ever share a pCPU',
  needlessSwitches: 0,
  knownFailures: {
    'no-loss/callstack': {
      why: "whoever ran last left the stack, and nobody brings the guest's back",
    },
    'no-loss/any': { why: "whoever ran last left the stack, and nobody brings the guest's back" },
    'no-leak/vm': { why: 'the guest reads what another VM or the host left' },
    'no-leak/task': { why: 'vCPUs of one VM share the registers of a pCPU' },
    'callstack-true': { why: "a sample starts with somebody else's frames" },
    'sample-true': { why: "a sample is made of somebody else's records, or of the wiped stack" },
    'host-intact': { why: "the host's event finds the guest's records and its LBR_SELECT" },
    'recorder-owned': { why: 'hardware records on top of whatever is there' },
  },
  notApplicable: {
    'owner-only': 'it never touches the registers',
  },
  inUse: null,
};

import { type KnownFailure, type LbrPolicy, LEGACY_FREEZE } from './policy.js';
import { LENT, makeLive, PARKED } from './parked_stack.js';

const FROZEN: KnownFailure = {
  why: "a counter of the host's that overflows in the guest leaves the guest's LBR off",
  where: LEGACY_FREEZE,
};

/** Linux asks for no freeze in call-stack mode; another guest may. */
const FROZEN_CALLSTACK: KnownFailure = {
  why: 'the same, of a guest that asks for the freeze in call-stack mode too',
  where: (model, kernel) => model.callstack && LEGACY_FREEZE(model, kernel),
  seldom: true,
};

/** Baseline: the whole stack, at every vCPU switch, whether the guest uses it or not. */
export const always: LbrPolicy = {
  ...PARKED,
  name: 'always',
  summary:
    'saved and restored at every vCPU switch, and around every entry under contention; a freeze ' +
    "by a counter of the host's stays",
  cites: 'baseline; Wei Wang, v1, 2017-09-25, moved from VM transitions to vCPU switches',
  assumes: LENT,
  needlessSwitches: 0,
  knownFailures: {
    'no-loss/callstack': FROZEN_CALLSTACK,
    'no-loss/any': FROZEN,
    'callstack-true': FROZEN_CALLSTACK,
    'sample-true': FROZEN,
    'no-needless-switch': { why: 'it saves and restores for ever, used or not' },
  },
  notApplicable: {},
  inUse: null,
  vcpu_enter: makeLive,
};

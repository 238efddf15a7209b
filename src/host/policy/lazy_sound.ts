import type { Vcpu } from '../vcpu.js';
import type { LbrPolicy, PolicyHost } from './policy.js';
import { LENT, LIVE, makeLive, PARKED, WANTED } from './parked_stack.js';

/**
 * The lazy proposal with what its counterexamples ask for: before an entry with DEBUGCTL.LBR set
 * the stack is restored without waiting for an access, so that hardware never records into a
 * stack that is not the guest's; and a first access is answered from the saved copy.
 */
export const lazySound: LbrPolicy = {
  ...PARKED,
  name: 'lazy-sound',
  summary: 'intercepts at a vCPU switch; restores before an entry with LBR on, or after an access',
  cites: 'derived here from lazy-literal',
  assumes: LENT,
  needlessSwitches: 1,
  knownFailures: {},
  notApplicable: { 'active-agrees': 'not a paravirtual policy' },
  inUse: (vcpu: Vcpu): boolean => vcpu.word(LIVE) !== 0,
  vcpu_enter: (kvm: PolicyHost, vcpu: Vcpu): void => {
    if (vcpu.lbr_enabled || vcpu.word(WANTED) !== 0) makeLive(kvm, vcpu);
  },
};

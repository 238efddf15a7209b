import type { LbrPolicy } from './policy.js';
import { enterSound, LENT, SOUND, type SoundVcpu } from './parked_stack.js';

/**
 * The lazy proposal with what its counterexamples ask for: before an entry with DEBUGCTL.LBR set
 * the stack is restored without waiting for an access, so that hardware never records into a
 * stack that is not the guest's; and a first access is answered from the saved copy.
 */
export const lazySound: LbrPolicy = {
  ...SOUND,
  name: 'lazy-sound',
  summary: 'intercepts at a vCPU switch; restores before an entry with LBR on, or after an access',
  cites: 'derived here from lazy-literal',
  assumes: LENT,
  needlessSwitches: 1,
  knownFailures: {},
  notApplicable: {},
  inUse: (vcpu: SoundVcpu) => vcpu.words.live !== 0,
  vcpu_enter: (kvm, vcpu: SoundVcpu) => enterSound(kvm, vcpu, false),
};

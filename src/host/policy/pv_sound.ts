import type { LbrPolicy } from './policy.js';
import { enterSound, LENT, SOUND, type SoundVcpu } from './parked_stack.js';

/**
 * Policy PV with ACTIVE as a hint and nothing more: while it is set the stack is restored eagerly
 * and needs no trap; while it is clear the stack is parked, not dropped and not exposed.
 */
export const pvSound: LbrPolicy = {
  ...SOUND,
  name: 'pv-sound',
  summary: 'eager while ACTIVE is set, else as lazy-sound; a starting CPU clears ACTIVE',
  cites: 'derived here from pv-v2',
  assumes: LENT,
  pv: 'add-del-boot',
  needlessSwitches: 1,
  knownFailures: {},
  notApplicable: {},
  inUse: (vcpu: SoundVcpu) => vcpu.pvLbrCtrl !== 0,
  vcpu_enter: (kvm, vcpu: SoundVcpu) => enterSound(kvm, vcpu, vcpu.pvLbrCtrl !== 0),
};

import type { Vcpu } from '../vcpu.js';
import type { LbrPolicy, PolicyHost } from './policy.js';
import { LENT, makeLive, PARKED, PARKED_WORDS, WANTED } from './parked_stack.js';

/** The guest has used LBR in this slice, as far as a host can see. */
const USED: number = PARKED_WORDS.length;
/** It did so in the last slice: the stack is restored without waiting for a sign of use. */
const EAGER: number = USED + 1;

/**
 * The stop is a guess, and only cost depends on it: a slice without DEBUGCTL.LBR and without an
 * intercepted access. Until then the stack is restored eagerly and nothing traps; from then on
 * it stays parked until the guest comes back.
 */
export const parked: LbrPolicy = {
  ...PARKED,
  name: 'parked',
  summary: 'eager until a slice passes without a sign of use; then parked in memory',
  cites: 'derived here from lazy-sound, eager as long as the guest shows use',
  assumes: LENT,
  words: [...PARKED_WORDS, 'used', 'eager'],
  needlessSwitches: 2,
  knownFailures: {},
  notApplicable: { 'active-agrees': 'not a paravirtual policy' },
  inUse: (vcpu: Vcpu): boolean => vcpu.word(EAGER) !== 0 || vcpu.word(USED) !== 0,
  vcpu_enter: (kvm: PolicyHost, vcpu: Vcpu): void => {
    if (vcpu.lbr_enabled || vcpu.word(WANTED) !== 0) vcpu.setWord(USED, 1);
    if (vcpu.word(USED) !== 0 || vcpu.word(EAGER) !== 0) makeLive(kvm, vcpu);
  },
  vcpu_put: (kvm: PolicyHost, vcpu: Vcpu): void => {
    PARKED.vcpu_put(kvm, vcpu);
    vcpu.setWord(EAGER, vcpu.word(USED));
    vcpu.setWord(USED, 0);
  },
};

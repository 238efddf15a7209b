import type { Vcpu } from '../vcpu.js';
import type { LbrPolicy } from './policy.js';
import { enterSound, LENT, SOUND, SOUND_WORDS } from './parked_stack.js';

/**
 * `used`: the guest has used LBR in this slice, as far as a host can see; `eager`: it did so in the
 * last slice, and the stack is restored without waiting for a sign of use.
 */
const WORDS = [...SOUND_WORDS, 'used', 'eager'] as const;
type GuessedVcpu = Vcpu<(typeof WORDS)[number]>;

/**
 * The stop is a guess, and only cost depends on it: a slice without DEBUGCTL.LBR and without an
 * intercepted access. Until then the stack is restored eagerly and nothing traps; from then on
 * it stays parked until the guest comes back.
 */
export const parked: LbrPolicy = {
  ...SOUND,
  name: 'parked',
  summary: 'eager until a slice passes without a sign of use; then parked in memory',
  cites: 'derived here from lazy-sound, eager as long as the guest shows use',
  assumes: LENT,
  words: WORDS,
  needlessSwitches: 2,
  knownFailures: {},
  notApplicable: {},
  inUse: (vcpu: GuessedVcpu) => vcpu.words.eager !== 0 || vcpu.words.used !== 0,
  vcpu_enter: (kvm, vcpu: GuessedVcpu) => {
    if (vcpu.lbrEnabled || vcpu.words.wanted !== 0) vcpu.words.used = 1;
    enterSound(kvm, vcpu, vcpu.words.used !== 0 || vcpu.words.eager !== 0);
  },
  vcpu_put: (kvm, vcpu: GuessedVcpu) => {
    SOUND.vcpu_put(kvm, vcpu);
    vcpu.words.eager = vcpu.words.used;
    vcpu.words.used = 0;
  },
};

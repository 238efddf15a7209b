// The policy my-policy: what a host does about a guest's LBR registers. It runs as it is:
//   vlbr verify --policy ./my-policy.mjs
//   vlbr explore --policy ./my-policy.mjs --depth 2
import { enterSound, SOUND, SOUND_WORDS } from 'vlbr';

/** @type {import('vlbr').LbrPolicy} */
const policy = {
  // The hooks and words of the policies that keep every stack. A vCPU's stack is either live, in
  // the registers of its pCPU and passed through, or parked, in `vcpu.records` and intercepted.
  // `PASS_THROUGH` is the other ground to begin with: it passes everything and keeps nothing.
  ...SOUND,

  // Small letters, digits and '-'. Replay tokens hold it.
  name: 'my-policy',
  // These three are printed where people ask what the policy is.
  summary: 'the whole stack, at every vCPU switch, whether the guest uses it or not',
  cites: 'the policy `always` of vlbr',
  assumes: 'perf lends KVM its registers between VM entry and VM exit',

  // All that the policy remembers of a vCPU: `vcpu.words.live` and so on, numbers of 32 bits. Add
  // words of your own here. What is kept elsewhere is refused: a schedule could not be run again.
  words: [...SOUND_WORDS],

  // Before a VM entry, interrupts off. With `true`, the stack always becomes live. Try `false`: then
  // it becomes live only where the guest has LBR on or has touched a register.
  vcpu_enter(kvm, vcpu) {
    enterSound(kvm, vcpu, true);
  },

  // The vCPU's thread leaves its pCPU. `kvm` reads, writes, saves, restores and wipes registers.
  vcpu_put(kvm, vcpu) {
    SOUND.vcpu_put(kvm, vcpu);
  },

  // Whether the policy believes that the guest uses LBR; null, if it has no such belief.
  inUse: null,
  // Switches at which it may still save or restore after its guest has stopped using LBR.
  needlessSwitches: 0,
  // What it breaks by design, and why. `vlbr verify` ends with 1 for whatever else breaks.
  knownFailures: {
    'no-needless-switch': { why: 'it saves and restores for ever, used or not' },
  },
  // What cannot be asked of it, and why.
  notApplicable: {},
};

export default policy;

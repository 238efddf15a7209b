/**
 * Not a model: the KVM of the kernel tree that runs, its own C (machine/kvm_image.ts). It needs no
 * hooks. What it is known to break depends on the tree.
 */
import { type LbrPolicy, PASS_THROUGH } from './policy.js';
import { merged } from './merged.js';

export const kvm: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'kvm',
  summary: "the tree's own KVM, as C code; needs --kernel-src",
  cites: 'arch/x86/kvm of the tree that is named',
  assumes: merged.assumes,
  // Beside those of `merged`, its thread is on a pCPU for its migration.
  needlessSwitches: merged.needlessSwitches + 2,
  knownFailures: merged.knownFailures,
  notApplicable: { 'active-agrees': 'not a paravirtual policy' },
  inUse: (vcpu) => vcpu.msr_passthrough,
};

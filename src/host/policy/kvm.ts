/**
 * Not a model: the KVM of the kernel tree that runs, its own C (machine/kvm_image.ts). It needs no
 * hooks. What it is known to break depends on the tree's version.
 */
import { merged } from './merged.js';
import { type LbrPolicy, PASS_THROUGH } from './policy.js';

const UNCHECKED = 'an intercepted write reaches WRMSR unchecked, and the kernel warns of its fault';

export const kvm: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'kvm',
  ofTree: true,
  dropsWithoutEvent: true,
  summary: 'the KVM of the kernel tree that runs: its own C; needs --kernel-src',
  cites: 'arch/x86/kvm of the tree that is named',
  assumes: merged.assumes,
  // Beside those of `merged`, its thread is on a pCPU for its migration.
  needlessSwitches: merged.needlessSwitches + 2,
  knownFailures: {
    ...merged.knownFailures,
    'no-warn': { why: UNCHECKED },
  },
  withoutCallstack: { ...merged.withoutCallstack },
  notApplicable: { 'active-agrees': 'not a paravirtual policy' },
  inUse: (vcpu) => vcpu.msr_passthrough,
};

/** In 7.2.12 and 7.3.4 a write that faults is the guest's fault (commit ca674df13b19). */
function checked(): LbrPolicy {
  const { 'no-fault': _fault, 'no-warn': _warn, ...knownFailures } = kvm.knownFailures;
  return { ...kvm, knownFailures };
}

const CHECKED: LbrPolicy = checked();

/** The KVM of a tree of some version, as `7.3.4`; of an unknown one, as of the newest. */
export function kvmOf(version: string): LbrPolicy {
  const major = Number.parseInt(version, 10);
  return major < 7 ? kvm : CHECKED;
}

import type { Vcpu } from '../vcpu.js';
import { type LbrPolicy, PASS_THROUGH, type PolicyHost } from './policy.js';

/** L2: restores on the first access of a slice, and makes the MSRs direct again. */
function firstAccess(kvm: PolicyHost, vcpu: Vcpu): void {
  kvm.restoreStack(vcpu, true);
  kvm.setPassthrough(vcpu, true);
}

/** The three rules of the proposal, word for word. */
export const lazyLiteral: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'lazy-literal',
  summary: 'intercepts at a vCPU switch, restores on the first access, saves what was direct',
  cites: 'Andi Kleen, 2018-09-06, reply to v2 6/8: rules L1, L2, L3',
  assumes: 'hardware never records before the first access of a slice, and no host event contends',
  needlessSwitches: 1,
  knownFailures: {
    'no-loss/callstack': {
      why: 'hardware records before the first access, and the restore then covers that up',
    },
    'no-loss/any': {
      why: 'hardware records before the first access, and the restore then covers that up',
    },
    'no-leak/vm': { why: "the host's records reach the guest's stack while its event contends" },
    'callstack-true': { why: 'frames entered before the first access of a slice are covered up' },
    'sample-true': { why: 'what was recorded before the first access of a slice is covered up' },
    'host-intact': { why: "the host's event finds the guest's records and its LBR_SELECT" },
    'owner-only': { why: 'the first access restores even under a host event that counts' },
    'recorder-owned': {
      why: 'with LBR on and no access yet hardware records into a stack not restored',
    },
    'no-premature-stop': {
      why: 'a slice without access is not saved, whatever was recorded in it',
    },
  },
  notApplicable: {},
  inUse: (vcpu) => vcpu.msr_passthrough,
  /** L1: nothing is restored. */
  vcpu_load: (kvm, vcpu) => kvm.setPassthrough(vcpu, false),
  /** L3: what was not set to direct access in this slice needs no save. */
  vcpu_put: (kvm, vcpu) => {
    if (vcpu.msr_passthrough) kvm.saveStack(vcpu, true);
  },
  get_msr: (kvm, vcpu, msr) => {
    firstAccess(kvm, vcpu);
    return PASS_THROUGH.get_msr(kvm, vcpu, msr);
  },
  set_msr: (kvm, vcpu, msr, eax, edx) => {
    firstAccess(kvm, vcpu);
    return kvm.wrmsr_safe(vcpu, msr, eax, edx);
  },
  reset: (kvm, vcpu) => kvm.setPassthrough(vcpu, false),
};

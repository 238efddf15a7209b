/**
 * Models the LBR part of arch/x86/kvm/vmx/pmu_intel.c as v10 and v11 have it (2020). It differs
 * from the merged code in when the event is released: DEBUGCTL.LBR is clear *and* no access was
 * trapped since the last check. Passed-through accesses are not seen; accesses to DEBUGCTL always
 * are. Any write of DEBUGCTL creates the event, whatever its value.
 */
import { KVM_6_1 } from '../kvm_versions.js';
import type { Vcpu } from '../vcpu.js';
import {
  intel_pmu_create_guest_lbr_event,
  intel_pmu_cleanup,
  mergedAs,
  MERGED_WORDS,
} from './merged.js';
import { type LbrPolicy, WITH_CALLSTACK } from './policy.js';

/** `in_use`: bit 58 of kvm_pmu.pmc_in_use. */
const WORDS = [...MERGED_WORDS, 'in_use'] as const;
type V10Vcpu = Vcpu<(typeof WORDS)[number]>;

/** What it shares with the code that was merged, as first released. */
const COMMON: Omit<LbrPolicy, 'handleRequests'> = mergedAs(() => KVM_6_1);

export const v10: LbrPolicy = {
  ...COMMON,
  name: 'v10',
  summary: 'as merged, but the event stays as long as a slice has a trapped access',
  cites: 'Like Xu, v10 and v11 8 to 10/11, 2020-04-23 and 2020-05-14',
  assumes: 'a guest that has DEBUGCTL.LBR clear and leaves it alone has stopped using LBR',
  words: WORDS,
  needlessSwitches: 4,
  knownFailures: {
    ...COMMON.knownFailures,
    'no-needless-switch': {
      why: 'any write of DEBUGCTL creates the event, though it leaves LBR off',
      where: WITH_CALLSTACK,
    },
  },
  /** Kernel: pmu.c:kvm_pmu_cleanup(), v10 9/11. */
  handleRequests: (kvm, vcpu: V10Vcpu) => {
    if (vcpu.words.need_cleanup === 0) return;
    vcpu.words.need_cleanup = 0;
    if (vcpu.words.in_use === 0) intel_pmu_cleanup(kvm, vcpu);
    vcpu.words.in_use = 0;
  },
  get_msr: (kvm, vcpu: V10Vcpu, msr) => {
    vcpu.words.in_use = 1;
    return COMMON.get_msr(kvm, vcpu, msr);
  },
  set_msr: (kvm, vcpu: V10Vcpu, msr, eax, edx) => {
    vcpu.words.in_use = 1;
    return COMMON.set_msr(kvm, vcpu, msr, eax, edx);
  },
  setDebugctl: (kvm, vcpu: V10Vcpu) => {
    intel_pmu_create_guest_lbr_event(kvm, vcpu);
    vcpu.words.in_use = 1;
  },
};

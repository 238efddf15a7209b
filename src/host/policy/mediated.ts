/**
 * The mediated PMU, Linux 7.0 and later: for the time in the guest KVM has the PMU of the CPU to
 * itself. perf schedules its events out before the entry and in after the exit. The guest has no
 * LBR.
 */
import { GP_VECTOR } from '../../hw/msr_port.js';
import {
  type LbrPolicy,
  type Needs,
  nothing,
  PASS_THROUGH,
  type PolicyGround,
  REFUSED,
} from './policy.js';

const MEDIATED_PMU: Needs = {
  feature: 'mediatedPmu',
  what: 'the mediated PMU',
  // pmu_intel.c:intel_pmu_is_mediated_pmu_supported()
  pmuVersion: 4,
};

/** What KVM does around the time in the guest, interrupts off. */
const LOAD_AND_PUT: PolicyGround = {
  ...PASS_THROUGH,
  /** Kernel: pmu.c:kvm_mediated_pmu_load(). The counters are the guest's from here on. */
  vcpu_enter: (kvm, vcpu) => kvm.perf.loadGuestContext(vcpu.pcpu),
  /** Kernel: pmu.c:kvm_mediated_pmu_put(). */
  mediated_put: (kvm, vcpu) => kvm.perf.putGuestContext(vcpu.pcpu),
};

const NO_LBR = 'the guest has no LBR';

/** As it is: a guest has no LBR. */
export const mediated: LbrPolicy = {
  ...LOAD_AND_PUT,
  name: 'mediated',
  summary: 'the mediated PMU: no LBR for guests, and host events are out while a guest runs',
  cites: 'Linux 7.0 and later, kvm_intel.enable_mediated_pmu=1; commits 42457a7fb6ca, 56bb27369750',
  assumes: 'nothing: it gives guests no LBR',
  needs: MEDIATED_PMU,
  withoutGuestLbr: true,
  needlessSwitches: 0,
  knownFailures: {},
  notApplicable: {
    'no-loss/callstack': NO_LBR,
    'no-loss/any': NO_LBR,
    'no-leak/task': NO_LBR,
    'callstack-true': NO_LBR,
    'sample-true': NO_LBR,
    'owner-only': 'it never touches the LBR registers for a guest',
    'recorder-owned': NO_LBR,
    'no-needless-switch': NO_LBR,
    'filter-true': NO_LBR,
  },
  inUse: null,
  /** LBR_FMT is 0: Kernel: vmx.c:vmx_get_perf_capabilities(). */
  get_msr: () => REFUSED,
  set_msr: () => GP_VECTOR,
  reset: nothing,
};

/** A prediction: the same with guest LBR added, and nothing else but load and put. */
export const mediatedLbr: LbrPolicy = {
  ...LOAD_AND_PUT,
  name: 'mediated-lbr',
  summary: 'a prediction: the mediated PMU with LBR passed through, relying on load and put alone',
  cites: 'no series; what perf of 7.0 and later does for KVM that the LBR needs, and no more',
  assumes: 'host events that are out need nothing of the registers',
  needs: MEDIATED_PMU,
  needlessSwitches: 0,
  knownFailures: {
    'no-loss/callstack': {
      why:
        "perf's put writes the LBR_SELECT of the host's event over the guest's; and no vCPU's " +
        'stack is saved at a switch',
    },
    'no-loss/any': { why: "the same, of every mode: nobody brings the guest's registers back" },
    'no-leak/vm': {
      why:
        "a host event that is out leaves its records in the registers; and so does another VM's " +
        'vCPU',
    },
    'no-leak/task': { why: 'vCPUs of one VM share the registers of a pCPU' },
    'callstack-true': { why: 'a call-stack sample of the guest has frames of others' },
    'sample-true': { why: "a sample is made of somebody else's records, by another's filter" },
    'host-intact': {
      why:
        "lbr_add() wipes for an event that has never run, and perf's put adds one that has: the " +
        'host samples what the guest has recorded',
    },
    'recorder-owned': { why: 'hardware records on top of whatever is there' },
  },
  notApplicable: {
    'owner-only': 'it never touches the registers',
  },
  inUse: null,
};

import type { Vcpu } from '../vcpu.js';
import type { LbrPolicy, PolicyHost } from './policy.js';
import { PASS_THROUGH } from './policy.js';

const active = (vcpu: Vcpu): boolean => vcpu.pv_lbr_ctrl !== 0;

/**
 * Policy PV as posted: the stack is passed through at all times, and saved and restored at a vCPU
 * switch while ACTIVE is set. LBR_SELECT is not part of it before v4 (its changelog says so).
 */
export const pvV2: LbrPolicy = {
  ...PASS_THROUGH,
  name: 'pv-v2',
  summary: 'static pass-through; saved and restored at a vCPU switch while ACTIVE is set',
  cites: 'Wei Wang, v2 0/8, 2018-09-06',
  assumes: 'every LBR user of the guest sets ACTIVE, and no host event contends',
  pv: 'add-del',
  needlessSwitches: 0,
  knownFailures: {},
  notApplicable: {},
  inUse: active,
  vcpu_load: (kvm: PolicyHost, vcpu: Vcpu): void => {
    if (active(vcpu)) kvm.restoreStack(vcpu, false);
  },
  vcpu_put: (kvm: PolicyHost, vcpu: Vcpu): void => {
    if (active(vcpu)) kvm.saveStack(vcpu, false);
  },
};

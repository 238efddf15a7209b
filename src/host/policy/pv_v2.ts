import type { Vcpu } from '../vcpu.js';
import { type LbrPolicy, PASS_THROUGH, WITH_CALLSTACK } from './policy.js';

const active = (vcpu: Vcpu): boolean => vcpu.pvLbrCtrl !== 0;

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
  knownFailures: {
    'no-loss/callstack': {
      why:
        'a stack that perf means to find again by its restore shortcut is gone while ACTIVE is ' +
        '0; LBR_SELECT and a contending host event lose it even while it is 1',
    },
    'no-loss/any': { why: 'ring-mode users never set ACTIVE' },
    'no-leak/vm': { why: 'while ACTIVE is 0 the guest reads what another VM or the host left' },
    'no-leak/task': { why: 'while ACTIVE is 0 vCPUs of one VM share the registers of a pCPU' },
    'callstack-true': {
      why: "a sample starts with frames recorded while the stack was not the guest's",
    },
    'sample-true': { why: 'ring-mode users never set ACTIVE, so samples lack what was lost' },
    'host-intact': { why: "the host's event finds the guest's records and its LBR_SELECT" },
    'owner-only': { why: 'it saves and restores under a host event that counts' },
    'recorder-owned': { why: 'with ACTIVE 0 hardware records on top of whatever is there' },
    'active-agrees': {
      why: 'a kernel that takes over by kexec inherits ACTIVE',
      where: WITH_CALLSTACK,
    },
    'no-needless-switch': {
      why: 'with ACTIVE left at 1 it saves and restores for ever',
      where: WITH_CALLSTACK,
    },
    'no-premature-stop': { why: 'it takes every guest without ACTIVE to have no stack' },
  },
  withoutCallstack: { 'owner-only': 'it never touches the registers' },
  notApplicable: {},
  inUse: active,
  vcpu_load: (kvm, vcpu) => {
    if (active(vcpu)) kvm.restoreStack(vcpu, false);
  },
  vcpu_put: (kvm, vcpu) => {
    if (active(vcpu)) kvm.saveStack(vcpu, false);
  },
};

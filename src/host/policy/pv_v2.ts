import type { Vcpu } from '../vcpu.js';
import { type LbrPolicy, PASS_THROUGH, type PolicyHost, WITH_CALLSTACK } from './policy.js';

const active = (vcpu: Vcpu): boolean => vcpu.pvLbrCtrl !== 0;

const KNOWN: LbrPolicy['knownFailures'] = {
  'no-loss/any': { why: 'ring-mode users never set ACTIVE' },
  'no-leak/vm': { why: 'while ACTIVE is 0 the guest reads what another VM or the host left' },
  'no-leak/task': { why: 'while ACTIVE is 0 vCPUs of one VM share the registers of a pCPU' },
  'callstack-true': {
    why: "a sample starts with frames recorded while the stack was not the guest's",
  },
  'sample-true': { why: 'ring-mode users never set ACTIVE, so samples lack what was lost' },
  'host-intact': { why: "the host's event finds the guest's records and its LBR_SELECT" },
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
};

/** What the readings have in common. */
const BASE: Omit<LbrPolicy, 'name' | 'summary' | 'knownFailures'> = {
  ...PASS_THROUGH,
  cites: 'Wei Wang, v2 0/8, 2018-09-06',
  assumes: 'every LBR user of the guest sets ACTIVE, and no host event contends',
  pv: 'add-del',
  needlessSwitches: 0,
  notApplicable: {},
  inUse: active,
};

function release(kvm: PolicyHost, vcpu: Vcpu): void {
  kvm.perf.releaseGuestLbrEvent(vcpu);
}

/**
 * Policy PV as posted: the stack is passed through at all times, and saved and restored at a vCPU
 * switch while ACTIVE is set. The code of v2 was not found. Its successors and the change log of v3
 * ("destroy the host side perf event") say that the switch is host perf's: a call-stack event on
 * the vCPU's thread, made upon ACTIVE=1 and released upon 0. `pv-v2-direct` is the other reading,
 * in which KVM moves the registers itself; LBR_SELECT is not part of that.
 */
export const pvV2: LbrPolicy = {
  ...BASE,
  name: 'pv-v2',
  summary: 'static pass-through; a host call-stack event switches the stack while ACTIVE is set',
  knownFailures: {
    'no-loss/callstack': {
      why: "the event resets the registers as it comes, and they are nobody's when it has gone",
    },
    ...KNOWN,
  },
  notApplicable: { 'owner-only': 'it never touches the registers' },
  setPvLbrCtrl: (kvm, vcpu) => {
    if (!active(vcpu)) release(kvm, vcpu);
    else if (kvm.perf.guestLbrEvent(vcpu) === 'none')
      kvm.perf.createGuestLbrEvent(vcpu, 'flexible');
  },
  reset: (kvm, vcpu) => {
    PASS_THROUGH.reset(kvm, vcpu);
    release(kvm, vcpu);
  },
};

export const pvV2Direct: LbrPolicy = {
  ...BASE,
  name: 'pv-v2-direct',
  summary: 'static pass-through; KVM saves and restores at a vCPU switch while ACTIVE is set',
  cites: 'a reading of v2',
  knownFailures: {
    'no-loss/callstack': {
      why:
        'a stack that perf means to find again by its restore shortcut is gone while ACTIVE is ' +
        '0; LBR_SELECT and a contending host event lose it even while it is 1',
    },
    ...KNOWN,
    'owner-only': { why: 'it saves and restores under a host event that counts' },
  },
  withoutCallstack: { 'owner-only': 'it never touches the registers' },
  vcpu_load: (kvm, vcpu) => {
    if (active(vcpu)) kvm.restoreStack(vcpu, false);
  },
  vcpu_put: (kvm, vcpu) => {
    if (active(vcpu)) kvm.saveStack(vcpu, false);
  },
};

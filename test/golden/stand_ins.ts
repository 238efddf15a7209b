/**
 * Policies for tests alone. Each is `merged` with one change. The changes show hazards of code
 * other than Linux 6.1's, and situations that the model's host cannot bring about. A run makes its
 * own object, since one of these policies keeps a memory.
 */
import { intel_pmu_create_guest_lbr_event, merged } from '../../src/host/policy/merged.js';
import type { HostPerf, LbrPolicy, MsrValue, PolicyHost } from '../../src/host/policy/policy.js';
import { msrValue } from '../../src/host/policy/policy.js';
import type { Vcpu } from '../../src/host/vcpu.js';

/** `merged` on a host whose perf replaces some functions. */
function mergedOn(differs: (perf: HostPerf) => Partial<HostPerf>): LbrPolicy {
  const on = (kvm: PolicyHost): PolicyHost => {
    const perf = Object.assign(Object.create(kvm.perf) as HostPerf, differs(kvm.perf));
    return Object.create(kvm, { perf: { value: perf } }) as PolicyHost;
  };
  return {
    ...merged,
    words: [...merged.words, 'own'],
    sched_in: (kvm, vcpu) => merged.sched_in(on(kvm), vcpu),
    handleRequests: (kvm, vcpu) => merged.handleRequests(on(kvm), vcpu),
    vcpu_enter: (kvm, vcpu) => merged.vcpu_enter(on(kvm), vcpu),
    get_msr: (kvm, vcpu, msr) => merged.get_msr(on(kvm), vcpu, msr),
    set_msr: (kvm, vcpu, msr, eax, edx) => merged.set_msr(on(kvm), vcpu, msr, eax, edx),
    setDebugctl: (kvm, vcpu) => merged.setDebugctl(on(kvm), vcpu),
    reset: (kvm, vcpu) => merged.reset(on(kvm), vcpu),
  };
}

/** perf cannot schedule the guest LBR event of these vCPUs: it is in ERROR from the start. */
function eventInError(which: (vcpu: Vcpu) => boolean): LbrPolicy {
  return mergedOn((perf) => ({
    createGuestLbrEvent: (vcpu: Vcpu<'own'>, kind) => {
      if (which(vcpu)) vcpu.words.own = 1;
      else perf.createGuestLbrEvent(vcpu, kind);
    },
    releaseGuestLbrEvent: (vcpu: Vcpu<'own'>) => {
      vcpu.words.own = 0;
      perf.releaseGuestLbrEvent(vcpu);
    },
    guestLbrEvent: (vcpu: Vcpu<'own'>) => {
      if (vcpu.words.own !== 0) return 'inactive';
      return perf.guestLbrEvent(vcpu);
    },
  }));
}

/** perf_event_create_kernel_counter() fails for vCPU 1. */
function creationFails(): LbrPolicy {
  return mergedOn((perf) => ({
    createGuestLbrEvent: (vcpu, kind) => {
      if (vcpu.id !== 1) perf.createGuestLbrEvent(vcpu, kind);
    },
  }));
}

/** nested.c sets DEBUGCTL of an L2 without creating an event. vCPU 1 gets its DEBUGCTL this way. */
function debugctlOfL2(): LbrPolicy {
  return {
    ...merged,
    setDebugctl: (kvm, vcpu) => {
      if (vcpu.id !== 1) merged.setDebugctl(kvm, vcpu);
    },
  };
}

/**
 * The host's perf as the comments of intel_pmu_create_guest_lbr_event() describe it: a host event
 * that starts puts the guest's event into ERROR.
 *
 * @param rearms - the next entry intercepts the LBR MSRs again.
 */
function hostTakesLbr(rearms: boolean): LbrPolicy {
  const base = eventInError(() => false);
  return {
    ...base,
    vcpu_enter: (kvm, vcpu: Vcpu<'own'>) => {
      if (rearms || vcpu.words.own === 0) base.vcpu_enter(kvm, vcpu);
    },
    host_perf_event: (kvm, _pcpu, vcpu: Vcpu<'own'> | null, on) => {
      if (!on || vcpu === null || kvm.perf.guestLbrEvent(vcpu) === 'none') return;
      kvm.perf.releaseGuestLbrEvent(vcpu);
      vcpu.words.own = 1;
    },
  };
}

/** Another thread (vCPU 1's) creates vCPU 0's event, and KVM binds the event to `current`. */
function eventOfAnotherThread(): LbrPolicy {
  const vcpus: Vcpu[] = [];
  const other = (vcpu: Vcpu): Vcpu => (vcpu.id === 0 ? vcpus[1] : vcpu);
  const base = mergedOn((perf) => ({
    createGuestLbrEvent: (vcpu, kind) => perf.createGuestLbrEvent(other(vcpu), kind),
    releaseGuestLbrEvent: (vcpu) => perf.releaseGuestLbrEvent(other(vcpu)),
    guestLbrEvent: (vcpu) => perf.guestLbrEvent(other(vcpu)),
  }));
  return {
    ...base,
    reset: (_kvm, vcpu) => {
      vcpus[vcpu.id] = vcpu;
    },
  };
}

/** Before commit 189ecdb3e112 KVM read the host's DEBUGCTL only when it loaded the vCPU. */
function staleDebugctl(): LbrPolicy {
  const words = [...merged.words, 'host_debugctl', 'read'];
  return {
    ...merged,
    words,
    vcpu_load: (_kvm, vcpu: Vcpu<'host_debugctl' | 'read'>) => {
      vcpu.words.read = 0;
    },
    // The first entry follows the load at once, so this is the value at the load.
    vcpu_enter: (kvm, vcpu: Vcpu<'host_debugctl' | 'read'>) => {
      if (vcpu.words.read === 0) vcpu.words.host_debugctl = vcpu.host_debugctl;
      vcpu.words.read = 1;
      vcpu.host_debugctl = vcpu.words.host_debugctl;
      merged.vcpu_enter(kvm, vcpu);
    },
  };
}

/** A VMM that migrates DEBUGCTL, although KVM does not list the MSR, and no LBR state. */
function debugctlMigrates(): LbrPolicy {
  return {
    ...merged,
    get_state: (_kvm, vcpu) => {
      vcpu.records.clear();
      return true;
    },
    // The VMM writes DEBUGCTL by KVM_SET_MSRS, which takes the path of a guest's write.
    vcpu_load: (kvm, vcpu) => merged.setDebugctl(kvm, vcpu),
  };
}

/** v12 and v13 test `if (!event && !create()) goto dummy`, but create() returns 0 on success. */
function invertedTest(): LbrPolicy {
  const dummy = (kvm: PolicyHost, vcpu: Vcpu): boolean => {
    if (kvm.perf.guestLbrEvent(vcpu) !== 'none') return false;
    intel_pmu_create_guest_lbr_event(kvm, vcpu);
    return kvm.perf.guestLbrEvent(vcpu) !== 'none';
  };
  return {
    ...merged,
    get_msr: (kvm, vcpu, msr): MsrValue =>
      dummy(kvm, vcpu) ? msrValue(0, 0) : merged.get_msr(kvm, vcpu, msr),
    set_msr: (kvm, vcpu, msr, eax, edx) =>
      dummy(kvm, vcpu) ? 0 : merged.set_msr(kvm, vcpu, msr, eax, edx),
  };
}

/** Every stand-in, by its name in the golden files. */
export const STAND_INS: ReadonlyMap<string, () => LbrPolicy> = new Map([
  ['event-in-error', () => eventInError(() => true)],
  ['event-of-v1-in-error', () => eventInError(({ id }) => id === 1)],
  ['no-event-for-v1', creationFails],
  ['debugctl-of-l2', debugctlOfL2],
  ['host-takes-lbr', () => hostTakesLbr(true)],
  ['host-takes-lbr-unnoticed', () => hostTakesLbr(false)],
  ['event-of-another-thread', eventOfAnotherThread],
  ['debugctl-migrates', debugctlMigrates],
  ['stale-debugctl', staleDebugctl],
  ['inverted-test', invertedTest],
]);

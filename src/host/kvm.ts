/**
 * Models the run loop of KVM on VMX, Linux 6.1 to 7.3, as far as it reaches LBR: entry and exit
 * (vmx.c:vmx_vcpu_run(), x86.c:vcpu_enter_guest()), intercepted MSR accesses, DEBUGCTL emulation
 * (vmx.c:vmx_set_msr()), the virtual PMI and its legacy freeze (pmu_intel.c), and the scheduling of
 * vCPU threads. The policy makes the decisions.
 */
import { assert } from '../hw/assert.js';
import * as msrs from '../hw/msr_index.js';
import type { CpuModel } from '../hw/cpu_models.js';
import { GLOBAL_CTRL_HI, GLOBAL_CTRL_LO } from '../hw/logical_processor.js';
import { KIND_NONE, type LbrMap, lbrMap } from '../hw/lbr_map.js';
import { GP_VECTOR, type Vector } from '../hw/msr_port.js';
import {
  KVM_FEATURE_PV_LBR_CTRL,
  KVM_PV_LBR_CTRL_ACTIVE,
  MSR_KVM_PV_LBR_CTRL,
} from '../guest/pv/kvm_para.js';
import type { GuestCounters, Hypervisor } from './hypervisor.js';
import { type LbrHardware, LbrRegisters } from './lbr_registers.js';
import type { KvmFeatures } from './kvm_versions.js';
import { hearsCounters, type HostPerf, type LbrPolicy } from './policy/policy.js';
import type { PolicyHost } from './policy/policy.js';
import type { Vcpu } from './vcpu.js';

/** Bits of GLOBAL_OVF_CTRL that a version 2 guest may write: OvfBuffer and CondChgd. */
const OVF_CTRL_HI: number = GLOBAL_CTRL_HI | (1 << (62 - 32)) | msrs.GLOBAL_STATUS_COND_CHG_HI;

/** A mask of all general counters, whose MSRs are on the list of a live migration. */
const GENERAL_COUNTERS: number = GLOBAL_CTRL_LO;

/** kvm_x86_ops.HOST_OWNED_DEBUGCTL of VMX: as the host has it while the guest runs. */
const HOST_OWNED_DEBUGCTL: number = msrs.DEBUGCTLMSR_FREEZE_IN_SMM;

/** vmx.c:vmx_get_supported_debugctl(): no CPU of the table detects bus locks. */
function supportedDebugctl({ tsx }: CpuModel, givesLbr: boolean): number {
  const lbr = givesLbr ? msrs.DEBUGCTLMSR_LBR | msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI : 0;
  return tsx ? lbr | msrs.DEBUGCTLMSR_RTM_DEBUG : lbr;
}

/** Kernel: vmx.h:vmx_guest_debugctl_read(). */
function vmx_guest_debugctl_read({ vmcs }: Vcpu): number {
  return vmcs.guestDebugctl & ~HOST_OWNED_DEBUGCTL;
}

/** Kernel: vmx.h:vmx_guest_debugctl_write(). */
function vmx_guest_debugctl_write({ vmcs, host_debugctl }: Vcpu, value: number): void {
  vmcs.guestDebugctl = value | (host_debugctl & HOST_OWNED_DEBUGCTL);
}

/** Bits that vmx_is_valid_debugctl() drops without a fault. */
const DROPPED_DEBUGCTL: number = msrs.DEBUGCTLMSR_BTF | msrs.DEBUGCTLMSR_LBR;

/** cpuid.c: EAX of leaf KVM_CPUID_FEATURES, as far as it is about LBR. */
export function kvmCpuidFeatures(policy: LbrPolicy): number {
  return policy.pv === 'none' ? 0 : 1 << KVM_FEATURE_PV_LBR_CTRL;
}

/**
 * The part of KVM that reaches the LBR, for all vCPUs of all VMs. LbrRegisters makes the accesses
 * that a policy asks for.
 */
export class Kvm extends LbrRegisters implements Hypervisor, GuestCounters, PolicyHost {
  readonly policy: LbrPolicy;
  readonly features: KvmFeatures;
  readonly perf: HostPerf;
  /** Of the last RDMSR of a guest. */
  vector: Vector = 0;
  intercepted: boolean = false;
  readonly tree: null = null;
  readonly counters: GuestCounters | null;
  private readonly model: CpuModel;
  private readonly map: LbrMap;
  /** Whether a guest has LBR at all. */
  private readonly givesLbr: boolean;
  private readonly supportedDebugctl: number;

  constructor(policy: LbrPolicy, features: KvmFeatures, perf: HostPerf, hardware: LbrHardware) {
    super(hardware);
    this.policy = policy;
    this.features = features;
    this.perf = perf;
    this.counters = hearsCounters(policy, features) ? this : null;
    this.model = hardware.pcpus[0].model;
    this.map = lbrMap(this.model);
    const refused = policy.noGuestLbr?.where(this.model, features) === true;
    this.givesLbr = policy.withoutGuestLbr !== true && !refused;
    this.supportedDebugctl = supportedDebugctl(this.model, this.givesLbr);
  }

  boot(vcpus: readonly Vcpu[]): void {
    for (const vcpu of vcpus) {
      this.policy.reset(this, vcpu);
      vcpu.inUserspace = true;
    }
  }

  /**
   * VM entry, unless the vCPU is in the guest already.
   *
   * The order is that of vcpu_enter_guest() and vmx_vcpu_run(), and each step needs the one before:
   * 1. Requests may release the guest LBR event, and perf then writes the host's DEBUGCTL.
   * 2. The host's DEBUGCTL is noted, to come back at the exit. Noted earlier, it could bring back a
   *    recording that perf has ended (commit 189ecdb3e112, FINDINGS H19); noted later, it would
   *    lack the LBR bit of a host event whose registers the policy borrows in step 3. What the
   *    host owns of the guest's DEBUGCTL follows it (KVM_RUN_LOAD_DEBUGCTL).
   * 3. The policy, interrupts off, brings the guest's stack and opens or closes the MSR bitmap. No
   *    host event can come any more, so what it sees of perf holds until the exit.
   * 4. Hardware loads the guest's DEBUGCTL last: from here on it records, into whatever stack is in
   *    the registers.
   */
  enter(vcpu: Vcpu): void {
    if (vcpu.inGuest) return;
    assert(vcpu.pcpu >= 0, 'a vCPU enters its guest on the pCPU that it is loaded on');
    if (vcpu.inUserspace) this.run(vcpu);
    const cpu = this.pcpus[vcpu.pcpu];
    this.policy.handleRequests(this, vcpu);
    vcpu.host_debugctl = cpu.debugctl;
    vmx_guest_debugctl_write(vcpu, vmx_guest_debugctl_read(vcpu));
    this.policy.vcpu_enter(this, vcpu);
    if (!vcpu.vmcs.enter(cpu)) this.observer.entryFailed(vcpu.id);
    vcpu.inGuest = true;
  }

  /** VM exit, unless the vCPU is out already. The exit leaves DEBUGCTL 0; KVM puts it back. */
  exit(vcpu: Vcpu): void {
    if (!vcpu.inGuest) return;
    const cpu = this.pcpus[vcpu.pcpu];
    vcpu.vmcs.exit(cpu);
    vcpu.inGuest = false;
    this.policy.vcpu_exit(this, vcpu);
    if (vcpu.host_debugctl !== 0) {
      cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, vcpu.host_debugctl, 0);
    }
    this.policy.mediated_put(this, vcpu);
    this.observer.exited(vcpu.id);
  }

  /** A guest's RDMSR. Returns eax; `edx` and `vector` hold the rest. */
  guestRdmsr(vcpu: Vcpu, msr: number): number {
    this.enter(vcpu);
    let eax = 0;
    this.intercepted = vcpu.vmcs.interceptsRead(msr);
    if (this.intercepted) {
      this.exit(vcpu);
      this.edx = 0;
      this.vector = 0;
      eax = this.get_msr(vcpu, msr);
    } else {
      const cpu = this.pcpus[vcpu.pcpu];
      eax = cpu.rdmsr(msr);
      this.edx = cpu.edx;
      this.vector = cpu.vector;
    }
    if (this.vector !== 0) this.observer.guestFault(vcpu.id, msr, false, 0, 0);
    else this.observer.guestRead(vcpu.id, msr, eax, this.edx);
    return eax;
  }

  /** A guest's WRMSR. Returns the vector that it raises. */
  guestWrmsr(vcpu: Vcpu, msr: number, eax: number, edx: number): Vector {
    this.enter(vcpu);
    let vector: Vector = 0;
    this.intercepted = vcpu.vmcs.interceptsWrite(msr);
    if (this.intercepted) {
      this.exit(vcpu);
      vector = this.set_msr(vcpu, msr, eax, edx);
    } else {
      vector = this.pcpus[vcpu.pcpu].wrmsr(msr, eax, edx);
    }
    if (vector !== 0) this.observer.guestFault(vcpu.id, msr, true, eax, edx);
    else this.observer.guestWrite(vcpu.id, msr, eax, edx);
    return vector;
  }

  private get_msr(vcpu: Vcpu, msr: number): number {
    switch (msr) {
      case msrs.MSR_IA32_DEBUGCTLMSR:
        this.vector = this.policy.debugctlAccess(this, vcpu);
        return this.vector === 0 ? vmx_guest_debugctl_read(vcpu) : 0;
      case msrs.MSR_IA32_PERF_CAPABILITIES:
        return this.givesLbr ? this.model.lbr_format : 0;
      case msrs.MSR_CORE_PERF_GLOBAL_STATUS:
        return vcpu.global_status;
      case msrs.MSR_CORE_PERF_GLOBAL_CTRL:
        this.edx = vcpu.global_ctrl_hi;
        return vcpu.global_ctrl;
      case msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL:
        return 0;
      case MSR_KVM_PV_LBR_CTRL:
        if (this.policy.pv !== 'none') return vcpu.pvLbrCtrl;
        break;
      default:
        if (this.isGiven(msr)) {
          const value = this.policy.get_msr(this, vcpu, msr);
          this.edx = value.edx;
          this.vector = value.vector;
          return value.eax;
        }
    }
    this.vector = GP_VECTOR;
    return 0;
  }

  private set_msr(vcpu: Vcpu, msr: number, eax: number, edx: number): Vector {
    switch (msr) {
      case msrs.MSR_IA32_DEBUGCTLMSR:
        return this.setDebugctl(vcpu, eax, edx);
      case msrs.MSR_CORE_PERF_GLOBAL_CTRL:
        if ((eax & ~GLOBAL_CTRL_LO) !== 0 || (edx & ~GLOBAL_CTRL_HI) !== 0) return GP_VECTOR;
        vcpu.global_ctrl = eax;
        vcpu.global_ctrl_hi = edx;
        if (this.counters !== null) this.policy.reprogram_counters?.(this, vcpu, 0);
        return 0;
      case msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL:
        if ((eax & ~GLOBAL_CTRL_LO) !== 0 || (edx & ~OVF_CTRL_HI) !== 0) return GP_VECTOR;
        vcpu.global_status &= ~eax;
        return 0;
      case MSR_KVM_PV_LBR_CTRL:
        if (this.policy.pv === 'none') return GP_VECTOR;
        if (edx !== 0 || (eax & ~KVM_PV_LBR_CTRL_ACTIVE) !== 0) return GP_VECTOR;
        vcpu.pvLbrCtrl = eax;
        this.policy.setPvLbrCtrl(this, vcpu);
        return 0;
      default:
        if (!this.isGiven(msr)) return GP_VECTOR;
        return this.policy.set_msr(this, vcpu, msr, eax, edx);
    }
  }

  /** Kernel: pmu_intel.c:intel_pmu_set_msr(), IA32_PERFEVTSELx, which always exits. */
  setCounter(vcpu: Vcpu, counter: number, on: boolean): void {
    this.enter(vcpu);
    this.exit(vcpu);
    const bit = 1 << counter;
    vcpu.eventsel_en = on ? vcpu.eventsel_en | bit : vcpu.eventsel_en & ~bit;
    this.policy.reprogram_counters?.(this, vcpu, bit);
  }

  /** Kernel: pmu_intel.c:intel_pmu_is_valid_lbr_msr(), but for what a policy knows better. */
  private isGiven(msr: number): boolean {
    if (!this.givesLbr) return false;
    const anyCpu = msr === msrs.MSR_LBR_SELECT && this.policy.selectOnAnyCpu === true;
    return anyCpu || this.map.kind(msr) !== KIND_NONE;
  }

  /** Kernel: vmx.c:vmx_set_msr(), MSR_IA32_DEBUGCTLMSR. */
  private setDebugctl(vcpu: Vcpu, eax: number, edx: number): Vector {
    const supported = this.supportedDebugctl;
    if (edx !== 0 || (eax & ~(supported | DROPPED_DEBUGCTL)) !== 0) return GP_VECTOR;
    const vector = this.policy.debugctlAccess(this, vcpu);
    if (vector !== 0) return vector;
    vmx_guest_debugctl_write(vcpu, eax & supported);
    this.policy.setDebugctl(this, vcpu);
    return 0;
  }

  /**
   * A guest counter has overflowed: the host takes its PMI, which is an exit, and readies the
   * guest's. Kernel: pmu_intel.c:intel_pmu_deliver_pmi(), the PMU version of a guest being 2.
   */
  injectPmi(vcpu: Vcpu, counter: number): boolean {
    this.enter(vcpu);
    this.exit(vcpu);
    vcpu.global_status |= 1 << counter;
    this.observer.guestPmi(vcpu.id, counter);
    const { vmcs } = vcpu;
    if ((vmcs.guestDebugctl & msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI) !== 0) {
      vmcs.guestDebugctl &= ~msrs.DEBUGCTLMSR_LBR;
    }
    this.policy.deliver_pmi(this, vcpu);
    this.enter(vcpu);
    return true;
  }

  pmiHandled(_vcpu: Vcpu): void {}

  isInRun(vcpu: Vcpu): boolean {
    return !vcpu.inUserspace;
  }

  /** Kernel: kvm_main.c:kvm_vcpu_ioctl(), KVM_RUN, from its start. */
  private run(vcpu: Vcpu): void {
    vcpu.inUserspace = false;
    this.policy.vcpu_load(this, vcpu);
  }

  /** Kernel: the same, to its end. */
  toUserspace(vcpu: Vcpu): void {
    assert(!vcpu.inUserspace, 'a thread leaves KVM_RUN once');
    this.exit(vcpu);
    this.policy.vcpu_put(this, vcpu);
    vcpu.inUserspace = true;
  }

  /** The vCPU's thread leaves its pCPU; inside of KVM_RUN kvm_sched_out() is told. */
  schedOut(vcpu: Vcpu): void {
    const { pcpu } = vcpu;
    assert(pcpu >= 0 && !vcpu.inGuest, 'a vCPU leaves its pCPU after a VM exit');
    if (!vcpu.inUserspace) this.policy.vcpu_put(this, vcpu);
    this.observer.vcpuSwitch(vcpu.id, pcpu, false);
    vcpu.pcpu = -1;
  }

  /** The vCPU's thread arrives on a pCPU; inside of KVM_RUN kvm_sched_in() is told. */
  schedIn(vcpu: Vcpu, pcpu: number): void {
    assert(vcpu.pcpu < 0, 'a vCPU is loaded on one pCPU at a time');
    vcpu.pcpu = pcpu;
    if (!vcpu.inUserspace) {
      this.policy.sched_in(this, vcpu);
      this.policy.vcpu_load(this, vcpu);
    }
    this.observer.vcpuSwitch(vcpu.id, pcpu, true);
  }

  /**
   * Live migration of a vCPU whose thread is off: what the policy's userspace ABI carries arrives
   * on a new vCPU, everything else starts from zero. LBR MSRs, DEBUGCTL and the paravirtual MSR
   * go together: x86.c:msrs_to_save_all[] of 6.1 has none of them. The list of a later KVM has
   * DEBUGCTL alone: it is then set as by a WRMSR, which may bring the policy's event.
   */
  migrate(vcpu: Vcpu): void {
    assert(vcpu.pcpu < 0, 'a vCPU migrates while its thread is off');
    const { vmcs } = vcpu;
    const carried = this.policy.get_state(this, vcpu);
    const listed = !carried && this.policy.listsDebugctl(this);
    const debugctl = carried || listed ? vmx_guest_debugctl_read(vcpu) : 0;
    const pvLbrCtrl = carried ? vcpu.pvLbrCtrl : 0;
    vcpu.clearWords();
    if (!carried) vcpu.records.clear();
    this.setPassthrough(vcpu, false);
    vmcs.guestDebugctl = debugctl;
    vcpu.pvLbrCtrl = pvLbrCtrl;
    this.policy.reset(this, vcpu);
    if (carried) this.policy.set_state(this, vcpu);
    if (listed) this.policy.setDebugctl(this, vcpu);
    if (this.counters !== null) this.policy.reprogram_counters?.(this, vcpu, GENERAL_COUNTERS);
  }

  hostPerfEvent(pcpu: number, loaded: Vcpu | null, on: boolean): void {
    this.policy.host_perf_event(this, pcpu, loaded, on);
  }

  setPassthrough(vcpu: Vcpu, on: boolean, info = true): void {
    if (vcpu.msr_passthrough === on) return;
    vcpu.msr_passthrough = on;
    vcpu.vmcs.setIntercepts(!on);
    const { lbr_info, lbr_nr } = this.model;
    if (info || lbr_info === 0) return;
    for (let i = 0; i < lbr_nr; i++) vcpu.vmcs.setIntercept(lbr_info + i, true);
  }

  interceptSelect(vcpu: Vcpu): void {
    if (this.model.select !== 'none') vcpu.vmcs.setIntercept(msrs.MSR_LBR_SELECT, true);
  }
}

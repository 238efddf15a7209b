/**
 * The KVM of a kernel tree, its own C: part of the host's image. Each vCPU has a thread that calls
 * KVM_RUN, and is left where KVM enters the guest, or where it makes room for another thread
 * (schedule()).
 */
import { counterWord, EVENTSEL_ENABLE, selectedBy } from '../guest/image/counters.js';
import { assert } from '../hw/assert.js';
import { EXIT_REASON, INTR_INFO } from '../hw/vmcs_fields.js';
import type { Vector } from '../hw/msr_port.js';
import { GP_VECTOR } from '../hw/msr_port.js';
import type { Hypervisor, TreeKvm } from '../host/hypervisor.js';
import type { Observer } from '../host/observer.js';
import type { Vcpu } from '../host/vcpu.js';
import type { KvmCode } from './host_code.js';
import type { VmxCpus } from './vmx_cpus.js';

/** x2APIC: the local vector of the PMI, which its delivery masks; as Linux sets it. */
const X2APIC_LVTPC = 0x834;
const X2APIC_SPIV = 0x80f;
const APIC_ENABLED = 0x1ff;
const X2APIC_ICR = 0x830;
/** To itself, which has number 0. */
const APIC_INIT = 0x4500;
const APIC_DM_NMI = 0x400;
const NMI_VECTOR = 2;

/** Counters are KVM's own matter: nothing of LBR is in them, and nobody is told. */
function isSilent(msr: number): boolean {
  return counterWord(msr) >= 0;
}

export class KvmImage implements Hypervisor, TreeKvm {
  edx = 0;
  vector: Vector = 0;
  intercepted: boolean = false;
  readonly tree: TreeKvm = this;
  readonly counters: null = null;
  private readonly code: KvmCode;
  private readonly vmx: VmxCpus;
  private readonly observer: Observer;

  constructor(code: KvmCode, vmx: VmxCpus, observer: Observer) {
    this.code = code;
    this.vmx = vmx;
    this.observer = observer;
  }

  boot(): void {}

  enter(vcpu: Vcpu): void {
    if (vcpu.inGuest) return;
    assert(vcpu.pcpu >= 0, 'a vCPU enters its guest on the pCPU that it is loaded on');
    this.code.runThread(vcpu);
    this.vmx.tellEntry(vcpu);
  }

  /** An interrupt comes for the host, whose handler wants another thread to run. */
  exit(vcpu: Vcpu): void {
    if (!vcpu.inGuest) return;
    this.code.needResched(vcpu);
    this.leave(vcpu, EXIT_REASON.EXTERNAL_INTERRUPT, INTR_INFO.EXTERNAL);
    assert(!vcpu.inGuest, 'a thread that is to make room does');
    this.vmx.looked(vcpu);
  }

  private leave(vcpu: Vcpu, reason: number, interrupted: number): void {
    this.vmx.vmexit(vcpu, reason, interrupted);
    this.code.runThread(vcpu);
  }

  guestRdmsr(vcpu: Vcpu, msr: number): number {
    const eax = this.read(vcpu, msr);
    if (!isSilent(msr)) {
      if (this.vector !== 0) this.observer.guestFault(vcpu.id, msr, false, 0, 0);
      else this.observer.guestRead(vcpu.id, msr, eax, this.edx);
    }
    this.vmx.tellEntry(vcpu);
    return eax;
  }

  private read(vcpu: Vcpu, msr: number): number {
    this.enter(vcpu);
    this.intercepted = vcpu.vmcs.interceptsRead(msr);
    if (!this.intercepted) {
      const cpu = this.code.pcpus[vcpu.pcpu];
      const eax = cpu.rdmsr(msr);
      this.edx = cpu.edx;
      this.vector = cpu.vector;
      return eax;
    }
    this.emulate(vcpu, EXIT_REASON.MSR_READ, msr, 0, 0);
    this.edx = this.vector === 0 ? this.vmx.edx(vcpu) : 0;
    return this.vector === 0 ? this.vmx.eax(vcpu) : 0;
  }

  guestWrmsr(vcpu: Vcpu, msr: number, eax: number, edx: number): Vector {
    this.enter(vcpu);
    let vector: Vector = 0;
    this.intercepted = vcpu.vmcs.interceptsWrite(msr);
    if (this.intercepted) {
      this.emulate(vcpu, EXIT_REASON.MSR_WRITE, msr, eax, edx);
      ({ vector } = this);
    } else {
      vector = this.code.pcpus[vcpu.pcpu].wrmsr(msr, eax, edx);
    }
    if (isSilent(msr)) {
      const counter = selectedBy(msr);
      const isOn = (eax & EVENTSEL_ENABLE) !== 0;
      if (counter >= 0 && vector === 0) this.vmx.setCounter(vcpu, counter, isOn);
    } else {
      if (vector !== 0) this.observer.guestFault(vcpu.id, msr, true, eax, edx);
      else this.observer.guestWrite(vcpu.id, msr, eax, edx);
    }
    this.vmx.tellEntry(vcpu);
    return vector;
  }

  /** KVM carries out an instruction that has exited, and enters the guest again. */
  private emulate(vcpu: Vcpu, reason: number, msr: number, eax: number, edx: number): void {
    this.vmx.setRegisters(vcpu, msr, eax, edx);
    this.leave(vcpu, reason, 0);
    assert(vcpu.inGuest, 'KVM goes on after an access to an MSR');
    this.vector = this.vmx.raisedGp(vcpu) ? GP_VECTOR : 0;
  }

  /**
   * The host's counter behind the guest's overflows while the guest runs. Without one, or if it
   * does not count, the guest's does not overflow either.
   */
  injectPmi(vcpu: Vcpu, counter: number): boolean {
    this.enter(vcpu);
    const idx = this.code.hostCounterOf(vcpu, counter);
    if (idx < 0) {
      const isOn = this.vmx.isCounterOn(vcpu, counter);
      const why = isOn ? this.code.whyNotCounted(vcpu, counter) : null;
      if (why !== null) this.observer.pmiMissed(vcpu.id, why);
      return false;
    }
    this.code.overflow(vcpu.pcpu, idx);
    this.observer.guestPmi(vcpu.id, counter);
    this.leave(vcpu, EXIT_REASON.EXCEPTION_NMI, INTR_INFO.NMI);
    const injected = vcpu.inGuest && this.vmx.injected(vcpu) === NMI_VECTOR;
    if (!injected) this.observer.pmiMissed(vcpu.id, `counter ${counter} overflows without a PMI`);
    this.vmx.tellEntry(vcpu);
    return injected;
  }

  pmiHandled(vcpu: Vcpu): void {
    this.enter(vcpu);
    this.vmx.vmcs(vcpu.id).blockNmis(false);
    this.emulate(vcpu, EXIT_REASON.MSR_WRITE, X2APIC_LVTPC, APIC_DM_NMI, 0);
    assert(this.vector === 0, 'the guest programs its APIC');
    this.vmx.tellEntry(vcpu);
  }

  /** By the ICR, which the vCPU writes itself: its VM has no other. */
  init(vcpu: Vcpu): void {
    this.enter(vcpu);
    this.emulate(vcpu, EXIT_REASON.MSR_WRITE, X2APIC_ICR, APIC_INIT, 0);
    this.emulate(vcpu, EXIT_REASON.MSR_WRITE, X2APIC_SPIV, APIC_ENABLED, 0);
    this.emulate(vcpu, EXIT_REASON.MSR_WRITE, X2APIC_LVTPC, APIC_DM_NMI, 0);
  }

  takeLbr(vcpu: Vcpu, byCpuid: boolean): void {
    this.toUserspace(vcpu);
    if (this.code.takeLbr(vcpu, vcpu.pcpu, byCpuid)) this.observer.lbrTaken();
  }

  lbrLentTo(vcpu: Vcpu): boolean | null {
    return this.code.isLentTo(vcpu);
  }

  hasLbrEvent(vcpu: Vcpu): boolean {
    return this.code.hasLbrEvent(vcpu);
  }

  toggleWatchdog(pcpu: number): void {
    this.code.run(pcpu, 'vlbr_toggle_watchdog');
  }

  overflowWatchdog(pcpu: number): boolean {
    return this.code.overflowWatchdog(pcpu);
  }

  isInRun(vcpu: Vcpu): boolean {
    return this.code.isInRun(vcpu);
  }

  toUserspace(vcpu: Vcpu): void {
    this.exit(vcpu);
    this.code.toUserspace(vcpu);
  }

  hostNmi(vcpu: Vcpu): void {
    this.leave(vcpu, EXIT_REASON.EXCEPTION_NMI, INTR_INFO.NMI);
    this.vmx.tellEntry(vcpu);
  }

  interrupt(pcpu: number, what: number, after: number): void {
    this.vmx.interrupt(pcpu, what, after);
  }

  toggleFreezeOnSmi(): void {
    for (const pcpu of this.code.pcpus.keys()) this.code.run(pcpu, 'vlbr_flip_smm_bit');
  }

  schedOut(vcpu: Vcpu, next: number): void {
    const { pcpu } = vcpu;
    assert(pcpu >= 0 && !vcpu.inGuest, 'a vCPU leaves its pCPU after a VM exit');
    this.code.runFor(vcpu, pcpu, 'vlbr_fire_sched_out', this.code.task(next));
    this.observer.vcpuSwitch(vcpu.id, pcpu, false);
    vcpu.pcpu = -1;
  }

  schedIn(vcpu: Vcpu, pcpu: number): void {
    assert(vcpu.pcpu < 0, 'a vCPU is loaded on one pCPU at a time');
    vcpu.pcpu = pcpu;
    this.code.runFor(vcpu, pcpu, 'vlbr_fire_sched_in');
    this.observer.vcpuSwitch(vcpu.id, pcpu, true);
  }

  hostPerfEvent(): void {}

  /** Its thread is on a pCPU, for as long as that takes. */
  migrate(vcpu: Vcpu): void {
    this.toUserspace(vcpu);
    this.code.migrate(vcpu);
  }

  lentOut(pcpu: number): boolean {
    return this.code.isLentOn(pcpu);
  }
}

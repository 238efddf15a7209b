/**
 * The reference machine: each vCPU's guest on a pCPU of its own. Until a guest reads something
 * that it would not have read there, or meets a fault that it would not have met, the two are the
 * same guest, for a guest depends on its memory and its accesses alone; so the reference needs no
 * kernel of its own, only its registers, driven by the same accesses and branches.
 */
import { MSR_KVM_PV_LBR_CTRL } from '../guest/pv/kvm_para.js';
import * as branch from '../hw/branch.js';
import { LBR_FORMAT_EIP_FLAGS2, type CpuModel } from '../hw/cpu_models.js';
import { KIND_FROM, KIND_INFO, KIND_NONE, KIND_TO, type LbrMap, lbrMap } from '../hw/lbr_map.js';
import { LogicalProcessor } from '../hw/logical_processor.js';
import { Layout, Memory } from '../hw/memory.js';
import * as msrs from '../hw/msr_index.js';
import { hex64 } from '../hw/u64.js';
import { cyclesOf, type MachineConfig, mispredicted, totalVcpus } from '../machine/config.js';
import { CALL_RDMSR, CALL_WRMSR } from '../machine/guest_call.js';
import type { Machine } from '../machine/machine.js';
import { guestKernelConfig } from '../machine/machine_layout.js';
import { Remembering } from './check.js';
import type { Verdicts } from './verdicts.js';
import { PROPERTY, REACH } from './properties.js';

const IN_TX_OR_ABORT_HI: number = msrs.LBR_FROM_FLAG_IN_TX_HI | msrs.LBR_FROM_FLAG_ABORT_HI;

/** DEBUGCTL bits that KVM lets a guest set, where the guest has transactions and where not. */
const GUEST_DEBUGCTL: number = msrs.DEBUGCTLMSR_LBR | msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const WITH_TSX: number = GUEST_DEBUGCTL | msrs.DEBUGCTLMSR_RTM_DEBUG;

/** Those that are dropped without a fault where there is no such thing. */
const DROPPED: number = msrs.DEBUGCTLMSR_BTF | msrs.DEBUGCTLMSR_LBR;

/** MSRs besides the LBR's that a guest has; perf writes nothing to them that faults. */
const EMULATED: readonly number[] = [
  msrs.MSR_IA32_DEBUGCTLMSR,
  msrs.MSR_IA32_PERF_CAPABILITIES,
  msrs.MSR_CORE_PERF_GLOBAL_STATUS,
  msrs.MSR_CORE_PERF_GLOBAL_CTRL,
  msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL,
  MSR_KVM_PV_LBR_CTRL,
];

/**
 * The registers of the reference machine, and what follows from comparing each read of a guest with
 * them: `no-loss`, `no-leak/vm`, `no-premature-stop` and the guests' part of `no-fault`. It also
 * decides who answers for a wrong sample: the host, or the guest's kernel by itself.
 */
export class Reference extends Remembering {
  readonly model: CpuModel;
  private readonly map: LbrMap;
  /** Whether a guest has LBR at all; the registers below are never recorded if not. */
  private readonly hasLbr: boolean;
  private readonly registers: LogicalProcessor[] = [];
  /** The registers of all vCPUs, for checks that read many of them. */
  readonly words: Int32Array;
  private readonly machine: () => Machine;
  private readonly verdicts: Verdicts;
  /**
   * Per VM: it has read what it would not have read on the reference machine, or an access of its
   * has faulted on one of the two machines alone. It is no longer the same guest.
   */
  private readonly tainted: Uint8Array = this.bytes('vm');
  /** Per VM: it has written an MSR outside of its perf. */
  private readonly rawWrites: Uint8Array = this.bytes('vm');
  /** Per vCPU: it has read something wrong since its PMI handler last read the status. */
  private readonly wrongReads: Uint8Array = this.bytes('vcpu');
  /** Per vCPU: its stack there may be empty, so that its TOS means nothing. */
  private readonly mayBeEmpty: Uint8Array = this.hint(new Uint8Array(totalVcpus(this.config)), 1);
  /** Per vCPU: somebody else has had records in registers since this vCPU's were there. */
  private readonly other: Uint8Array = this.hint(new Uint8Array(totalVcpus(this.config)));
  /** Per vCPU: see `newTos`. */
  private readonly takenTos: Int32Array = this.hint(new Int32Array(totalVcpus(this.config)), -1);
  /** Per vCPU: the policy took its guest to have stopped while it had records. */
  private readonly dropped: Uint8Array = this.bytes('vcpu');

  constructor(config: MachineConfig, machine: () => Machine, verdicts: Verdicts) {
    super(config);
    // The reference CPU really has the PMU version that KVM advertises to the guest.
    const { pmu_version } = guestKernelConfig(config);
    this.model = { ...config.model, pmu_version };
    this.map = lbrMap(this.model);
    this.hasLbr = config.policy.withoutGuestLbr !== true;
    this.machine = machine;
    this.verdicts = verdicts;
    const layout = new Layout();
    const length = totalVcpus(config);
    const at = Array.from({ length }, () => LogicalProcessor.allocate(layout, this.model));
    const memory = new Memory(layout);
    this.words = this.keep('vcpu', memory.words, 0, 'registers');
    for (const o of at) this.registers.push(new LogicalProcessor(memory, this.model, o));
  }

  /** Assumes that others have used the registers, and forgets hints. */
  forget(): void {
    this.other.fill(1);
    this.mayBeEmpty.fill(1);
  }

  /** The registers hold records of `holder`, a vCPU or HOST, and of no other vCPU. */
  noteHolder(holder: number): void {
    for (let v = 0; v < this.other.length; v++) if (v !== holder) this.other[v] = 1;
  }

  /** Whether somebody else has had records in registers since the vCPU's were there. */
  otherWasThere(vcpu: number): boolean {
    return this.other[vcpu] !== 0;
  }

  /** The policy takes the guest to have stopped. Returns whether this drops records anew. */
  drop(vcpu: number): boolean {
    if (this.dropped[vcpu] !== 0 || this.registers[vcpu].stack.empty) return false;
    this.dropped[vcpu] = 1;
    return true;
  }

  /** The registers of a vCPU's own pCPU. */
  of(vcpu: number): LogicalProcessor {
    return this.registers[vcpu];
  }

  /** Whether the reference machine would record the guest now. */
  lbrOn(vcpu: number): boolean {
    return (this.registers[vcpu].debugctl & msrs.DEBUGCTLMSR_LBR) !== 0;
  }

  isLbr(msr: number): boolean {
    return this.map.kind(msr) !== KIND_NONE;
  }

  /** Whether a guest's reads of an MSR must be those of the reference machine. */
  isCompared(msr: number): boolean {
    return this.isLbr(msr) || msr === msrs.MSR_IA32_DEBUGCTLMSR;
  }

  vm(vcpu: number): number {
    return this.machine().vcpus[vcpu].vm;
  }

  inCallstackMode(vcpu: number): boolean {
    const { cpuc } = this.machine().cpu(vcpu);
    const { lbr_select } = this.registers[vcpu].stack;
    return cpuc.lbr_users > 0 && (lbr_select & msrs.LBR_CALL_STACK) !== 0;
  }

  /** Whether the vCPU runs a raw access, outside of its perf. */
  rawAccess(vcpu: number): boolean {
    const fn = this.machine().runningCall(vcpu);
    return fn === CALL_RDMSR || fn === CALL_WRMSR;
  }

  /** A kernel function has returned: notes whether it was a raw write. */
  idle(vcpu: number): void {
    if (this.machine().runningCall(vcpu) === CALL_WRMSR) this.rawWrites[this.vm(vcpu)] = 1;
  }

  /** Whether the registers of a VM are what its perf has made of them. */
  perfOwns(vcpu: number): boolean {
    return this.rawWrites[this.vm(vcpu)] === 0;
  }

  /**
   * A sample is wrong. It is the host's doing if the reads that it was made from were wrong. If
   * all of them were right, now and before, the same sample is taken on the reference machine,
   * and it is the kernel's own, as is what an NMI inside a kernel function sees of that function.
   */
  wrongSample(vcpu: number, property: number, detail: () => string): void {
    const { nested } = this.machine().ports[vcpu];
    if (this.wrongReads[vcpu] !== 0 && !nested) this.verdicts.breaks(property, detail);
    else this.wrongAnywhere(vcpu, property, detail);
  }

  /**
   * Reports a failure as the guest kernel's own. Says nothing once the VM is tainted, since the
   * guest may have diverged.
   */
  wrongAnywhere(vcpu: number, property: number, detail: () => string): void {
    if (this.tainted[this.vm(vcpu)] === 0) this.verdicts.breaksOwn(property, detail);
  }

  read(vcpu: number, msr: number, eax: number, edx: number): void {
    const lbr = this.isLbr(msr);
    // The PMI handler reads the status, and then what its sample is made from.
    if (msr === msrs.MSR_CORE_PERF_GLOBAL_STATUS) this.wrongReads[vcpu] = 0;
    if (!this.isCompared(msr)) return;
    const registers = this.registers[vcpu];
    const wanted = registers.rdmsr(msr);
    const wantedHi = registers.edx;
    const empty = (wanted | wantedHi) === 0;
    if (lbr && this.other[vcpu] !== 0) this.countRead(vcpu, empty);
    if (eax === wanted && ((edx ^ wantedHi) & ~this.freeBits(msr)) === 0) {
      if (lbr && !empty) this.dropped[vcpu] = 0;
    } else if (msr === msrs.MSR_LBR_TOS && this.bothEmpty(vcpu)) {
      this.takeTos(vcpu, eax);
    } else {
      this.wrongRead(vcpu, msr, eax, edx, wanted, wantedHi);
    }
  }

  /**
   * Bits of edx that need not be kept: a part without TSX refuses to be given back the FROM that
   * it captured (HSD172, HSM182), so bits 62:61 come back sign-extended from any hypervisor.
   */
  freeBits(msr: number): number {
    const { lbr_format, tsx } = this.model;
    const quirk = lbr_format === LBR_FORMAT_EIP_FLAGS2 && !tsx;
    return quirk && this.map.kind(msr) === KIND_FROM ? IN_TX_OR_ABORT_HI : 0;
  }

  private countRead(vcpu: number, empty: boolean): void {
    const { reach } = this.verdicts;
    reach[REACH['foreign-in-registers']]++;
    if (empty) return;
    reach[REACH['read-after-other']]++;
    if (this.inCallstackMode(vcpu)) reach[REACH['callstack-read-after-other']]++;
  }

  /**
   * Whether the guest has no record here nor on the reference machine. Then TOS may be anything:
   * perf's own reset leaves it as it was, and no record is lost by it.
   */
  private bothEmpty(vcpu: number): boolean {
    const { pcpu, records, msr_passthrough } = this.machine().vcpus[vcpu];
    if (!this.registers[vcpu].stack.empty) return false;
    return (msr_passthrough ? this.machine().pcpus[pcpu].stack : records).empty;
  }

  /** Gives a stack without records the TOS that the machine happens to have. */
  private takeTos(vcpu: number, tos: number): void {
    this.registers[vcpu].wrmsr(msrs.MSR_LBR_TOS, tos, 0);
    this.takenTos[vcpu] = tos;
  }

  /** The TOS that a vCPU's stack was given last while empty, if since the last call; else -1. */
  newTos(vcpu: number): number {
    const tos = this.takenTos[vcpu];
    this.takenTos[vcpu] = -1;
    return tos;
  }

  private wrongRead(
    vcpu: number,
    msr: number,
    eax: number,
    edx: number,
    wanted: number,
    wantedHi: number,
  ): void {
    const { verdicts } = this;
    const owner = recordOwner(this.map, msr, eax, edx);
    const text = (): string =>
      `v${vcpu}: RDMSR 0x${msr.toString(16)} returned ${hex64(eax, edx)}${whose(owner)}, ` +
      `instead of ${hex64(wanted, wantedHi)}`;
    this.tainted[this.vm(vcpu)] = 1;
    this.wrongReads[vcpu] = 1;
    verdicts.breaks(PROPERTY['no-loss/any'], text);
    if (this.isLbr(msr)) {
      if (this.inCallstackMode(vcpu)) verdicts.breaks(PROPERTY['no-loss/callstack'], text);
      const lost = (wanted | wantedHi) !== 0;
      if (lost && this.dropped[vcpu] !== 0) verdicts.breaks(PROPERTY['no-premature-stop'], text);
    }
    if (owner >= 0 && owner !== this.vm(vcpu)) verdicts.breaks(PROPERTY['no-leak/vm'], text);
  }

  /** A write that is dropped is lost, and takes no value that it should refuse. */
  write(vcpu: number, msr: number, eax: number, edx: number, isDropped: boolean = false): void {
    const registers = this.registers[vcpu];
    if (msr === msrs.MSR_IA32_DEBUGCTLMSR) {
      registers.wrmsr(msr, eax & this.guestDebugctl(), 0);
      if (this.writeFaults(msr, eax, edx)) this.notRefused(vcpu, msr);
      return;
    }
    if (!this.isLbr(msr)) return;
    this.mayBeEmpty[vcpu] = 1;
    const vector = registers.wrmsr(msr, eax, edx);
    this.forgetDropped(vcpu);
    if (vector !== 0 && !isDropped) this.notRefused(vcpu, msr);
  }

  private notRefused(vcpu: number, msr: number): void {
    this.tainted[this.vm(vcpu)] = 1;
    this.verdicts.breaks(
      PROPERTY['no-fault'],
      () => `v${vcpu}: WRMSR 0x${msr.toString(16)} took a value that it should refuse`,
    );
  }

  /**
   * A fault is wrong where the reference machine has none, and perf's own where it has one and it
   * is still the same guest. A wrong one taints what follows as a wrong read does; a read that
   * faults is a read of zeros. A write that faults is not made on the reference registers either:
   * the fault is what counts, and not each later read of what the register still holds.
   */
  fault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    const faultsThere = this.faultsThere(msr, write, eax, edx);
    // The guest has asked for what others have there, and has got nothing.
    if (faultsThere && !write && this.isLbr(msr) && this.other[vcpu] !== 0) {
      this.verdicts.reach[REACH['foreign-in-registers']]++;
    }
    const text = (): string =>
      `v${vcpu}: #GP on ${write ? 'WRMSR' : 'RDMSR'} 0x${msr.toString(16)}`;
    if (!faultsThere) {
      this.tainted[this.vm(vcpu)] = 1;
      if (!write && this.isCompared(msr) && !this.isZero(vcpu, msr)) this.wrongReads[vcpu] = 1;
      this.verdicts.breaks(PROPERTY['no-fault'], text);
    } else if (!this.rawAccess(vcpu) && !this.machine().ports[vcpu].expectsFault) {
      this.wrongAnywhere(vcpu, PROPERTY['no-fault'], text);
    }
  }

  /** Whether an access of a guest faults on a pCPU of its own. */
  faultsThere(msr: number, write: boolean, eax: number, edx: number): boolean {
    if (write) return this.writeFaults(msr, eax, edx);
    return !this.guestHas(msr);
  }

  /** Whether a guest has an MSR. */
  private guestHas(msr: number): boolean {
    return EMULATED.includes(msr) || (this.hasLbr && this.isLbr(msr));
  }

  private isZero(vcpu: number, msr: number): boolean {
    const registers = this.registers[vcpu];
    return (registers.rdmsr(msr) | registers.edx) === 0;
  }

  private guestDebugctl(): number {
    const allowed = this.model.tsx ? WITH_TSX : GUEST_DEBUGCTL;
    return this.hasLbr ? allowed : allowed & ~GUEST_DEBUGCTL;
  }

  /** Whether WRMSR of a guest's MSR is to fault: by the silicon, or by what KVM emulates. */
  private writeFaults(msr: number, eax: number, edx: number): boolean {
    if (this.isLbr(msr)) return !this.hasLbr || this.map.faults(msr, eax, edx);
    if (msr === msrs.MSR_IA32_DEBUGCTLMSR) {
      return edx !== 0 || (eax & ~(this.guestDebugctl() | DROPPED)) !== 0;
    }
    return msr === msrs.MSR_IA32_PERF_CAPABILITIES || !EMULATED.includes(msr);
  }

  branch(vcpu: number, kind: number, cpl: number, seq: number, fromHi: number, toHi: number): void {
    const registers = this.registers[vcpu];
    if (kind === branch.BRANCH_RET) this.mayBeEmpty[vcpu] = 1;
    if (!registers.recording) return;
    if (kind !== branch.BRANCH_RET && registers.captures(kind, cpl)) this.mayBeEmpty[vcpu] = 0;
    const cycles = cyclesOf(this.config, branch.addressedVm(this.vm(vcpu)), seq);
    const missed = mispredicted(this.config, seq);
    registers.branch(kind, cpl, seq, fromHi, seq, toHi, missed, cycles);
    if (kind === branch.BRANCH_RET) this.forgetDropped(vcpu);
  }

  /**
   * The guest has emptied its stack, so no later read can ask for the records that the policy
   * dropped.
   */
  private forgetDropped(vcpu: number): void {
    if (this.dropped[vcpu] !== 0 && this.registers[vcpu].stack.empty) this.dropped[vcpu] = 0;
  }

  /** Forgets the vCPU, which will never read a record; keeps only whether branches are recorded. */
  retire(vcpu: number): void {
    this.registers[vcpu].stack.clear();
    this.dropped[vcpu] = 0;
  }

  /**
   * To be called before hardware records. The TOS of an empty stack is arbitrary, so the reference
   * takes over the real one.
   */
  beforeRecord(vcpu: number): void {
    if (this.mayBeEmpty[vcpu] === 0) return;
    if (this.bothEmpty(vcpu)) {
      const { pcpu } = this.machine().vcpus[vcpu];
      this.takeTos(vcpu, this.machine().pcpus[pcpu].stack.tos);
    }
  }

  pmi(vcpu: number, counter: number): void {
    const registers = this.registers[vcpu];
    const before = registers.debugctl;
    registers.counterOverflow(counter);
    if (registers.debugctl !== before) this.verdicts.reach[REACH['legacy-freeze']]++;
  }
}

/** VM whose record a register value is part of; -1 for an empty or an ownerless register. */
function recordOwner(map: LbrMap, msr: number, eax: number, edx: number): number {
  if ((eax | edx) === 0) return -1;
  switch (map.kind(msr)) {
    case KIND_FROM:
    case KIND_TO:
      return branch.addressVm(edx);
    case KIND_INFO:
      return (eax >>> 13) & 7;
    default:
      return -1;
  }
}

function whose(owner: number): string {
  if (owner < 0) return '';
  return owner === branch.HOST_VM ? ", the host's" : `, of VM ${owner}`;
}

/** Counts what LBR costs, vCPU by vCPU, and what guests have read wrong. */
import { MSR_KVM_PV_LBR_CTRL } from '../../guest/pv/kvm_para.js';
import { HOST, Observer } from '../../host/observer.js';
import { recordedVm } from '../../hw/branch.js';
import { KIND_FROM, KIND_NONE, KIND_TO, type LbrMap, lbrMap } from '../../hw/lbr_map.js';
import * as msrs from '../../hw/msr_index.js';
import { Reference } from '../../judge/reference.js';
import { Verdicts } from '../../judge/verdicts.js';
import { PROPERTY } from '../../judge/properties.js';
import type { MachineConfig } from '../../machine/config.js';
import { totalVcpus } from '../../machine/config.js';
import { Machine } from '../../machine/machine.js';
import type { CostTable } from './cost_table.js';

/** What is counted of a vCPU. PRICED has those that have a price. */
export const COUNTS = [
  /** Accesses that the host makes: KVM, or perf for KVM's event. */
  'reads',
  'writes',
  'selects',
  /** Exits that intercepted LBR MSRs, or the paravirtual MSR, cause. */
  'exits',
  /** Times that the MSR bitmap was opened or closed. */
  'bitmaps',
  /** Times that perf made or released the guest LBR event. */
  'events',
  /** Whole stacks that the host saved, restored and wiped. */
  'saves',
  'restores',
  'wipes',
  /** Of the host's accesses, those for a guest none of whose tasks has an LBR event. */
  'needless',
  /** Accesses of the guest's own kernel to LBR MSRs. */
  'guestReads',
  'guestWrites',
  /** Reads of the guest that gave another value than on a pCPU of its own; and another VM's. */
  'wrong',
  'foreign',
  /** Samples of the guest. */
  'samples',
  /** Times that the vCPU came to a pCPU. */
  'arrivals',
] as const;
export type Count = (typeof COUNTS)[number];

/** Counts of one vCPU, in the order of COUNTS. */
export type Counts = Float64Array;

const AT = Object.fromEntries(COUNTS.map((name, i) => [name, i])) as Record<Count, number>;

export function countOf(counts: Counts, name: Count): number {
  return counts[AT[name]];
}

const PRICES = {
  reads: 'read',
  writes: 'write',
  selects: 'select',
  exits: 'exit',
  bitmaps: 'bitmap',
  events: 'event',
} as const;
export const PRICED: readonly (keyof typeof PRICES)[] = Object.keys(
  PRICES,
) as (keyof typeof PRICES)[];

/** The name in the cost table of what is counted. */
export function priceNameOf(count: keyof typeof PRICES): (typeof PRICES)[keyof typeof PRICES] {
  return PRICES[count];
}

/** Cycles of the host, of all that has a price. */
export function cyclesOfCounts(counts: Counts, costs: CostTable): number {
  return PRICED.reduce((sum, name) => sum + countOf(counts, name) * costs[PRICES[name]].value, 0);
}

/** Verdicts that only say how often a guest has read something wrong. */
class WrongReads extends Verdicts {
  wrong = 0;

  override breaks(property: number, _detail: () => string): void {
    if (property === PROPERTY['no-loss/any']) this.wrong++;
  }

  override breaksOwn(_property: number, _detail: () => string): void {}
}

/** A machine whose costs are counted. Nothing is counted before `open`. */
export class Ledger extends Observer {
  readonly machine: Machine;
  /** Per vCPU. */
  readonly counts: readonly Counts[];
  /** Per vCPU: whether a task of its guest has an LBR event. The workload says so. */
  readonly using: Uint8Array;
  /** Accesses of all guests to any MSR. */
  guestAccesses = 0;
  private readonly verdicts = new WrongReads();
  private readonly reference: Reference;
  private readonly map: LbrMap;
  private counting = false;

  constructor(config: MachineConfig) {
    super();
    const vcpus = totalVcpus(config);
    this.map = lbrMap(config.model);
    this.counts = Array.from({ length: vcpus }, () => new Float64Array(COUNTS.length));
    this.using = new Uint8Array(vcpus);
    this.reference = new Reference(config, () => this.machine, this.verdicts);
    this.machine = new Machine(config, this);
    this.hearKvm();
    this.machine.boot();
  }

  /** From now on things count. */
  open(): void {
    this.counting = true;
  }

  /** The bitmap, and the events of guests, are no MSR accesses: nobody else is told of them. */
  private hearKvm(): void {
    const { host, kvm } = this.machine;
    const setPassthrough = kvm.setPassthrough.bind(kvm);
    kvm.setPassthrough = (vcpu, on, info): void => {
      if (vcpu.msr_passthrough !== on) this.add(vcpu.id, 'bitmaps');
      setPassthrough(vcpu, on, info);
    };
    const create = host.createGuestLbrEvent.bind(host);
    host.createGuestLbrEvent = (vcpu, kind): void => {
      this.add(vcpu.id, 'events');
      create(vcpu, kind);
    };
    const release = host.releaseGuestLbrEvent.bind(host);
    host.releaseGuestLbrEvent = (vcpu): void => {
      if (host.guestLbrEvent(vcpu) !== 'none') this.add(vcpu.id, 'events');
      release(vcpu);
    };
  }

  private add(vcpu: number, name: Count, n = 1): void {
    if (this.counting) this.counts[vcpu][AT[name]] += n;
  }

  /** Accesses of the host on a pCPU. perf makes them for the vCPU whose thread comes or goes. */
  private host(pcpu: number, onBehalf: number, name: Count, n: number): void {
    const vcpu = onBehalf === HOST ? (this.machine.loaded(pcpu)?.id ?? -1) : onBehalf;
    if (vcpu < 0) return;
    this.add(vcpu, name, n);
    const isAccess = name === 'reads' || name === 'writes' || name === 'selects';
    if (isAccess && this.using[vcpu] === 0) this.add(vcpu, 'needless', n);
  }

  /** As perf does it, for the stack of the guest LBR event; KVM's own come as `hostStack`. */
  override hostAccess(pcpu: number, onBehalf: number, msr: number, write: boolean): void {
    const ofSelect = msr === msrs.MSR_LBR_SELECT;
    this.host(pcpu, onBehalf, write ? (ofSelect ? 'selects' : 'writes') : 'reads', 1);
    if (onBehalf !== HOST) return;
    if (msr === msrs.MSR_LBR_TOS) this.host(pcpu, HOST, write ? 'restores' : 'saves', 1);
  }

  override hostStack(
    pcpu: number,
    onBehalf: number,
    accesses: number,
    write: boolean,
    zeroes = false,
  ): void {
    this.host(pcpu, onBehalf, write ? 'writes' : 'reads', accesses);
    this.host(pcpu, onBehalf, !write ? 'saves' : zeroes ? 'wipes' : 'restores', 1);
  }

  /** An access of a guest. The hypervisor knows of the last one whether it was intercepted. */
  private access(vcpu: number, msr: number, name: 'guestReads' | 'guestWrites'): void {
    this.guestAccesses++;
    const isLbr = this.map.kind(msr) !== KIND_NONE;
    if (!isLbr && msr !== MSR_KVM_PV_LBR_CTRL) return;
    if (isLbr) this.add(vcpu, name);
    if (this.machine.hypervisor.intercepted) this.add(vcpu, 'exits');
  }

  override guestRead(vcpu: number, msr: number, eax: number, edx: number): void {
    this.access(vcpu, msr, 'guestReads');
    this.verdicts.wrong = 0;
    this.reference.read(vcpu, msr, eax, edx);
    if (this.verdicts.wrong === 0) return;
    this.add(vcpu, 'wrong');
    const kind = this.map.kind(msr);
    const names = kind === KIND_FROM || kind === KIND_TO;
    if (names && (eax | edx) !== 0 && recordedVm(edx, eax) !== this.machine.vcpus[vcpu].vm) {
      this.add(vcpu, 'foreign');
    }
  }

  override guestWrite(vcpu: number, msr: number, eax: number, edx: number): void {
    this.access(vcpu, msr, 'guestWrites');
    this.reference.write(vcpu, msr, eax, edx);
  }

  override guestFault(vcpu: number, msr: number, write: boolean, eax: number, edx: number): void {
    this.access(vcpu, msr, write ? 'guestWrites' : 'guestReads');
    this.verdicts.wrong = 0;
    this.reference.fault(vcpu, msr, write, eax, edx);
    if (!write && !this.reference.faultsThere(msr, write, eax, edx)) this.add(vcpu, 'wrong');
  }

  override guestBranch(
    vcpu: number,
    kind: number,
    cpl: number,
    seq: number,
    fromHi: number,
    toHi: number,
  ): void {
    if (this.reference.of(vcpu).recording) this.reference.beforeRecord(vcpu);
    this.reference.branch(vcpu, kind, cpl, seq, fromHi, toHi);
  }

  override guestPmi(vcpu: number, counter: number): void {
    this.reference.pmi(vcpu, counter);
  }

  override guestSample(vcpu: number): void {
    this.add(vcpu, 'samples');
  }

  override vcpuSwitch(vcpu: number, _pcpu: number, scheduledIn: boolean): void {
    if (scheduledIn) this.add(vcpu, 'arrivals');
  }
}

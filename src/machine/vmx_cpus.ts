/**
 * The VMX of the pCPUs, for a KVM that runs as C code: which VMCS is current where, and how a guest
 * is entered and left. KVM knows a VMCS by the address of its region.
 */
import type { ImageInstance } from '../guest/image/instance.js';
import type { VmxHooks } from '../guest/image/vmx_hooks.js';
import { assert } from '../hw/assert.js';
import { KIND_NONE, lbrMap } from '../hw/lbr_map.js';
import type { LogicalProcessor } from '../hw/logical_processor.js';
import { GP_VECTOR } from '../hw/msr_port.js';
import { EXIT_REASON, FieldVmcs } from '../hw/vmcs_fields.js';
import type { Observer } from '../host/observer.js';
import type { Vcpu } from '../host/vcpu.js';

/** Words of a vCPU. */
const REGION = 0;
/** Address of the guest's general registers while it runs. */
const REGISTERS = 1;
/** Whether it has left the guest, and the host's state was not looked at since. */
const LEFT = 2;
/** The vector that the last entry has injected, or 0. */
const INJECTED = 3;
/** Whether it has entered the guest, and nobody was told: 1, with the host's DEBUGCTL above. */
const ENTERED = 4;
/** The counters that the guest has enabled in PERFEVTSEL, as a mask. */
const COUNTERS_ON = 5;
/** DEBUGCTL of the guest at its last VM exit, plus one; 0 before the first exit. */
const HAD = 6;
const WORDS = 7;

/** Words of a pCPU: the region of the VMCS that is current there. */
const CURRENT = 0;
/** The interrupt that waits there: one more than how often it is passed over, and what it does. */
const WAITS = 1;
const INTERRUPT = 2;
const PCPU_WORDS = 3;

/** Numbers of general registers, of 8 bytes each. */
const RAX = 0;
const RCX = 1;
const RDX = 2;
const REGISTER_BYTES = 8;

export class VmxCpus implements VmxHooks {
  high = 0;
  private readonly vcpus: readonly Vcpu[];
  private readonly pcpus: readonly LogicalProcessor[];
  private readonly observer: Observer;
  private readonly words: Int32Array;
  private instance: ImageInstance | null = null;
  private interrupted: (pcpu: number, what: number) => void = () => {};
  /** The vCPU whose VMCS is being made, or -1. */
  private making = -1;

  /** @param words - as many as `vmxWords` says. */
  constructor(
    vcpus: readonly Vcpu[],
    pcpus: readonly LogicalProcessor[],
    observer: Observer,
    words: Int32Array,
  ) {
    this.vcpus = vcpus;
    this.pcpus = pcpus;
    this.observer = observer;
    this.words = words;
  }

  static wordsFor(vcpus: number, pcpus: number): number {
    return vcpus * WORDS + pcpus * PCPU_WORDS;
  }

  /** The kernel's memory, to which the addresses belong. */
  attach(instance: ImageInstance): void {
    this.instance = instance;
    const host = {
      word: (address: number): number => instance.readInt(address),
      setWord: (address: number, value: number): void => instance.writeInt(address, value),
      byte: (address: number): number =>
        (instance.readInt(address & ~3) >> (8 * (address & 3))) & 0xff,
    };
    for (const { id } of this.vcpus) this.vmcs(id).host = host;
  }

  /** What an interrupt of the host's does. */
  onInterrupt(interrupted: (pcpu: number, what: number) => void): void {
    this.interrupted = interrupted;
  }

  private memory(): ImageInstance {
    assert(this.instance !== null, 'a hypervisor has memory');
    return this.instance;
  }

  vmcs(vcpu: number): FieldVmcs {
    const { vmcs } = this.vcpus[vcpu];
    assert(vmcs instanceof FieldVmcs, 'the VMCS of a KVM that runs has all fields');
    return vmcs;
  }

  /** The region that KVM uses next and that is nobody's is that of a vCPU. */
  make(vcpu: number, making: () => void): void {
    this.words[vcpu * WORDS + REGION] = 0;
    this.words[vcpu * WORDS + HAD] = 0;
    this.making = vcpu;
    making();
    this.making = -1;
  }

  private pcpuWord(pcpu: number, word: number): number {
    return this.vcpus.length * WORDS + pcpu * PCPU_WORDS + word;
  }

  private ownerOf(region: number): number {
    return this.vcpus.findIndex(({ id }) => this.words[id * WORDS + REGION] === region);
  }

  isCurrent(cpu: number): boolean {
    return this.words[this.pcpuWord(cpu, CURRENT)] !== 0;
  }

  /** The vCPU whose VMCS is current on a pCPU. */
  private current(cpu: number): Vcpu {
    const region = this.words[this.pcpuWord(cpu, CURRENT)];
    const owner = this.ownerOf(region);
    assert(region !== 0 && owner >= 0, 'a VMCS is current where it is used');
    return this.vcpus[owner];
  }

  vmread(cpu: number, field: number): number {
    const vmcs = this.vmcs(this.current(cpu).id);
    const low = vmcs.read(field);
    this.high = vmcs.high;
    return low;
  }

  vmwrite(cpu: number, field: number, low: number, high: number): void {
    this.vmcs(this.current(cpu).id).write(field, low, high);
  }

  vmclear(region: number): void {
    for (let i = 0; i < this.pcpus.length; i++) {
      const at = this.pcpuWord(i, CURRENT);
      if (this.words[at] === region) this.words[at] = 0;
    }
    if (this.making < 0 || this.words[this.making * WORDS + REGION] !== 0) return;
    const former = this.ownerOf(region);
    if (former >= 0) this.words[former * WORDS + REGION] = 0;
    this.words[this.making * WORDS + REGION] = region;
    this.vmcs(this.making).clear();
  }

  vmptrld(cpu: number, region: number): void {
    this.words[this.pcpuWord(cpu, CURRENT)] = region;
  }

  vmenter(cpu: number, registers: number): boolean {
    const vcpu = this.current(cpu);
    const at = vcpu.id * WORDS;
    if (this.words[at + LEFT] !== 0) this.looked(vcpu);
    const vmcs = this.vmcs(vcpu.id);
    const { debugctl } = this.pcpus[cpu];
    if (!vmcs.enterFrom(this.pcpus[cpu])) {
      this.observer.entryFailed(vcpu.id);
      vmcs.exitTo(this.pcpus[cpu], EXIT_REASON.INVALID_STATE, 0);
      return false;
    }
    vcpu.inGuest = true;
    this.words[at + REGISTERS] = registers;
    this.words[at + INJECTED] = vmcs.takeInjected();
    this.words[at + ENTERED] = (debugctl << 1) | 1;
    return true;
  }

  /** Tells of an entry, if there was one since the last was told and the guest still runs. */
  tellEntry(vcpu: Vcpu): void {
    const at = vcpu.id * WORDS + ENTERED;
    const entered = this.words[at];
    if (entered === 0) return;
    this.words[at] = 0;
    const had = this.words[vcpu.id * WORDS + HAD] - 1;
    if (vcpu.inGuest) this.observer.entered(vcpu.id, entered >>> 1, had);
  }

  /** The guest has written PERFEVTSEL of a counter. */
  setCounter({ id }: Vcpu, counter: number, isOn: boolean): void {
    const at = id * WORDS + COUNTERS_ON;
    if (isOn) this.words[at] |= 1 << counter;
    else this.words[at] &= ~(1 << counter);
  }

  isCounterOn({ id }: Vcpu, counter: number): boolean {
    return (this.words[id * WORDS + COUNTERS_ON] & (1 << counter)) !== 0;
  }

  /** An interrupt of the host's is to come inside KVM, after `after` places where it could. */
  interrupt(pcpu: number, what: number, after: number): void {
    this.words[this.pcpuWord(pcpu, WAITS)] = after + 1;
    this.words[this.pcpuWord(pcpu, INTERRUPT)] = what;
  }

  /** It comes at once at an LBR MSR: then what KVM has just looked at changes before it is used. */
  interruptible(cpu: number, msr: number): void {
    const at = this.pcpuWord(cpu, WAITS);
    if (this.words[at] === 0) return;
    if (msr === 0) this.words[at]--;
    else if (this.isLbr(msr)) this.words[at] = 0;
    if (this.words[at] === 0) this.interrupted(cpu, this.words[this.pcpuWord(cpu, INTERRUPT)]);
  }

  private isLbr(msr: number): boolean {
    return lbrMap(this.pcpus[0].model).kind(msr) !== KIND_NONE;
  }

  /** VM exit, for a reason and with what interrupted, or 0. */
  vmexit(vcpu: Vcpu, reason: number, interrupted: number): void {
    const cpu = this.pcpus[vcpu.pcpu];
    this.words[vcpu.id * WORDS + HAD] = cpu.debugctl + 1;
    this.vmcs(vcpu.id).exitTo(cpu, reason, interrupted);
    vcpu.inGuest = false;
    this.words[vcpu.id * WORDS + INJECTED] = 0;
    this.words[vcpu.id * WORDS + LEFT] = 1;
  }

  /** The host has its state back after an exit. */
  looked(vcpu: Vcpu): void {
    this.words[vcpu.id * WORDS + LEFT] = 0;
    this.observer.exited(vcpu.id);
  }

  /** The vector that the last entry has injected: 0 for none. */
  injected(vcpu: Vcpu): number {
    return this.words[vcpu.id * WORDS + INJECTED];
  }

  /** Whether the guest's last instruction has raised #GP. */
  raisedGp(vcpu: Vcpu): boolean {
    return this.injected(vcpu) === GP_VECTOR;
  }

  /** The registers of a guest that is at RDMSR or WRMSR. */
  setRegisters(vcpu: Vcpu, msr: number, eax: number, edx: number): void {
    this.setRegister(vcpu, RCX, msr);
    this.setRegister(vcpu, RAX, eax);
    this.setRegister(vcpu, RDX, edx);
  }

  private setRegister({ id }: Vcpu, register: number, value: number): void {
    const at = this.words[id * WORDS + REGISTERS] + register * REGISTER_BYTES;
    this.memory().writeInt(at, value);
    this.memory().writeInt(at + 4, 0);
  }

  eax(vcpu: Vcpu): number {
    return this.register(vcpu, RAX);
  }

  edx(vcpu: Vcpu): number {
    return this.register(vcpu, RDX);
  }

  private register({ id }: Vcpu, register: number): number {
    return this.memory().readInt(this.words[id * WORDS + REGISTERS] + register * REGISTER_BYTES);
  }
}

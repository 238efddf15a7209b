/**
 * A VMCS with all of its fields, as a hypervisor that runs as C code writes them by VMWRITE. VM
 * entry and VM exit obey the controls in it as far as they reach LBR and the counters; the other
 * fields are kept and have no effect.
 *
 * SDM: Vol. 3C, "Virtual-Machine Control Structures", "VM Entries", "VM Exits"; Vol. 3D, "Field
 * Encoding in VMCS".
 */
import { assert } from './assert.js';
import type { CpuModel } from './cpu_models.js';
import { type LbrMap, KIND_NONE, lbrMap } from './lbr_map.js';
import type { LogicalProcessor } from './logical_processor.js';
import type { Layout, Memory } from './memory.js';
import * as msrs from './msr_index.js';
import { Vmcs } from './vmx.js';

/** Encodings of the fields that the model knows. */
export const FIELD = {
  MSR_BITMAP: 0x2004,
  VM_EXIT_MSR_STORE_ADDR: 0x2006,
  VM_EXIT_MSR_LOAD_ADDR: 0x2008,
  VM_ENTRY_MSR_LOAD_ADDR: 0x200a,
  GUEST_IA32_DEBUGCTL: 0x2802,
  GUEST_IA32_PERF_GLOBAL_CTRL: 0x2808,
  HOST_IA32_PERF_GLOBAL_CTRL: 0x2c04,
  CPU_BASED_VM_EXEC_CONTROL: 0x4002,
  VM_EXIT_CONTROLS: 0x400c,
  VM_EXIT_MSR_STORE_COUNT: 0x400e,
  VM_EXIT_MSR_LOAD_COUNT: 0x4010,
  VM_ENTRY_CONTROLS: 0x4012,
  VM_ENTRY_MSR_LOAD_COUNT: 0x4014,
  VM_ENTRY_INTR_INFO_FIELD: 0x4016,
  VM_EXIT_REASON: 0x4402,
  VM_EXIT_INTR_INFO: 0x4404,
  VM_EXIT_INSTRUCTION_LEN: 0x440c,
  GUEST_INTERRUPTIBILITY_INFO: 0x4824,
} as const;

const VM_ENTRY_LOAD_DEBUG_CONTROLS = 1 << 2;
const VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 13;
const VM_EXIT_SAVE_DEBUG_CONTROLS = 1 << 2;
const VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL = 1 << 12;
const CPU_BASED_USE_MSR_BITMAPS = 1 << 28;

/** Exit reasons. SDM: Vol. 3D, "VMX Basic Exit Reasons". */
export const EXIT_REASON = {
  EXCEPTION_NMI: 0,
  EXTERNAL_INTERRUPT: 1,
  MSR_READ: 31,
  MSR_WRITE: 32,
  /** With bit 31: the entry failed. */
  INVALID_STATE: 0x8000_0021,
} as const;

/** Interruption information: valid, and the type with the vector. */
const INTR_VALID: number = 1 << 31;
const INTR_INFO_MASK = 0x7ff;
const NMI_EVENT = 0x202;
/** With an error code. */
const GP_EVENT = 0xb0d;
export const INTR_INFO = {
  EXTERNAL: 0x8000_00ec,
  NMI: 0x8000_0202,
} as const;
const BLOCKED_BY_NMI = 1 << 3;

/** Bytes of an entry of an MSR area: the index, and the value at 8. */
const AREA_ENTRY_BYTES = 16;
/** Bits for reads of MSRs from 0 on, and where those for writes begin. */
const BITMAP_MSRS = 0x2000;
const BITMAP_WRITE = 2048;

/** Width, type and index of an encoding make the slot of a field. */
const INDEX_BITS = 6;
const SLOTS = 16 << INDEX_BITS;
const FIELD_WORDS: number = 2 * SLOTS;

function slotOf(field: number): number {
  const kind = ((field >> 11) & 0xc) | ((field >> 10) & 3);
  return (kind << INDEX_BITS) | ((field >> 1) & ((1 << INDEX_BITS) - 1));
}

/** The hypervisor's memory: words and bytes at addresses. */
export interface HostMemory {
  word(address: number): number;
  setWord(address: number, value: number): void;
  byte(address: number): number;
}

export class FieldVmcs extends Vmcs {
  /** All words of it. */
  readonly all: Int32Array;
  private readonly fields: Int32Array;
  private readonly mapOf: LbrMap;
  private readonly debugctlSlot: number = slotOf(FIELD.GUEST_IA32_DEBUGCTL);
  /** The memory that its addresses are of; to be set before it is used. */
  host: HostMemory | null = null;
  /** High half of the last field that was read. */
  high = 0;

  constructor(memory: Memory, model: CpuModel, offset: number) {
    super(memory, model, offset);
    this.mapOf = lbrMap(model);
    this.all = memory.words.subarray(offset, offset + Vmcs.WORDS + FIELD_WORDS);
    this.fields = this.all.subarray(Vmcs.WORDS);
  }

  static override allocate(layout: Layout): number {
    return layout.take(Vmcs.WORDS + FIELD_WORDS);
  }

  clear(): void {
    this.all.fill(0);
  }

  /** VMREAD: returns the low half, and leaves the other in `high`. */
  read(field: number): number {
    const slot = slotOf(field);
    this.high = this.fields[2 * slot + 1];
    return slot === this.debugctlSlot ? this.guestDebugctl : this.fields[2 * slot];
  }

  /** VMWRITE. */
  write(field: number, low: number, high: number): void {
    const slot = slotOf(field);
    if (slot === this.debugctlSlot) this.guestDebugctl = low;
    this.fields[2 * slot] = low;
    this.fields[2 * slot + 1] = high;
  }

  private has(field: number, control: number): boolean {
    return (this.read(field) & control) !== 0;
  }

  /** VM entry. Returns false if it fails. */
  enterFrom(cpu: LogicalProcessor): boolean {
    if (this.has(FIELD.VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL)) {
      this.loadGlobalCtrl(cpu, FIELD.GUEST_IA32_PERF_GLOBAL_CTRL);
    }
    if (this.has(FIELD.VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_DEBUG_CONTROLS)) {
      if (!this.enter(cpu)) return false;
    }
    const { VM_ENTRY_MSR_LOAD_ADDR, VM_ENTRY_MSR_LOAD_COUNT } = FIELD;
    return this.loadArea(cpu, VM_ENTRY_MSR_LOAD_ADDR, VM_ENTRY_MSR_LOAD_COUNT);
  }

  /** VM exit, for a reason and with what interrupted, or 0. */
  exitTo(cpu: LogicalProcessor, reason: number, interrupted: number): void {
    this.write(FIELD.VM_EXIT_REASON, reason, 0);
    this.write(FIELD.VM_EXIT_INTR_INFO, interrupted, 0);
    this.write(FIELD.VM_EXIT_INSTRUCTION_LEN, 2, 0);
    const debugctl = this.guestDebugctl;
    this.storeArea(cpu);
    this.exit(cpu);
    if (!this.has(FIELD.VM_EXIT_CONTROLS, VM_EXIT_SAVE_DEBUG_CONTROLS)) {
      this.guestDebugctl = debugctl;
    }
    if (this.has(FIELD.VM_EXIT_CONTROLS, VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL)) {
      this.loadGlobalCtrl(cpu, FIELD.HOST_IA32_PERF_GLOBAL_CTRL);
    }
    this.loadArea(cpu, FIELD.VM_EXIT_MSR_LOAD_ADDR, FIELD.VM_EXIT_MSR_LOAD_COUNT);
  }

  /** What the entry has injected: 0, or the vector; it is not injected again. */
  takeInjected(): number {
    const info = this.read(FIELD.VM_ENTRY_INTR_INFO_FIELD);
    if ((info & INTR_VALID) === 0) return 0;
    this.write(FIELD.VM_ENTRY_INTR_INFO_FIELD, info & ~INTR_VALID, 0);
    const event = info & INTR_INFO_MASK;
    if (event === NMI_EVENT) this.blockNmis(true);
    return event === NMI_EVENT || event === (GP_EVENT & INTR_INFO_MASK) ? event & 0xff : -1;
  }

  /** An NMI is being handled, and the next one waits; or the guest's IRET has ended that. */
  blockNmis(blocked: boolean): void {
    const info = this.read(FIELD.GUEST_INTERRUPTIBILITY_INFO);
    const next = blocked ? info | BLOCKED_BY_NMI : info & ~BLOCKED_BY_NMI;
    this.write(FIELD.GUEST_INTERRUPTIBILITY_INFO, next, 0);
  }

  private loadGlobalCtrl(cpu: LogicalProcessor, field: number): void {
    const low = this.read(field);
    cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, low, this.high);
  }

  /** Returns false if a value is refused. */
  private loadArea(cpu: LogicalProcessor, addressField: number, countField: number): boolean {
    const memory = this.memory();
    const first = this.read(addressField);
    const count = this.read(countField);
    for (let at = first; at < first + count * AREA_ENTRY_BYTES; at += AREA_ENTRY_BYTES) {
      const msr = memory.word(at);
      if (!isOf(this.mapOf, msr)) continue;
      if (cpu.wrmsr(msr, memory.word(at + 8), memory.word(at + 12)) !== 0) return false;
    }
    return true;
  }

  private storeArea(cpu: LogicalProcessor): void {
    const memory = this.memory();
    const first = this.read(FIELD.VM_EXIT_MSR_STORE_ADDR);
    const count = this.read(FIELD.VM_EXIT_MSR_STORE_COUNT);
    for (let at = first; at < first + count * AREA_ENTRY_BYTES; at += AREA_ENTRY_BYTES) {
      const msr = memory.word(at);
      if (!isOf(this.mapOf, msr)) continue;
      memory.setWord(at + 8, cpu.rdmsr(msr));
      memory.setWord(at + 12, cpu.edx);
    }
  }

  override interceptsRead(msr: number): boolean {
    return this.interceptsIn(msr, 0);
  }

  override interceptsWrite(msr: number): boolean {
    return this.interceptsIn(msr, BITMAP_WRITE);
  }

  /** What the bitmap's page says; an MSR beyond its low range always exits. */
  private interceptsIn(msr: number, part: number): boolean {
    const uses = this.has(FIELD.CPU_BASED_VM_EXEC_CONTROL, CPU_BASED_USE_MSR_BITMAPS);
    if (!uses || msr >= BITMAP_MSRS) return true;
    const page = this.read(FIELD.MSR_BITMAP);
    return (this.memory().byte(page + part + (msr >> 3)) & (1 << (msr & 7))) !== 0;
  }

  private memory(): HostMemory {
    assert(this.host !== null, 'a VMCS is used by a hypervisor that has memory');
    return this.host;
  }
}

/** Whether the model has an MSR: others are loaded and stored without an effect. */
function isOf(map: LbrMap, msr: number): boolean {
  if (map.kind(msr) !== KIND_NONE) return true;
  return msr === msrs.MSR_CORE_PERF_GLOBAL_CTRL || msr === msrs.MSR_IA32_DEBUGCTLMSR;
}

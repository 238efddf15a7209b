/** A VMCS with all of its fields. SDM: Vol. 3C, "VM Entries", "VM Exits". */
import * as fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import { EXIT_REASON, FIELD, FieldVmcs, INTR_INFO } from '../../src/hw/vmcs_fields.js';

const MODEL = findCpuModel('skylake');
const FROM_3 = msrs.MSR_LBR_NHM_FROM + 3;
const CTRL = msrs.MSR_CORE_PERF_GLOBAL_CTRL;
const BITMAP = 0x1000;
const AREA = 0x3000;
const SAVE_DEBUG = 1 << 2;
const LOAD_DEBUG = 1 << 2;
const ENTRY_LOADS_CTRL = 1 << 13;
const EXIT_LOADS_CTRL = 1 << 12;
const USES_BITMAP = 1 << 28;

let cpu: LogicalProcessor;
let vmcs: FieldVmcs;
let ram: Int32Array;

beforeEach(() => {
  if (MODEL === undefined) throw new Error('no skylake');
  const layout = new Layout();
  const at = LogicalProcessor.allocate(layout, MODEL);
  const field = FieldVmcs.allocate(layout);
  const memory = new Memory(layout);
  cpu = new LogicalProcessor(memory, MODEL, at);
  vmcs = new FieldVmcs(memory, MODEL, field);
  ram = new Int32Array(0x2000);
  vmcs.host = {
    word: (address) => ram[address >> 2],
    setWord: (address, value) => {
      ram[address >> 2] = value;
    },
    byte: (address) => new Uint8Array(ram.buffer)[address],
  };
});

function put(field: number, low: number, high = 0): void {
  vmcs.write(field, low, high);
}

/** Puts entries into an MSR area: index, low and high half of the value. */
function area(...entries: readonly (readonly [number, number, number])[]): void {
  entries.forEach(([msr, low, high], i) => {
    ram.set([msr, 0, low, high], (AREA + 16 * i) >> 2);
  });
}

/** Encodings by width, type and index; the low bit is that of the high half. */
const encoding: fc.Arbitrary<number> = fc
  .tuple(fc.nat(3), fc.nat(3), fc.nat(63))
  .map(([width, type, index]) => (width << 13) | (type << 10) | (index << 1));

describe('FieldVmcs', () => {
  it('VMREAD gives what VMWRITE has put into that field, whatever went into others', () => {
    const writes = fc.uniqueArray(fc.tuple(encoding, fc.integer(), fc.integer()), {
      selector: ([field]) => field,
      minLength: 2,
      maxLength: 40,
    });
    fc.assert(
      fc.property(writes, (fields) => {
        for (const [field, low, high] of fields) put(field, low, high);
        for (const [field, low, high] of fields) {
          expect([vmcs.read(field), vmcs.high]).toEqual([low, high]);
        }
      }),
    );
  });

  it("GUEST_IA32_DEBUGCTL is the guest's DEBUGCTL, whoever writes it", () => {
    put(FIELD.GUEST_IA32_DEBUGCTL, 1);
    expect(vmcs.guestDebugctl).toBe(1);
    vmcs.guestDebugctl = 0x800;
    expect(vmcs.read(FIELD.GUEST_IA32_DEBUGCTL)).toBe(0x800);
  });

  it('clear() leaves nothing', () => {
    put(FIELD.MSR_BITMAP, 7, 8);
    vmcs.guestDebugctl = 1;
    vmcs.clear();
    expect([vmcs.read(FIELD.MSR_BITMAP), vmcs.high, vmcs.guestDebugctl]).toEqual([0, 0, 0]);
  });
});

describe('VM entry', () => {
  it('loads DEBUGCTL only if the control says so, and fails for a reserved bit', () => {
    vmcs.guestDebugctl = msrs.DEBUGCTLMSR_LBR;
    expect([vmcs.enterFrom(cpu), cpu.debugctl]).toEqual([true, 0]);
    put(FIELD.VM_ENTRY_CONTROLS, LOAD_DEBUG);
    expect([vmcs.enterFrom(cpu), cpu.debugctl]).toEqual([true, msrs.DEBUGCTLMSR_LBR]);
    vmcs.guestDebugctl = 1 << 20;
    expect(vmcs.enterFrom(cpu)).toBe(false);
  });

  it('loads PERF_GLOBAL_CTRL only if the control says so', () => {
    put(FIELD.GUEST_IA32_PERF_GLOBAL_CTRL, 5, 3);
    vmcs.enterFrom(cpu);
    expect(cpu.rdmsr(CTRL)).toBe(0);
    put(FIELD.VM_ENTRY_CONTROLS, ENTRY_LOADS_CTRL);
    vmcs.enterFrom(cpu);
    expect([cpu.rdmsr(CTRL), cpu.edx]).toEqual([5, 3]);
  });

  it('loads the MSRs of its area that the model has, and fails if a value is refused', () => {
    put(FIELD.VM_ENTRY_MSR_LOAD_ADDR, AREA);
    area([FROM_3, 7, 0], [0x1234, 1, 1], [CTRL, 2, 0], [FROM_3, 9, 0x80_0000]);
    put(FIELD.VM_ENTRY_MSR_LOAD_COUNT, 3);
    expect(vmcs.enterFrom(cpu)).toBe(true);
    expect([cpu.rdmsr(FROM_3), cpu.rdmsr(CTRL)]).toEqual([7, 2]);
    put(FIELD.VM_ENTRY_MSR_LOAD_COUNT, 4);
    expect(vmcs.enterFrom(cpu)).toBe(false);
  });
});

describe('VM exit', () => {
  it('says why, and how long the instruction was', () => {
    vmcs.exitTo(cpu, EXIT_REASON.EXCEPTION_NMI, INTR_INFO.NMI);
    expect(vmcs.read(FIELD.VM_EXIT_REASON)).toBe(EXIT_REASON.EXCEPTION_NMI);
    expect(vmcs.read(FIELD.VM_EXIT_INTR_INFO) >>> 0).toBe(INTR_INFO.NMI);
    expect(vmcs.read(FIELD.VM_EXIT_INSTRUCTION_LEN)).toBe(2);
  });

  it('clears DEBUGCTL, and saves it only if the control says so', () => {
    for (const [control, kept] of [
      [0, 0],
      [SAVE_DEBUG, msrs.DEBUGCTLMSR_LBR],
    ]) {
      vmcs.guestDebugctl = 0;
      cpu.debugctl = msrs.DEBUGCTLMSR_LBR;
      put(FIELD.VM_EXIT_CONTROLS, control);
      vmcs.exitTo(cpu, EXIT_REASON.EXTERNAL_INTERRUPT, INTR_INFO.EXTERNAL);
      expect([cpu.debugctl, vmcs.guestDebugctl]).toEqual([0, kept]);
    }
  });

  it("loads the host's PERF_GLOBAL_CTRL only if the control says so", () => {
    put(FIELD.HOST_IA32_PERF_GLOBAL_CTRL, 6, 1);
    vmcs.exitTo(cpu, EXIT_REASON.MSR_READ, 0);
    expect(cpu.rdmsr(CTRL)).toBe(0);
    put(FIELD.VM_EXIT_CONTROLS, EXIT_LOADS_CTRL);
    vmcs.exitTo(cpu, EXIT_REASON.MSR_WRITE, 0);
    expect([cpu.rdmsr(CTRL), cpu.edx]).toEqual([6, 1]);
  });

  it('stores MSRs of the guest, DEBUGCTL among them, and then loads those of the host', () => {
    cpu.wrmsr(FROM_3, 5, 0);
    cpu.debugctl = msrs.DEBUGCTLMSR_LBR;
    area([FROM_3, 0, 0], [msrs.MSR_IA32_DEBUGCTLMSR, 0, 0], [0x1234, 4, 4]);
    put(FIELD.VM_EXIT_MSR_STORE_ADDR, AREA);
    put(FIELD.VM_EXIT_MSR_STORE_COUNT, 3);
    const load = AREA + 0x100;
    ram.set([FROM_3, 0, 77, 0], load >> 2);
    put(FIELD.VM_EXIT_MSR_LOAD_ADDR, load);
    put(FIELD.VM_EXIT_MSR_LOAD_COUNT, 1);
    vmcs.exitTo(cpu, EXIT_REASON.MSR_READ, 0);
    const values = [0, 1, 2].map((i) => [...ram.subarray((AREA >> 2) + 4 * i + 2).subarray(0, 2)]);
    expect(values).toEqual([
      [5, 0],
      [msrs.DEBUGCTLMSR_LBR, 0],
      [4, 4],
    ]);
    expect(cpu.rdmsr(FROM_3)).toBe(77);
  });
});

describe('the MSR bitmap', () => {
  const passes = (msr: number): [boolean, boolean] => [
    !vmcs.interceptsRead(msr),
    !vmcs.interceptsWrite(msr),
  ];

  it('is looked at in memory, for reads and for writes', () => {
    put(FIELD.CPU_BASED_VM_EXEC_CONTROL, USES_BITMAP);
    put(FIELD.MSR_BITMAP, BITMAP);
    fc.assert(
      fc.property(fc.nat(0x1fff), fc.boolean(), fc.boolean(), (msr, read, write) => {
        const bytes = new Uint8Array(ram.buffer);
        bytes.fill(0xff, BITMAP, BITMAP + 4096);
        const bit = 1 << (msr & 7);
        if (read) bytes[BITMAP + (msr >> 3)] &= ~bit;
        if (write) bytes[BITMAP + 2048 + (msr >> 3)] &= ~bit;
        expect(passes(msr)).toEqual([read, write]);
        expect(passes(msr ^ 1)).toEqual([false, false]);
      }),
    );
  });

  it('lets nothing pass that is beyond its range, or if it is not used', () => {
    put(FIELD.MSR_BITMAP, BITMAP);
    expect(passes(FROM_3)).toEqual([false, false]);
    put(FIELD.CPU_BASED_VM_EXEC_CONTROL, USES_BITMAP);
    expect(passes(FROM_3)).toEqual([true, true]);
    expect(passes(0x2000)).toEqual([false, false]);
  });
});

describe('event injection', () => {
  const inject = (info: number): number => {
    put(FIELD.VM_ENTRY_INTR_INFO_FIELD, info);
    return vmcs.takeInjected();
  };

  it('an NMI and #GP are told apart, other events are -1, and none is 0', () => {
    expect(inject(0)).toBe(0);
    expect(inject(0x202)).toBe(0);
    expect(inject(0x8000_0202)).toBe(2);
    expect(inject(0x8000_0b0d)).toBe(13);
    expect(inject(0x8000_0b0e)).toBe(-1);
    expect(inject(0x8000_0030)).toBe(-1);
  });

  it('an event is injected once', () => {
    expect(inject(0x8000_0202)).toBe(2);
    expect(vmcs.takeInjected()).toBe(0);
  });

  it('an NMI blocks the next one until IRET', () => {
    const blocked = (): number => vmcs.read(FIELD.GUEST_INTERRUPTIBILITY_INFO);
    inject(0x8000_0b0d);
    expect(blocked()).toBe(0);
    inject(0x8000_0202);
    expect(blocked()).toBe(8);
    vmcs.blockNmis(false);
    expect(blocked()).toBe(0);
  });
});

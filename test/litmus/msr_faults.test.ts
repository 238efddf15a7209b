/**
 * The values that WRMSR refuses, and the registers that a deep C-state clears. SDM Vol. 3B, "LBR
 * Stack and Intel 64 Processors", "LBR Behavior and Deep C-State"; specification updates where they
 * say more.
 */
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../src/hw/branch.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import { Vmcs } from '../../src/hw/vmx.js';
import { processor } from '../rig/cpu.js';

const { MSR_LBR_NHM_FROM: FROM, MSR_LBR_NHM_TO: TO, MSR_LBR_INFO_0: INFO } = msrs;

/** Records a kernel branch. LBR_SELECT stays 0, since a user filter would suppress the branch. */
function capture(cpu: LogicalProcessor, mispredicted: boolean): void {
  cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR, 0);
  cpu.branch(BRANCH_JCC, 0, 0x10, -1, 0x20, -1, mispredicted, 5);
}

describe('WRMSR of a FROM register', () => {
  // HSD172, HSM182, BDM127: without TSX, bits 62:61 must repeat bit 47; captured as 0.
  it('a kernel FROM that RDMSR gave is refused on haswell-notsx, and never on haswell', () => {
    for (const mispredicted of [false, true]) {
      const vectors = ['haswell', 'haswell-notsx'].map((name) => {
        const cpu = processor(name);
        capture(cpu, mispredicted);
        return cpu.wrmsr(FROM + 1, cpu.rdmsr(FROM + 1), cpu.edx);
      });
      expect(vectors).toEqual([0, 13]);
    }
  });

  // Linux repairs the value in lbr_from_signext_quirk_wr(): it copies bits 60:59 to 62:61.
  it('haswell-notsx accepts the repaired FROM, and a user address as it is', () => {
    const cpu = processor('haswell-notsx');
    capture(cpu, false);
    const [eax, edx] = [cpu.rdmsr(FROM + 1), cpu.edx];
    expect(cpu.wrmsr(FROM + 1, eax, edx | ((edx << 2) & 0x60000000))).toBe(0);
    expect([cpu.rdmsr(FROM + 1), cpu.edx]).toEqual([0x10, 0x7fffffff]);
    expect(cpu.wrmsr(FROM + 2, 1, 0x7fff)).toBe(0);
    expect(cpu.wrmsr(FROM + 2, 1, 0x20007fff)).toBe(13);
  });

  it('a WRMSR that faults never changes the register', () => {
    const cpu = processor('skylake');
    expect(cpu.wrmsr(FROM, 7, 0x7fff)).toBe(0);
    expect(cpu.wrmsr(FROM, 8, 0x8000)).toBe(13);
    expect([cpu.rdmsr(FROM), cpu.edx]).toEqual([7, 0x7fff]);
  });

  // On every other CPU a hypervisor can write back what it has read.
  it.each(CPU_MODELS.filter((model) => model.name !== 'haswell-notsx'))(
    '$name always takes back the FROM and TO that it captured, kernel or user',
    (model) => {
      const cpu = processor(model);
      capture(cpu, true);
      cpu.branch(BRANCH_JCC, 3, 0x30, 0x7fff, 0x40, 0x7fff, true, 0xffff);
      for (const slot of [1, 2]) {
        for (const base of [model.lbr_from, model.lbr_to]) {
          expect(cpu.wrmsr(base + slot, cpu.rdmsr(base + slot), cpu.edx)).toBe(0);
        }
      }
    },
  );
});

describe('WRMSR of a TO register', () => {
  // SKL047 describes the check of TO. Format TIME has cycles in bits 63:48, so no check.
  it('a TO that is not canonical is always refused, except on Goldmont', () => {
    for (const name of ['nehalem', 'haswell', 'haswell-notsx', 'skylake', 'knl']) {
      expect(processor(name).wrmsr(TO, 0, 0x8000)).toBe(13);
      expect(processor(name).wrmsr(TO, 0, 0x7fffffff)).toBe(13);
    }
    expect(processor('goldmont').wrmsr(TO, 0, 0x12348000)).toBe(0);
  });
});

describe('WRMSR of an INFO register', () => {
  // Bits 60:16 are reserved. No source says that they fault; here they read as zero.
  it('a WRMSR of INFO always keeps cycles and flags and drops the rest', () => {
    const cpu = processor('skylake');
    expect(cpu.wrmsr(INFO + 31, -1, -1)).toBe(0);
    expect([cpu.rdmsr(INFO + 31), cpu.edx]).toEqual([0xffff, 0xe0000000 | 0]);
  });
});

describe('WRMSR of IA32_DEBUGCTL', () => {
  // "IA32_DEBUGCTL MSR": bits 5:2 and those above 15 are reserved; bit 15 needs RTM.
  it('a reserved bit of DEBUGCTL is always refused, and the old value stays', () => {
    const cpu = processor('haswell-notsx');
    expect(cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, 0x7fc3, 0)).toBe(0);
    for (const n of [2, 3, 4, 5, 15, 16, 31]) {
      expect(cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, (1 << n) | 1, 0)).toBe(13);
    }
    expect(cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, 1, 1)).toBe(13);
    expect([cpu.rdmsr(msrs.MSR_IA32_DEBUGCTLMSR), cpu.edx]).toEqual([0x7fc3, 0]);
    expect(processor('haswell').wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, 0x8000, 0)).toBe(0);
  });
});

describe('an MSR that does not exist', () => {
  // Vol. 2, RDMSR and WRMSR: an unimplemented index raises #GP(0).
  it.each(CPU_MODELS)('an MSR that does not exist never gives a value on $name', (model) => {
    const cpu = processor(model);
    const beyond = [model.lbr_from, model.lbr_to].flatMap((base) => [
      base - 1,
      base + model.lbr_nr,
    ]);
    for (const msr of [...beyond, 0, 16, 0xc0000080]) {
      expect(cpu.wrmsr(model.lbr_from, 1, 2)).toBe(0);
      cpu.rdmsr(model.lbr_from);
      expect([cpu.rdmsr(msr), cpu.edx, cpu.vector]).toEqual([0, 0, 13]);
      expect(cpu.wrmsr(msr, 0, 0)).toBe(13);
    }
    cpu.rdmsr(msrs.MSR_LBR_TOS);
    expect(cpu.vector).toBe(0);
  });
});

describe('deep C-state', () => {
  // "LBR Behavior and Deep C-State": FROM, TO, INFO and TOS are zero, DEBUGCTL.LBR survives.
  it.each(CPU_MODELS)(
    'a deep C-state of $name wipes records and TOS, if anything, and no control',
    (model) => {
      const cpu = processor(model);
      const select = model.select === 'none' ? 0 : 0x1c4 & ~msrs.LBR_JCC;
      cpu.wrmsr(msrs.MSR_LBR_SELECT, select, 0);
      for (let i = 0; i < model.lbr_nr + 2; i++) capture(cpu, true);
      // Without call stacks, as Nehalem or Knights Landing, a CPU keeps its records.
      const wiped = /lake$|^haswell|^goldmont/.test(model.name);
      cpu.deepCState();
      expect(cpu.rdmsr(msrs.MSR_LBR_TOS)).toBe(wiped ? 0 : 2);
      const banks = [model.lbr_from, model.lbr_to, model.lbr_info].filter((base) => base !== 0);
      for (let i = 0; i < model.lbr_nr; i++) {
        for (const base of banks) expect((cpu.rdmsr(base + i) | cpu.edx) === 0).toBe(wiped);
      }
      expect(cpu.rdmsr(msrs.MSR_IA32_DEBUGCTLMSR)).toBe(msrs.DEBUGCTLMSR_LBR);
      expect(cpu.stack.lbr_select).toBe(select);
    },
  );

  it('a deep C-state never thaws: LBR_FRZ survives', () => {
    const cpu = processor('skylake');
    cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET, 0, msrs.GLOBAL_STATUS_LBRS_FROZEN_HI);
    cpu.deepCState();
    cpu.rdmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS);
    expect(cpu.edx).toBe(msrs.GLOBAL_STATUS_LBRS_FROZEN_HI);
  });
});

describe('VM entry and VM exit', () => {
  // Vol. 3C, "VM Entries and Advanced Debugging Features": neither transition is recorded.
  it.each(CPU_MODELS)(
    'VM entry and exit never hide one side of the stack of $name from the other',
    (model) => {
      const layout = new Layout();
      const [at, vmcsAt] = [LogicalProcessor.allocate(layout, model), Vmcs.allocate(layout)];
      const memory = new Memory(layout);
      const cpu = new LogicalProcessor(memory, model, at);
      const vmcs = new Vmcs(memory, model, vmcsAt);
      capture(cpu, false);
      vmcs.guestDebugctl = msrs.DEBUGCTLMSR_LBR;
      expect(vmcs.enter(cpu)).toBe(true);
      expect([cpu.rdmsr(msrs.MSR_LBR_TOS), cpu.rdmsr(model.lbr_from + 1)]).toEqual([1, 0x10]);
      cpu.branch(BRANCH_JCC, 3, 0x30, 0, 0x40, 0, false, 5);
      vmcs.exit(cpu);
      expect([cpu.recording, cpu.rdmsr(msrs.MSR_LBR_TOS)]).toEqual([false, 2]);
      expect(cpu.rdmsr(model.lbr_from + 2)).toBe(0x30);
    },
  );
});

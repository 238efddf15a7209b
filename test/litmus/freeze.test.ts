/** SDM Vol. 3B, "Freezing LBR and Performance Counters on PMI": one test for each paragraph. */
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../src/hw/branch.js';
import { CPU_MODELS, type CpuModel } from '../../src/hw/cpu_models.js';
import type { LogicalProcessor } from '../../src/hw/logical_processor.js';
import * as msrs from '../../src/hw/msr_index.js';
import { processor } from '../rig/cpu.js';

const { DEBUGCTLMSR_LBR: LBR } = msrs;
const FREEZE_LBRS = LBR | msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const FREEZE_BOTH = FREEZE_LBRS | msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI;
const LBR_FRZ = msrs.GLOBAL_STATUS_LBRS_FROZEN_HI;
const CTR_FRZ = msrs.GLOBAL_STATUS_COUNTERS_FROZEN_HI;

function boot(model: CpuModel, debugctl: number): LogicalProcessor {
  const cpu = processor(model);
  expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0xf, 0x7)).toBe(0);
  expect(cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, debugctl, 0)).toBe(0);
  return cpu;
}

const read = (cpu: LogicalProcessor, msr: number): number[] => [cpu.rdmsr(msr), cpu.edx];
const status = (cpu: LogicalProcessor): number[] => read(cpu, msrs.MSR_CORE_PERF_GLOBAL_STATUS);
const ctrl = (cpu: LogicalProcessor): number[] => read(cpu, msrs.MSR_CORE_PERF_GLOBAL_CTRL);
const debugctl = (cpu: LogicalProcessor): number => cpu.rdmsr(msrs.MSR_IA32_DEBUGCTLMSR);
const ack = (cpu: LogicalProcessor, eax: number, edx: number): number =>
  cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL, eax, edx);

/** Whether a branch taken now leaves a record. */
function records(cpu: LogicalProcessor): boolean {
  const before = cpu.rdmsr(msrs.MSR_LBR_TOS);
  cpu.branch(BRANCH_JCC, 3, 1, 0, 2, 0, false, 1);
  return cpu.rdmsr(msrs.MSR_LBR_TOS) !== before;
}

const VERSION_4_OR_5 = ['skylake', 'goldmont', 'icelake', 'tigerlake', 'goldmont-plus'];
const LEGACY = CPU_MODELS.filter(({ name }) => !VERSION_4_OR_5.includes(name));
const STREAMLINED = CPU_MODELS.filter(({ name }) => VERSION_4_OR_5.includes(name));

describe.each(CPU_MODELS)('counter overflow on $name', (model) => {
  it(`an overflow on ${model.name} sets its status bit and freezes nothing unasked`, () => {
    for (const counter of [0, 1, 2, 3]) {
      const cpu = boot(model, LBR);
      cpu.counterOverflow(counter);
      expect(status(cpu)).toEqual([2 ** counter, 0]);
      expect([debugctl(cpu), ...ctrl(cpu)]).toEqual([LBR, 0xf, 0x7]);
      expect(records(cpu)).toBe(true);
    }
  });

  // IA32_PERF_GLOBAL_OVF_CTRL: writing 1 clears the status bit, writing 0 keeps it.
  it(`an overflow on ${model.name} is always acknowledged bit by bit`, () => {
    const cpu = boot(model, LBR);
    for (const counter of [0, 2, 3]) cpu.counterOverflow(counter);
    expect(ack(cpu, 0b0100, 0)).toBe(0);
    expect(status(cpu)).toEqual([0b1001, 0]);
    expect(read(cpu, msrs.MSR_CORE_PERF_GLOBAL_OVF_CTRL)).toEqual([0, 0]);
    expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS, 0, 0)).toBe(13);
  });
});

describe.each(LEGACY)('legacy freeze on $name', (model) => {
  // "Legacy Freeze_LBR_On_PMI": the processor clears DEBUGCTL.LBR, software sets it again.
  it(`a legacy freeze on ${model.name} clears LBR alone, and lasts until LBR is set`, () => {
    const cpu = boot(model, FREEZE_LBRS);
    cpu.counterOverflow(1);
    expect(debugctl(cpu)).toBe(msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    expect([status(cpu), ctrl(cpu)]).toEqual([
      [2, 0],
      [0xf, 0x7],
    ]);
    expect(records(cpu)).toBe(false);
    expect(ack(cpu, 2, 0)).toBe(0);
    expect(records(cpu)).toBe(false);
    cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, FREEZE_LBRS, 0);
    expect(records(cpu)).toBe(true);
  });

  // "Legacy Freeze_PerfMon_On_PMI": the processor clears IA32_PERF_GLOBAL_CTRL.
  it(`bit 12 alone clears both halves of GLOBAL_CTRL on ${model.name}`, () => {
    const bit12 = LBR | msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI;
    const cpu = boot(model, bit12);
    cpu.counterOverflow(0);
    expect([debugctl(cpu), ...ctrl(cpu), ...status(cpu)]).toEqual([bit12, 0, 0, 1, 0]);
    expect(records(cpu)).toBe(true);
  });

  // LBR_FRZ, CTR_FRZ and STATUS_SET exist from version 4 on.
  it(`${model.name} never has the freeze bits of version 4`, () => {
    const cpu = boot(model, FREEZE_BOTH);
    cpu.counterOverflow(0);
    expect(status(cpu)).toEqual([1, 0]);
    for (const edx of [LBR_FRZ, CTR_FRZ]) expect(ack(cpu, 0, edx)).toBe(13);
    expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET, 1, 0)).toBe(13);
  });
});

describe.each(STREAMLINED)('streamlined freeze on $name', (model) => {
  // "Streamlined Freeze_LBR_On_PMI": LBR_FRZ is set, IA32_DEBUGCTL is unchanged.
  it(`a freeze on ${model.name} sets LBR_FRZ, leaves DEBUGCTL, and lasts until the ack`, () => {
    const cpu = boot(model, FREEZE_LBRS);
    cpu.counterOverflow(1);
    expect([debugctl(cpu), ...status(cpu), ...ctrl(cpu)]).toEqual([
      FREEZE_LBRS,
      2,
      LBR_FRZ,
      0xf,
      0x7,
    ]);
    expect([cpu.recording, records(cpu)]).toEqual([false, false]);
    expect(ack(cpu, 2, 0)).toBe(0);
    expect([status(cpu), records(cpu)]).toEqual([[0, LBR_FRZ], false]);
    expect(ack(cpu, 0, LBR_FRZ)).toBe(0);
    expect([cpu.recording, records(cpu)]).toEqual([true, true]);
  });

  // "Streamlined Freeze_PerfMon_On_PMI": CTR_FRZ is set, IA32_PERF_GLOBAL_CTRL is unchanged.
  it(`bit 12 alone sets CTR_FRZ on ${model.name}, which does not stop recording`, () => {
    const cpu = boot(model, LBR | msrs.DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI);
    cpu.counterOverflow(3);
    expect([...status(cpu), ...ctrl(cpu)]).toEqual([8, CTR_FRZ, 0xf, 0x7]);
    expect(records(cpu)).toBe(true);
  });

  // "Enhancement in IA32_PERF_GLOBAL_STATUS": recording needs LBR = 1 and LBR_FRZ = 0.
  it(`a write of DEBUGCTL never makes ${model.name} record while it is frozen`, () => {
    const cpu = boot(model, FREEZE_LBRS);
    cpu.counterOverflow(0);
    cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, LBR, 0);
    expect(records(cpu)).toBe(false);
  });

  // IA32_PERF_GLOBAL_STATUS_SET: writing 1 sets the bit, so that a VMM can move the status.
  it(`STATUS_SET freezes ${model.name} as an overflow does, and adds to what is set`, () => {
    const cpu = boot(model, LBR);
    const set = msrs.MSR_CORE_PERF_GLOBAL_STATUS_SET;
    expect(cpu.wrmsr(set, 0b0101, LBR_FRZ | 0b010)).toBe(0);
    expect(cpu.wrmsr(set, 0b0010, CTR_FRZ | 0b100)).toBe(0);
    expect(status(cpu)).toEqual([0b0111, LBR_FRZ | CTR_FRZ | 0b110]);
    expect(records(cpu)).toBe(false);
    expect([cpu.wrmsr(set, 0x10, 0), cpu.wrmsr(set, 0, 8)]).toEqual([13, 13]);
    expect(status(cpu)).toEqual([0b0111, LBR_FRZ | CTR_FRZ | 0b110]);
    expect(ack(cpu, 0b0001, LBR_FRZ | 0b010)).toBe(0);
    expect(status(cpu)).toEqual([0b0110, CTR_FRZ | 0b100]);
  });
});

describe('IA32_PERF_GLOBAL_CTRL', () => {
  // Vol. 3B, "Architectural Performance Monitoring Version 2": fixed counters are in bits 34:32.
  it.each(CPU_MODELS)(
    'IA32_PERF_GLOBAL_CTRL takes both halves on $name and refuses each reserved bit',
    (model) => {
      const cpu = boot(model, 0);
      expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0b1010, 0b101)).toBe(0);
      for (let n = 4; n < 32; n++) {
        expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 1 << n, 0)).toBe(13);
        expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 1 << n)).toBe(13);
      }
      expect(cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0, 0b1000)).toBe(13);
      expect(ctrl(cpu)).toEqual([0b1010, 0b101]);
    },
  );
});

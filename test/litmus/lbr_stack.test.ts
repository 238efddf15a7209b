/** SDM Vol. 3B, "LBR Stack" and "LBR Stack and Intel 64 Processors", a test per paragraph. */
import { describe, expect, it } from 'vitest';
import { BRANCH_JCC } from '../../src/hw/branch.js';
import type { LogicalProcessor } from '../../src/hw/logical_processor.js';
import * as msrs from '../../src/hw/msr_index.js';
import { hex64 } from '../../src/hw/u64.js';
import { recording } from '../rig/cpu.js';

const read = (cpu: LogicalProcessor, msr: number): string => hex64(cpu.rdmsr(msr), cpu.edx);
const { MSR_LBR_NHM_FROM: FROM, MSR_LBR_NHM_TO: TO, MSR_LBR_INFO_0: INFO } = msrs;

/** A mispredicted branch between the kernel addresses 0xffffffff81000010 and ...20. */
function kernelBranch(cpu: LogicalProcessor, mispredicted: boolean): void {
  cpu.branch(BRANCH_JCC, 0, -0x7efffff0, -1, -0x7effffe0, -1, mispredicted, 0x1234);
}

function userBranch(cpu: LogicalProcessor, from: number): void {
  cpu.branch(BRANCH_JCC, 3, from, 0, from + 1, 0, false, 1);
}

describe('LBR stack', () => {
  // "IA32_DEBUGCTL MSR": if LBR (bit 0) is set, the last branches are recorded.
  it('nothing is ever recorded while DEBUGCTL.LBR is clear', () => {
    const cpu = recording('haswell');
    cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_BTF, 0);
    userBranch(cpu, 0x10);
    expect(cpu.recording).toBe(false);
    expect(cpu.rdmsr(msrs.MSR_LBR_TOS)).toBe(0);
    expect(cpu.rdmsr(FROM) | cpu.rdmsr(FROM + 1)).toBe(0);
  });

  // "LBR Stack": TOS names the newest record, so TOS moves before the record is written.
  it('the first record of a clean stack is always in slot 1', () => {
    const cpu = recording('haswell');
    userBranch(cpu, 0x10);
    expect(cpu.rdmsr(msrs.MSR_LBR_TOS)).toBe(1);
    expect([cpu.rdmsr(FROM), cpu.rdmsr(FROM + 1)]).toEqual([0, 0x10]);
    expect([cpu.rdmsr(TO), cpu.rdmsr(TO + 1)]).toEqual([0, 0x11]);
  });

  // "LBR Stack Size and TOS Pointer Range": TOS counts modulo the depth.
  it.each([
    ['core2', 4],
    ['atom', 8],
    ['nehalem', 16],
    ['skylake', 32],
  ] as const)(
    'the stack of %s always wraps after %i records and overwrites the oldest',
    (name, depth) => {
      const cpu = recording(name);
      const from = cpu.model.lbr_from;
      for (let i = 1; i <= depth; i++) userBranch(cpu, i);
      expect([cpu.rdmsr(msrs.MSR_LBR_TOS), cpu.rdmsr(from)]).toEqual([0, depth]);
      userBranch(cpu, depth + 1);
      expect([cpu.rdmsr(msrs.MSR_LBR_TOS), cpu.rdmsr(from + 1)]).toEqual([1, depth + 1]);
      expect(cpu.rdmsr(from + 2)).toBe(2);
      expect(cpu.rdmsr(from + depth)).toBe(0);
      expect(cpu.vector).toBe(13);
    },
  );

  // "LBR Stack Size and TOS Pointer Range": TOS has only its low log2(depth) bits.
  it('TOS always keeps its low bits alone', () => {
    const cpu = recording('nehalem');
    expect(cpu.wrmsr(msrs.MSR_LBR_TOS, 0x35, 1)).toBe(0);
    expect(read(cpu, msrs.MSR_LBR_TOS)).toBe('0x0000000000000005');
  });
});

describe('LBR formats', () => {
  const FORMATS = [
    {
      // Format 1: linear addresses, no flags.
      claim: 'format LIP always has plain 64-bit addresses',
      cpus: ['core2'],
      records: [true],
      registers: {
        [msrs.MSR_LBR_CORE_FROM + 1]: '0xffffffff81000010',
        [msrs.MSR_LBR_CORE_TO + 1]: '0xffffffff81000020',
      },
    },
    {
      // Format 3: FROM[63] is MISPRED, FROM[62:48] repeats the sign.
      claim: 'format EIP_FLAGS always has MISPRED in FROM[63]',
      cpus: ['nehalem'],
      records: [false, true],
      registers: {
        [FROM + 1]: '0x7fffffff81000010',
        [FROM + 2]: '0xffffffff81000010',
        [TO + 2]: '0xffffffff81000020',
      },
    },
    {
      // Format 4: FROM[62:61] are IN_TX and ABORT, here 0, so they do not repeat the sign.
      claim: 'format EIP_FLAGS2 always has FROM[62:61] clear outside transactions',
      cpus: ['haswell', 'haswell-notsx'],
      records: [false, true],
      registers: { [FROM + 1]: '0x1fffffff81000010', [FROM + 2]: '0x9fffffff81000010' },
    },
    {
      // Format 5, "... Based on Skylake Microarchitecture": flags and cycles are in LBR_INFO.
      claim: 'format INFO always has flags and cycles in LBR_INFO',
      cpus: ['skylake'],
      records: [false, true],
      registers: {
        [FROM + 2]: '0xffffffff81000010',
        [INFO + 1]: '0x0000000000001234',
        [INFO + 2]: '0x8000000000001234',
      },
    },
  ];
  it.each(FORMATS)('$claim', ({ cpus, records, registers }) => {
    for (const name of cpus) {
      const cpu = recording(name);
      for (const mispredicted of records) kernelBranch(cpu, mispredicted);
      const found = Object.keys(registers).map((msr) => [msr, read(cpu, Number(msr))]);
      expect(Object.fromEntries(found)).toEqual(registers);
    }
  });

  // Format 6, "... Based on Goldmont Microarchitecture": TO[63:48] are cycles.
  it('format TIME always has cycles in TO[63:48]', () => {
    const cpu = recording('goldmont');
    kernelBranch(cpu, true);
    expect(read(cpu, FROM + 1)).toBe('0xffffffff81000010');
    expect(read(cpu, TO + 1)).toBe('0x1234ffff81000020');
    expect(cpu.rdmsr(INFO + 1)).toBe(0);
    expect(cpu.vector).toBe(13);
  });

  // Vol. 4, IA32_PERF_CAPABILITIES: LBR_FMT in bits 5:0, FREEZE_WHILE_SMM in bit 12; read-only.
  it.each([
    ['core2', 1],
    ['nehalem', 3],
    ['haswell', 4],
    ['skylake', 5],
    ['goldmont', 6],
  ] as const)('the format of %s is always reported as %i', (name, format) => {
    const cpu = recording(name);
    const value = cpu.rdmsr(msrs.MSR_IA32_PERF_CAPABILITIES);
    expect(value & msrs.PERF_CAP_LBR_FMT).toBe(format);
    expect(value & ~msrs.PERF_CAP_LBR_FMT).toBe(msrs.PERF_CAP_FREEZE_IN_SMM);
    expect(cpu.wrmsr(msrs.MSR_IA32_PERF_CAPABILITIES, value, 0)).toBe(13);
  });
});

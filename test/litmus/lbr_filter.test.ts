/** SDM Vol. 3B, "Filtering of Last Branch Records": one test for each paragraph. */
import { describe, expect, it } from 'vitest';
import * as branch from '../../src/hw/branch.js';
import type { LogicalProcessor } from '../../src/hw/logical_processor.js';
import * as msrs from '../../src/hw/msr_index.js';
import { processor, recording } from '../rig/cpu.js';

const KINDS = branch.BRANCH_NAMES.map((_, kind) => kind);

/** Names of the kinds that are recorded when they end in ring `cpl`. */
function recorded(cpu: LogicalProcessor, cpl: number): string[] {
  return KINDS.filter((kind) => {
    const before = cpu.rdmsr(msrs.MSR_LBR_TOS);
    cpu.branch(kind, cpl, 1, 0, 2, 0, false, 1);
    return cpu.rdmsr(msrs.MSR_LBR_TOS) !== before;
  }).map((kind) => branch.BRANCH_NAMES[kind]);
}

const without = (...names: string[]): string[] =>
  branch.BRANCH_NAMES.filter((name) => !names.includes(name));

describe('LBR_SELECT', () => {
  // "When all bits are zero, all branches are captured."
  it('an LBR_SELECT of 0 always lets every branch through in every ring', () => {
    for (const cpl of [0, 1, 2, 3]) {
      expect(recorded(recording('sandybridge', 0), cpl)).toEqual(branch.BRANCH_NAMES);
    }
  });

  // CPL_EQ_0 and CPL_NEQ_0 suppress a ring.
  it('CPL_EQ_0 suppresses ring 0, and CPL_NEQ_0 the other rings', () => {
    for (const cpl of [0, 1, 2, 3]) {
      const [kernel, user] = [
        recording('skylake', msrs.LBR_KERNEL),
        recording('skylake', msrs.LBR_USER),
      ];
      expect(recorded(kernel, cpl)).toEqual(cpl === 0 ? [] : branch.BRANCH_NAMES);
      expect(recorded(user, cpl)).toEqual(cpl === 0 ? branch.BRANCH_NAMES : []);
      expect(recorded(recording('skylake', msrs.LBR_KERNEL | msrs.LBR_USER), cpl)).toEqual([]);
    }
  });

  // The filter looks at the ring in which the branch ends.
  it('a user-only filter may record a kernel address: SYSRET ends in ring 3', () => {
    const cpu = recording('haswell', msrs.LBR_KERNEL);
    cpu.branch(branch.BRANCH_SYSCALL, 0, 1, 0, 2, -1, false, 1);
    expect(cpu.rdmsr(msrs.MSR_LBR_TOS)).toBe(0);
    cpu.branch(branch.BRANCH_SYSRET, 3, 2, -1, 1, 0, false, 1);
    expect(cpu.rdmsr(msrs.MSR_LBR_TOS)).toBe(1);
    expect([cpu.rdmsr(msrs.MSR_LBR_NHM_FROM + 1), cpu.edx]).toEqual([2, 0x1fffffff]);
  });

  // The class bits of Sandy Bridge and later: the JMP classes exclude calls and returns.
  it.each([
    ['JCC', msrs.LBR_JCC, ['jcc']],
    ['NEAR_REL_CALL', msrs.LBR_REL_CALL, ['call', 'call+0']],
    ['NEAR_IND_CALL', msrs.LBR_IND_CALL, ['ind-call']],
    ['NEAR_RET', msrs.LBR_RETURN, ['ret']],
    ['NEAR_IND_JMP', msrs.LBR_IND_JMP, ['ind-jmp']],
    ['NEAR_REL_JMP', msrs.LBR_REL_JMP, ['jmp']],
    ['FAR_BRANCH', msrs.LBR_FAR, ['syscall', 'sysret', 'irq', 'iret']],
  ] as const)('%s always suppresses its own class alone', (_name, select, suppressed) => {
    for (const name of ['sandybridge', 'haswell', 'skylake', 'knl', 'goldmont']) {
      expect(recorded(recording(name, select), 3)).toEqual(without(...suppressed));
    }
  });

  // Linux lbr.c, nhm_lbr_sel_map: Nehalem's jump classes include calls and returns.
  it('the jump bits of the Nehalem layout always suppress calls and returns as well', () => {
    for (const name of ['nehalem', 'silvermont']) {
      const relative = recorded(recording(name, msrs.LBR_REL_JMP), 3);
      expect(relative).toEqual(without('call', 'call+0', 'ret', 'jmp'));
      const indirect = recorded(recording(name, msrs.LBR_IND_JMP), 3);
      expect(indirect).toEqual(without('ind-call', 'ret', 'ind-jmp'));
    }
  });

  // A suppressed branch leaves no trace.
  it('a branch that is suppressed never moves TOS or a record', () => {
    const cpu = recording('skylake', msrs.LBR_JCC);
    cpu.branch(branch.BRANCH_REL_JMP, 3, 7, 0, 8, 0, false, 9);
    cpu.branch(branch.BRANCH_JCC, 3, 1, 0, 2, 0, true, 3);
    expect(cpu.rdmsr(msrs.MSR_LBR_TOS)).toBe(1);
    expect(cpu.rdmsr(msrs.MSR_LBR_NHM_FROM + 1)).toBe(7);
    expect(cpu.rdmsr(msrs.MSR_LBR_NHM_FROM + 2)).toBe(0);
  });

  // "LBR Stack Size and TOS Pointer Range": Core 2 and Bonnell have no LBR_SELECT.
  it('LBR_SELECT never exists on core2 and atom, which record everything', () => {
    for (const name of ['core2', 'atom']) {
      const cpu = processor(name);
      expect(cpu.wrmsr(msrs.MSR_LBR_SELECT, 0, 0)).toBe(13);
      cpu.rdmsr(msrs.MSR_LBR_SELECT);
      expect(cpu.vector).toBe(13);
      cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR, 0);
      expect(recorded(cpu, 3)).toEqual(branch.BRANCH_NAMES);
    }
  });

  // "The rest must be zero": bit 9 exists only on CPUs with call-stack mode.
  it('EN_CALLSTACK is always refused where there is no call-stack mode', () => {
    const old = recording('sandybridge', 0x1ff);
    expect(old.wrmsr(msrs.MSR_LBR_SELECT, msrs.LBR_CALL_STACK, 0)).toBe(13);
    const cpu = recording('haswell', 0x3ff);
    expect(cpu.wrmsr(msrs.MSR_LBR_SELECT, 0x400, 0)).toBe(13);
    expect(cpu.wrmsr(msrs.MSR_LBR_SELECT, 0, 1)).toBe(13);
    expect(cpu.rdmsr(msrs.MSR_LBR_SELECT)).toBe(0x3ff);
  });
});

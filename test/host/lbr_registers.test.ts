/** The host's own accesses to LBR MSRs: for which vCPU, how many, with what result. */
import { describe, expect, it } from 'vitest';
import { ModelInvariantError } from '../../src/hw/assert.js';
import { addressHigh, BRANCH_JCC } from '../../src/hw/branch.js';
import * as msrs from '../../src/hw/msr_index.js';
import { HOST } from '../../src/host/observer.js';
import { HostRegisters, VCPU, wordsOf } from '../rig/cpu.js';
import { FROM, SELECT, TO, TOS } from '../rig/machine.js';

/** Fills the registers of a pCPU with distinct values. */
function fill({ cpus, model }: HostRegisters, pcpu: number, seed: number): void {
  const { lbr_nr, lbr_from, lbr_to, lbr_info } = model;
  const cpu = cpus[pcpu];
  for (let i = 0; i < lbr_nr; i++) {
    cpu.wrmsr(lbr_from + i, seed + i, 3);
    cpu.wrmsr(lbr_to + i, seed + 100 + i, 4);
    if (lbr_info !== 0) cpu.wrmsr(lbr_info + i, seed + 200 + i, msrs.LBR_INFO_MISPRED_HI);
  }
  cpu.wrmsr(TOS, seed % lbr_nr, 0);
  if (model.select !== 'none') cpu.wrmsr(SELECT, seed & 0xff, 0);
}

/** LBR MSRs of each model, and their number without LBR_SELECT. */
const MODELS = [
  { name: 'skylake', all: 98, records: 97 },
  { name: 'haswell', all: 34, records: 33 },
  { name: 'core2', all: 9, records: 9 },
] as const;

describe('rdmsr', () => {
  it('read always returns both halves, and reports on whose behalf', () => {
    const { cpus, registers, on, said } = new HostRegisters('skylake');
    cpus[1].wrmsr(FROM + 2, 7, 9);
    expect([registers.rdmsr(on[1], FROM + 2), registers.edx]).toEqual([7, 9]);
    expect([registers.rdmsr({ ...on[0], id: HOST }, FROM + 2), registers.edx]).toEqual([0, 0]);
    expect(said()).toEqual([
      `hostAccess 1 ${VCPU} ${FROM + 2} false`,
      `hostAccess 0 -1 ${FROM + 2} false`,
    ]);
  });

  it('read always reports a fault', () => {
    const { registers, on, said } = new HostRegisters('nehalem');
    expect(registers.rdmsr(on[1], msrs.MSR_LBR_INFO_0)).toBe(0);
    expect(said()[0]).toBe(`hostFault 1 ${msrs.MSR_LBR_INFO_0} false`);
  });
});

describe('wrmsr and wrmsr_safe', () => {
  it('write and writeSafe always reach the register of one pCPU alone', () => {
    const { cpus, registers, on, said } = new HostRegisters('skylake');
    registers.wrmsr(on[1], TO + 1, 7, 9);
    expect(registers.wrmsr_safe(on[1], TOS, 5, 0)).toBe(0);
    expect([cpus[1].rdmsr(TO + 1), cpus[1].edx, cpus[1].rdmsr(TOS)]).toEqual([7, 9, 5]);
    expect([cpus[0].rdmsr(TO + 1), cpus[0].rdmsr(TOS)]).toEqual([0, 0]);
    expect(said()).toEqual([
      `hostAccess 1 ${VCPU} ${TO + 1} true`,
      `hostAccess 1 ${VCPU} ${TOS} true`,
    ]);
  });

  it('a bad value makes write and writeSafe fault, and only write reports the fault', () => {
    const { registers, on, said } = new HostRegisters('skylake');
    expect(registers.wrmsr_safe(on[0], SELECT, 0, 1)).toBe(13);
    expect(said()).toEqual([`hostAccess 0 ${VCPU} ${SELECT} true`]);
    registers.wrmsr(on[0], SELECT, 0, 1);
    expect(said()).toContain(`hostFault 0 ${SELECT} true`);
  });
});

describe.each(MODELS)('whole stacks of $name', ({ name, all, records }) => {
  const hasSelect = all !== records;

  it(`save always copies the registers of ${name} as they are, LBR_SELECT only if asked`, () => {
    for (const select of [true, false]) {
      const rig = new HostRegisters(name);
      fill(rig, 0, 41);
      fill(rig, 1, 23);
      const before = wordsOf(rig.cpus[1].stack);
      const other = wordsOf(rig.cpus[0].stack);
      rig.copy.copyFrom(rig.cpus[0].stack, true);
      rig.registers.saveStack(rig.on[1], select);
      const saved = wordsOf(rig.copy);
      expect(saved.slice(0, -1)).toEqual(before.slice(0, -1));
      expect(saved.at(-1)).toBe(select ? before.at(-1) : other.at(-1));
      expect(wordsOf(rig.cpus[1].stack)).toEqual(before);
      expect(rig.said()).toEqual([`hostStack 1 ${VCPU} ${select ? all : records} false`]);
    }
  });

  it(`restore always writes the registers of ${name} as saved, LBR_SELECT only if asked`, () => {
    for (const select of [true, false]) {
      const rig = new HostRegisters(name);
      fill(rig, 0, 41);
      rig.copy.copyFrom(rig.cpus[0].stack, true);
      fill(rig, 1, 23);
      const before = wordsOf(rig.cpus[1].stack);
      const wanted = wordsOf(rig.copy);
      rig.registers.restoreStack(rig.on[1], select);
      const now = wordsOf(rig.cpus[1].stack);
      expect(now.slice(0, -1)).toEqual(wanted.slice(0, -1));
      expect(now.at(-1)).toBe(select || !hasSelect ? wanted.at(-1) : before.at(-1));
      expect(wordsOf(rig.copy)).toEqual(wanted);
      expect(rig.said()).toEqual([`hostStack 1 ${VCPU} ${select ? all : records} true`]);
    }
  });

  it(`scrub always zeroes the registers of ${name} on one pCPU, but leaves DEBUGCTL`, () => {
    const rig = new HostRegisters(name);
    fill(rig, 0, 41);
    fill(rig, 1, 23);
    rig.cpus[1].debugctl = msrs.DEBUGCTLMSR_LBR;
    const other = wordsOf(rig.cpus[0].stack);
    rig.registers.scrubStack(rig.on[1]);
    expect(new Set(wordsOf(rig.cpus[1].stack))).toEqual(new Set([0]));
    expect(rig.cpus[1].debugctl).toBe(msrs.DEBUGCTLMSR_LBR);
    expect(wordsOf(rig.cpus[0].stack)).toEqual(other);
    expect(rig.said()).toEqual([`hostStack 1 ${VCPU} ${all} true true`]);
  });

  it(`the stack of ${name} is lent with recording off, and given back as it was`, () => {
    const rig = new HostRegisters(name);
    const { registers, cpus, on } = rig;
    const kept = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI | msrs.DEBUGCTLMSR_BTF;
    fill(rig, 0, 41);
    fill(rig, 1, 23);
    cpus[0].debugctl = msrs.DEBUGCTLMSR_LBR;
    cpus[1].debugctl = kept | msrs.DEBUGCTLMSR_LBR;
    const own = wordsOf(cpus[1].stack);
    expect([registers.lentOut(0), registers.lentOut(1)]).toEqual([false, false]);
    registers.borrowLbr(on[1]);
    expect(rig.said()).toEqual([`hostStack 1 -1 ${all} false`]);
    expect([cpus[0].debugctl, cpus[1].debugctl]).toEqual([msrs.DEBUGCTLMSR_LBR, kept]);
    expect([registers.lentOut(0), registers.lentOut(1)]).toEqual([false, true]);
    expect(wordsOf(rig.lent[1])).toEqual(own);
    expect(new Set(wordsOf(rig.lent[0]))).toEqual(new Set([0]));
    cpus[1].stack.clear();
    registers.giveBackLbr(on[1]);
    expect(rig.said()).toEqual([`hostStack 1 -1 ${all} true`]);
    expect(wordsOf(cpus[1].stack)).toEqual(own);
    expect([registers.lentOut(0), registers.lentOut(1)]).toEqual([false, false]);
    expect(cpus[1].debugctl).toBe(kept);
  });

  it('the registers are never accessed for a vCPU that is not on a pCPU', () => {
    const { registers, copy } = new HostRegisters(name);
    const off = { id: VCPU, pcpu: -1, records: copy };
    const message = 'LBR registers are those of the pCPU that a vCPU is loaded on';
    expect(() => registers.rdmsr(off, TOS)).toThrow(message);
    expect(() => registers.wrmsr_safe(off, TOS, 0, 0)).toThrow(message);
    expect(() => registers.saveStack(off, true)).toThrow(message);
    expect(() => registers.restoreStack(off, true)).toThrow(message);
    expect(() => registers.scrubStack(off)).toThrow(message);
    expect(() => registers.borrowLbr(off)).toThrow(message);
  });

  it('the registers are never lent twice, nor given back when they are not lent', () => {
    const { registers, on } = new HostRegisters(name);
    expect(() => registers.giveBackLbr(on[1])).toThrow(ModelInvariantError);
    registers.borrowLbr(on[1]);
    expect(() => registers.borrowLbr(on[1])).toThrow(ModelInvariantError);
    expect(() => registers.giveBackLbr(on[0])).toThrow(ModelInvariantError);
    registers.borrowLbr(on[0]);
    registers.giveBackLbr(on[1]);
    expect(() => registers.giveBackLbr(on[1])).toThrow(
      'only registers that were lent are given back',
    );
  });
});

describe('restoreStack', () => {
  it('without TSX restore always extends the sign that a capture leaves out', () => {
    const { cpus, copy, registers, on, said } = new HostRegisters('haswell-notsx');
    cpus[0].debugctl = msrs.DEBUGCTLMSR_LBR;
    const kernel = addressHigh(true, BRANCH_JCC, 0, 0, 0);
    cpus[0].branch(BRANCH_JCC, 0, 9, kernel, 9, kernel, false, 1);
    registers.saveStack(on[0], true);
    expect(copy.readHigh(FROM + 1)).toBe(kernel & 0x1fffffff);
    registers.restoreStack(on[1], true);
    expect(said().filter((line) => line.startsWith('hostFault'))).toEqual([]);
    expect(cpus[1].rdmsr(FROM + 1)).toBe(9);
    // The misprediction flag is 0. Bits 62:61 are ones again.
    expect(cpus[1].edx).toBe(kernel & 0x7fffffff);
  });

  it('restore always reports the MSR that refuses its value, and restores the others', () => {
    const { memory, cpus, copy, registers, on, said } = new HostRegisters('skylake');
    copy.write(FROM + 3, 1, 2);
    copy.write(TOS, 3, 0);
    copy.write(SELECT, 5, 0);
    // Not canonical: bits 63:48 do not repeat bit 47. Only a VMM could supply such a value.
    memory.words[copy.records + 1] = 0x00ff0000;
    registers.restoreStack(on[0], true);
    expect(said()).toEqual([`hostFault 0 ${FROM} true`, `hostStack 0 ${VCPU} 98 true`]);
    expect([cpus[0].rdmsr(FROM + 3), cpus[0].edx]).toEqual([1, 2]);
    expect([cpus[0].rdmsr(TOS), cpus[0].rdmsr(SELECT)]).toEqual([3, 5]);
  });
});

/**
 * What the guests of a selftest are to read: each guest's code is performed here, statement by
 * statement, on a CPU of its own.
 */
import fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ReplayCase } from '../../../../src/campaign/replay_file.js';
import { parseReplayText } from '../../../../src/campaign/replay_file.js';
import * as branch from '../../../../src/hw/branch.js';
import type { CpuModel } from '../../../../src/hw/cpu_models.js';
import type { LogicalProcessor } from '../../../../src/hw/logical_processor.js';
import * as msrs from '../../../../src/hw/msr_index.js';
import { selftest } from '../../../../src/questions/replay/selftest/selftest.js';
import { schedules } from '../../../../src/fast_check.js';
import { processor } from '../../../rig/cpu.js';
import { machineConfig, policyOf } from '../../../rig/machine.js';
import { seeded } from '../../../rig/seed.js';

const FROM_HI = 0x10;
const TO_HI = 0x20;

const NAMED: Readonly<Record<string, number>> = {
  MSR_LBR_TOS: msrs.MSR_LBR_TOS,
  MSR_LBR_SELECT: msrs.MSR_LBR_SELECT,
  MSR_IA32_DEBUGCTLMSR: msrs.MSR_IA32_DEBUGCTLMSR,
};

const BRANCHES: Readonly<Record<string, number>> = {
  CALL: branch.BRANCH_REL_CALL,
  CALL_INDIRECT: branch.BRANCH_IND_CALL,
  CALL_NEXT: branch.BRANCH_ZERO_CALL,
  RET: branch.BRANCH_RET,
  JMP: branch.BRANCH_REL_JMP,
  JMP_INDIRECT: branch.BRANCH_IND_JMP,
  JCC: branch.BRANCH_JCC,
  FAR: branch.BRANCH_IRET,
};

/** While a guest stands there, anything may come of the LBR_TOS of an empty stack. */
const STOPS: readonly string[] = ['SWITCH', 'HOLD', 'LEAVE'];

function msrOf({ lbr_from, lbr_to, lbr_info }: CpuModel, name: string): number | undefined {
  const [, bank, slot] = /^(FROM|TO|INFO)\((\d+)\)$/.exec(name) ?? [];
  if (bank === undefined) return NAMED[name];
  const first = bank === 'FROM' ? lbr_from : bank === 'TO' ? lbr_to : lbr_info;
  return first + Number(slot);
}

/** Both words of a value. A branch's addresses are its number, and a half of an address. */
function wordsOf(text: string): [eax: number, edx: number] {
  const [, seq, end] = /^vm\d+_b(\d+)_(from|to)$/.exec(text) ?? [];
  if (seq !== undefined) return [Number(seq), end === 'from' ? FROM_HI : TO_HI];
  const value = BigInt(text.replace(/ull$/, ''));
  return [Number(value & 0xffffffffn) | 0, Number(value >> 32n) | 0];
}

/** Performs a statement on a CPU. Returns what the test would find wrong, or null. */
function perform(cpu: LogicalProcessor, name: string, args: string): string | null {
  const kind = BRANCHES[name];
  if (kind !== undefined) {
    const seq = Number(/_b(\d+)$/.exec(args)?.[1]);
    cpu.branch(kind, 0, seq, FROM_HI, seq, TO_HI, false, 77);
    return null;
  }
  if (STOPS.includes(name) && cpu.stack.empty) cpu.wrmsr(msrs.MSR_LBR_TOS, Number(args) + 5, 0);
  const [register, text = '0'] = args.split(', ');
  const msr = msrOf(cpu.model, register);
  if (msr === undefined || !/^(READ|WRITE)/.test(name)) return null;
  const [eax, edx] = wordsOf(text);
  if (name.startsWith('WRITE')) {
    // A guest has less of DEBUGCTL than the CPU, and KVM drops BTF.
    const ofDebugctl = msr === msrs.MSR_IA32_DEBUGCTLMSR;
    if (name === 'WRITE_GP' && ofDebugctl) return null;
    const taken = ofDebugctl ? eax & ~msrs.DEBUGCTLMSR_BTF : eax;
    const faults = cpu.wrmsr(msr, taken, edx) !== 0;
    return faults === (name === 'WRITE_GP') ? null : `${name}(${args})`;
  }
  const low = cpu.rdmsr(msr) | 0;
  const high = name === 'READ_ADDRESS' ? (cpu.edx ^ edx) & 0xffff : cpu.edx ^ edx;
  return name === 'READ_ANY' || (low === eax && high === 0) ? null : `${name}(${args}): ${low}`;
}

/** What the guests' own checks would find wrong. */
function wrongReads(one: ReplayCase): string[] {
  const { lines } = selftest(one, 'a guest');
  const wrong: string[] = [];
  let cpu: LogicalProcessor | null = null;
  for (const line of lines) {
    if (line.startsWith('static GUEST void v')) {
      cpu = processor({ ...one.config.model, pmu_version: 2 });
      // An empty stack may have any.
      cpu.wrmsr(msrs.MSR_LBR_TOS, 3, 0);
    } else if (line === '}') cpu = null;
    if (cpu === null || line.startsWith('\t/*')) continue;
    for (const [, name, args] of line.matchAll(/([A-Z_]+)\(([^;]*)\);/g)) {
      const problem = perform(cpu, name, args);
      if (problem !== null) wrong.push(problem);
    }
  }
  return wrong;
}

describe('what the guests of a selftest are to read', () => {
  const golden = new URL('../../../golden/', import.meta.url);
  const files = [golden, new URL('clauses/', golden)].flatMap((folder) =>
    readdirSync(folder).flatMap((name) => (/^\d.*json$/.test(name) ? [new URL(name, folder)] : [])),
  );

  it('each guest of a kept schedule always reads what is wanted on a CPU of its own', () => {
    expect(files.length).toBeGreaterThan(100);
    for (const file of files) {
      const [one] = parseReplayText(readFileSync(file, 'utf8'));
      expect([file.pathname, wrongReads(one)]).toEqual([file.pathname, []]);
    }
  });
  it.each(['merged', 'v6', 'v8', 'v1-vmx', 'pv-v2', 'parked', 'never'])(
    'each guest of any schedule always reads what is wanted on a CPU of its own: %s',
    (name) => {
      for (const cpu of ['skylake', 'haswell', 'haswell-notsx', 'goldmont', 'nehalem', 'core2']) {
        const shape = { vms: 2, vcpus: 2, tasks: 3, pcpus: 2 };
        const config = machineConfig({ policy: policyOf(name), cpu, shape });
        fc.assert(
          fc.property(schedules(config, 60), (schedule) => {
            const property = 'active-agrees';
            expect(wrongReads({ config, property, schedule, whose: null })).toEqual([]);
          }),
          seeded(20),
        );
      }
    },
  );
  it('a read that is wanted otherwise is always found', () => {
    const cpu = processor('skylake');
    cpu.wrmsr(msrs.MSR_LBR_TOS, 3, 0);
    expect(perform(cpu, 'READ', 'MSR_LBR_TOS, 0x3')).toBeNull();
    expect(perform(cpu, 'READ', 'MSR_LBR_TOS, 0x4')).toBe('READ(MSR_LBR_TOS, 0x4): 3');
    expect(perform(cpu, 'READ_ADDRESS', 'FROM(0), vm0_b1_from')).not.toBeNull();
    expect(perform(cpu, 'WRITE_GP', 'FROM(0), 0')).not.toBeNull();
  });
});

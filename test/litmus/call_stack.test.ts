/**
 * Call-stack mode: one test for each bullet of SDM Vol. 3B, "Last Branch, Call Stack, Interrupt,
 * and Exception Recording for Processors Based on Haswell Microarchitecture".
 */
import { describe, expect, it } from 'vitest';
import * as branch from '../../src/hw/branch.js';
import { CPU_MODELS, type CpuModel } from '../../src/hw/cpu_models.js';
import type { LogicalProcessor } from '../../src/hw/logical_processor.js';
import * as msrs from '../../src/hw/msr_index.js';
import { recording } from '../rig/cpu.js';

const { BRANCH_IND_CALL, BRANCH_JCC, BRANCH_REL_CALL, BRANCH_RET, BRANCH_ZERO_CALL } = branch;

/** The setting that the SDM asks for: only calls and returns, in user mode only. */
const USER_CALLS: number =
  msrs.LBR_CALL_STACK |
  msrs.LBR_KERNEL |
  msrs.LBR_JCC |
  msrs.LBR_IND_JMP |
  msrs.LBR_REL_JMP |
  msrs.LBR_FAR;

const MODELS = CPU_MODELS.filter((model) => model.callstack);

const boot = (model: CpuModel, select = USER_CALLS): LogicalProcessor => recording(model, select);

function run(cpu: LogicalProcessor, kind: number, from: number, cpl = 3): void {
  cpu.branch(kind, cpl, from, 1, from + 1, 1, true, 77);
}

const tos = (cpu: LogicalProcessor): number => cpu.rdmsr(msrs.MSR_LBR_TOS);

/** Low words of FROM, newest first. Walks from TOS down to an empty record, as software does. */
function frames(cpu: LogicalProcessor): number[] {
  const { lbr_from, lbr_nr } = cpu.model;
  const found: number[] = [];
  for (let i = 0; i < lbr_nr; i++) {
    const from = cpu.rdmsr(lbr_from + ((tos(cpu) - i + lbr_nr) % lbr_nr));
    if (from === 0) break;
    found.push(from);
  }
  return found;
}

/** Every word of a slot, with the high halves and LBR_INFO. */
function slot(cpu: LogicalProcessor, i: number): number[] {
  const { lbr_from, lbr_to, lbr_info } = cpu.model;
  const banks = lbr_info === 0 ? [lbr_from, lbr_to] : [lbr_from, lbr_to, lbr_info];
  return banks.flatMap((base) => [cpu.rdmsr(base + i), cpu.edx]);
}

it('call-stack mode exists on Haswell and later and on Goldmont, and nowhere else', () => {
  const names = MODELS.map((model) => model.name);
  expect(names.toSorted()).toEqual([
    'goldmont',
    'goldmont-plus',
    'haswell',
    'haswell-notsx',
    'icelake',
    'skylake',
    'tigerlake',
  ]);
});

describe.each(MODELS)('call-stack mode of $name', (model) => {
  const depth = model.lbr_nr;

  // "Near calls are recorded": TOS moves up by one, then the record is written.
  it(`a direct and an indirect call are always pushed on ${model.name}`, () => {
    const cpu = boot(model);
    run(cpu, BRANCH_REL_CALL, 10);
    run(cpu, BRANCH_IND_CALL, 20);
    expect(tos(cpu)).toBe(2);
    expect(frames(cpu)).toEqual([20, 10]);
  });

  // A near return: "The last captured branch record is flushed from the on-chip registers".
  it(`a return zeroes every word of the newest record on ${model.name}, and no other`, () => {
    const cpu = boot(model);
    run(cpu, BRANCH_REL_CALL, 10);
    run(cpu, BRANCH_REL_CALL, 20);
    expect(slot(cpu, 2).filter((word) => word !== 0).length).toBeGreaterThan(2);
    const outer = slot(cpu, 1);
    run(cpu, BRANCH_RET, 99);
    expect(slot(cpu, 2).every((word) => word === 0)).toBe(true);
    expect([tos(cpu), slot(cpu, 1)]).toEqual([1, outer]);
    expect(frames(cpu)).toEqual([10]);
  });

  // "LIFO manner": hardware does not compare a return with its call.
  it(`a return always pops the newest call on ${model.name}, whatever its addresses`, () => {
    const cpu = boot(model);
    for (const from of [10, 20, 30]) run(cpu, BRANCH_REL_CALL, from);
    run(cpu, BRANCH_RET, 12345);
    run(cpu, BRANCH_IND_CALL, 40);
    expect(frames(cpu)).toEqual([40, 20, 10]);
  });

  // A full stack overwrites its oldest frame, which is lost for good.
  it(`the call stack of ${model.name} wraps at the depth and unwinds to nothing`, () => {
    const cpu = boot(model);
    const calls = Array.from({ length: depth + 3 }, (_, i) => i + 1);
    for (const from of calls) run(cpu, BRANCH_REL_CALL, from);
    expect(tos(cpu)).toBe(3);
    expect(frames(cpu)).toEqual(calls.slice(3).reverse());
    for (let left = depth - 1; left >= 0; left--) {
      run(cpu, BRANCH_RET, 99);
      expect(frames(cpu)).toEqual(calls.slice(3, 3 + left).reverse());
    }
    expect(tos(cpu)).toBe(3);
  });

  // A return whose call was lost finds the stack empty. The SDM is silent; TOS moves all the same.
  it(`a return from an empty stack still moves TOS down on ${model.name}`, () => {
    const cpu = boot(model);
    run(cpu, BRANCH_RET, 99);
    expect([tos(cpu), frames(cpu)]).toEqual([depth - 1, []]);
    run(cpu, BRANCH_REL_CALL, 10);
    expect([tos(cpu), frames(cpu)]).toEqual([0, [10]]);
  });

  // "Zero length calls ... are not recorded", but for specification updates HSD080 and HSM083.
  const pushed = ['haswell', 'haswell-notsx'].includes(model.name);
  it(`a zero-length call is ${pushed ? 'always' : 'never'} pushed on ${model.name}`, () => {
    const cpu = boot(model);
    run(cpu, BRANCH_REL_CALL, 10);
    run(cpu, BRANCH_REL_CALL, 11);
    const before = tos(cpu);
    run(cpu, BRANCH_ZERO_CALL, 20);
    expect(frames(cpu)).toEqual(pushed ? [20, 11, 10] : [11, 10]);
    expect(tos(cpu)).toBe(before + (pushed ? 1 : 0));
    // The return is the one of frame 11.
    run(cpu, BRANCH_RET, 99);
    expect(frames(cpu)).toEqual(pushed ? [11, 10] : [10]);
  });

  // Outside the mode it is a near relative call like any other.
  it(`a zero-length call is always a record in the ring of ${model.name}`, () => {
    const cpu = boot(model);
    cpu.wrmsr(msrs.MSR_LBR_SELECT, 0, 0);
    run(cpu, BRANCH_ZERO_CALL, 20);
    expect(frames(cpu)).toEqual([20]);
  });

  // JCC, jumps and FAR_BRANCH are suppressed, and the kernel's calls end in ring 0.
  it(`a kernel excursion or a jump never changes the user stack of ${model.name}`, () => {
    const cpu = boot(model);
    run(cpu, BRANCH_REL_CALL, 10);
    const before = slot(cpu, 1);
    run(cpu, branch.BRANCH_SYSCALL, 20, 0);
    for (const kind of [BRANCH_REL_CALL, BRANCH_RET, BRANCH_RET, BRANCH_JCC]) run(cpu, kind, 30, 0);
    run(cpu, branch.BRANCH_SYSRET, 40);
    for (const kind of [BRANCH_JCC, branch.BRANCH_IND_JMP, branch.BRANCH_REL_JMP])
      run(cpu, kind, 50);
    expect([tos(cpu), frames(cpu), slot(cpu, 1)]).toEqual([1, [10], before]);
  });

  // NEAR_RET must be 0, or returns do not pop.
  it(`a return that NEAR_RET suppresses never pops on ${model.name}`, () => {
    const cpu = boot(model, USER_CALLS | msrs.LBR_RETURN);
    run(cpu, BRANCH_REL_CALL, 10);
    run(cpu, BRANCH_RET, 99);
    expect(frames(cpu)).toEqual([10]);
  });

  // With EN_CALLSTACK clear, a return is recorded like any other branch.
  it(`a return outside call-stack mode is always recorded on ${model.name}`, () => {
    const cpu = boot(model, USER_CALLS & ~msrs.LBR_CALL_STACK);
    run(cpu, BRANCH_REL_CALL, 10);
    run(cpu, BRANCH_RET, 20);
    expect([tos(cpu), frames(cpu)]).toEqual([2, [20, 10]]);
  });

  // While DEBUGCTL.LBR is clear, pushes and pops are both lost.
  it(`a return never pops on ${model.name} while recording is off`, () => {
    const cpu = boot(model);
    run(cpu, BRANCH_REL_CALL, 10);
    cpu.debugctl = 0;
    run(cpu, BRANCH_RET, 99);
    expect([tos(cpu), frames(cpu)]).toEqual([1, [10]]);
  });
});

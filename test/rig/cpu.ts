/** CPU models by name, standalone processors, LBR registers, and guarded memory. */
import { expect } from 'vitest';
import { type CpuModel, findCpuModel } from '../../src/hw/cpu_models.js';
import { LbrStack } from '../../src/hw/lbr_stack.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import { LbrRegisters } from '../../src/host/lbr_registers.js';
import { Recorder } from './observer.js';

/**
 * The CPU model of this name. `haswell/4` is a haswell with four records.
 *
 * @throws Error if there is no such model.
 */
export function cpuModel(name: string): CpuModel {
  const found = findCpuModel(name);
  if (found === undefined) throw new Error(`no CPU model ${name}`);
  return found;
}

/** A processor after reset, with a memory of its own. */
export function processor(model: CpuModel | string): LogicalProcessor {
  const silicon = typeof model === 'string' ? cpuModel(model) : model;
  const layout = new Layout();
  const offset = LogicalProcessor.allocate(layout, silicon);
  return new LogicalProcessor(new Memory(layout), silicon, offset);
}

/**
 * A processor with DEBUGCTL.LBR set.
 *
 * @param select - value of LBR_SELECT, which the CPU must accept. By default nothing is written,
 * since some CPUs lack the register.
 */
export function recording(model: CpuModel | string, select?: number): LogicalProcessor {
  const cpu = processor(model);
  cpu.wrmsr(msrs.MSR_IA32_DEBUGCTLMSR, msrs.DEBUGCTLMSR_LBR, 0);
  if (select !== undefined) expect(cpu.wrmsr(msrs.MSR_LBR_SELECT, select, 0)).toBe(0);
  return cpu;
}

const bank = (base: number, { lbr_nr }: CpuModel): number[] =>
  base === 0 ? [] : Array.from({ length: lbr_nr }, (_, i) => base + i);

/** Indices of the FROM, TO and INFO registers, in slot order; INFO may have none. */
export const froms = (model: CpuModel): number[] => bank(model.lbr_from, model);
export const tos = (model: CpuModel): number[] => bank(model.lbr_to, model);
export const infos = (model: CpuModel): number[] => bank(model.lbr_info, model);
export const recordsOf = (model: CpuModel): number[] => [
  ...froms(model),
  ...tos(model),
  ...infos(model),
];

/** Both words of every record of a stack, then TOS and LBR_SELECT. */
export function wordsOf(stack: LbrStack): number[] {
  const records = recordsOf(stack.model);
  const words = records.flatMap((msr) => [stack.readLow(msr), stack.readHigh(msr)]);
  return [...words, stack.tos, stack.lbr_select];
}

/** The vCPU for which registers are accessed. */
export const VCPU = 5;

/** The LBR registers of two pCPUs as host code reaches them, and a stack in memory (`copy`). */
export class HostRegisters {
  readonly model: CpuModel;
  readonly memory: Memory;
  readonly cpus: readonly LogicalProcessor[];
  /** Place of each pCPU's stack while its registers are lent. */
  readonly lent: readonly LbrStack[];
  readonly copy: LbrStack;
  readonly registers: LbrRegisters;
  /** For each pCPU, the vCPU that owns the registers. Its stack in memory is `copy`. */
  readonly on: readonly { id: number; pcpu: number; records: LbrStack }[];
  /** What the observer has heard since the last call. */
  readonly said: () => string[];

  constructor(cpu: string) {
    const model = cpuModel(cpu);
    const layout = new Layout();
    const at = [0, 1].map(() => LogicalProcessor.allocate(layout, model));
    const stacks = [0, 1, 2].map(() => LbrStack.allocate(layout, model));
    const flags = layout.take(2);
    const memory = new Memory(layout);
    const { observer, said } = new Recorder();
    this.model = model;
    this.memory = memory;
    this.said = said;
    this.cpus = at.map((o) => new LogicalProcessor(memory, model, o));
    [this.copy, ...this.lent] = stacks.map((o) => LbrStack.at(memory, model, o));
    this.on = [0, 1].map((pcpu) => ({ id: VCPU, pcpu, records: this.copy }));
    const lentFlags = memory.words.subarray(flags, flags + 2);
    this.registers = new LbrRegisters({ pcpus: this.cpus, lent: this.lent, lentFlags, observer });
  }
}

/** The value of the first guard word. Each further guard is one larger. */
export const FIRST_GUARD = 97;

/**
 * A memory with a guard word before, between and behind its parts, so that a write outside a part
 * shows. The guards differ, so that a comparison which runs past the end of two parts finds a
 * difference.
 */
export class GuardedMemory {
  private readonly layout = new Layout();
  private readonly guards: number[] = [this.layout.take(1)];
  private memory: Memory | undefined;

  /** Reserves a part and returns its word offset. Reserve all parts before you use `whole`. */
  place(allocate: (layout: Layout) => number): number {
    const offset = allocate(this.layout);
    this.guards.push(this.layout.take(1));
    return offset;
  }

  get whole(): Memory {
    if (this.memory === undefined) {
      this.memory = new Memory(this.layout);
      for (const [i, guard] of this.guards.entries()) this.memory.words[guard] = FIRST_GUARD + i;
    }
    return this.memory;
  }

  /** Expects every guard word to be unchanged. */
  expectGuards(): void {
    const { words } = this.whole;
    expect(this.guards.map((guard) => words[guard])).toEqual(
      this.guards.map((_, i) => FIRST_GUARD + i),
    );
  }
}

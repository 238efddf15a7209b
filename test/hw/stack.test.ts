/**
 * The LBR stack in memory: processors keep their registers in it, hypervisors their copies.
 * lbr_map.test.ts covers the values that WRMSR refuses.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CPU_MODELS, type CpuModel } from '../../src/hw/cpu_models.js';
import { lbrMap } from '../../src/hw/lbr_map.js';
import { LbrStack } from '../../src/hw/lbr_stack.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { FIRST_GUARD, froms, GuardedMemory, infos, recordsOf, tos } from '../rig/cpu.js';

const MODELS = CPU_MODELS;

function registersOf(model: CpuModel): number[] {
  const controls = model.select === 'none' ? [MSR_LBR_TOS] : [MSR_LBR_TOS, MSR_LBR_SELECT];
  return [...recordsOf(model), ...controls];
}

/** Two stacks with a guard word around each, as in a hypervisor's memory. */
class Rig {
  readonly guarded = new GuardedMemory();
  readonly stacks: readonly [LbrStack, LbrStack];

  constructor(model: CpuModel) {
    const at = [0, 1].map(() => this.guarded.place((layout) => LbrStack.allocate(layout, model)));
    const [first, second] = at.map((offset) => LbrStack.at(this.guarded.whole, model, offset));
    this.stacks = [first, second];
  }
}

type Pair = readonly [low: number, high: number];
const ZERO: Pair = [0, 0];

const contents = (stack: LbrStack, msrs: readonly number[]): (readonly [number, Pair])[] =>
  msrs.map((msr) => [msr, [stack.readLow(msr), stack.readHigh(msr)]]);

/** The value that a register stores. */
function kept(model: CpuModel, msr: number, eax: number, edx: number): Pair {
  if (msr === MSR_LBR_TOS) return [((eax % model.lbr_nr) + model.lbr_nr) % model.lbr_nr, 0];
  if (msr === MSR_LBR_SELECT) return [eax, 0];
  // INFO has a 16-bit cycle count and three flags at the top. The other bits read as zero.
  return infos(model).includes(msr) ? [eax & 65535, (edx >> 29) << 29] : [eax, edx];
}

const anyWord = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 1, -(2 ** 31), -32768, 0x1fffffff));
const anyPair = fc.tuple(anyWord, anyWord);

/** A value for each register of the model. Some slots are empty. */
function anyContents(model: CpuModel): fc.Arbitrary<Map<number, Pair>> {
  const pair = fc.oneof(fc.constant(ZERO), anyPair);
  const tuple = fc.tuple(...registersOf(model).map((msr) => fc.tuple(fc.constant(msr), pair)));
  return tuple.map((pairs) => new Map<number, Pair>(pairs));
}

/** Writes all values. Returns the values that the stack then holds. */
function fill(stack: LbrStack, values: ReadonlyMap<number, Pair>): Map<number, Pair> {
  const stored = new Map<number, Pair>();
  for (const [msr, [eax, edx]] of values) {
    stack.write(msr, eax, edx);
    stored.set(msr, kept(stack.model, msr, eax, edx));
  }
  return stored;
}

type Contents = ReadonlyMap<number, Pair>;

/**
 * Moves one stack into another, with any contents, and compares. `move` returns what the first
 * stack must then hold. The arguments `before` and `source` are the contents of both before the
 * move; `all` says whether LBR_SELECT moves, too.
 */
function eachMove(
  model: CpuModel,
  numRuns: number,
  move: (stacks: Rig['stacks'], before: Contents, source: Contents, all: boolean) => Contents,
): void {
  const any = anyContents(model);
  const property = fc.property(any, any, fc.boolean(), (a, b, all) => {
    const { guarded, stacks } = new Rig(model);
    const [to, from] = stacks;
    const [before, source] = [fill(to, a), fill(from, b)];
    const expected = move(stacks, before, source, all);
    expect(contents(to, [...expected.keys()])).toEqual([...expected]);
    expect(contents(from, [...source.keys()])).toEqual([...source]);
    guarded.expectGuards();
  });
  fc.assert(property, { numRuns });
}

describe('allocate', () => {
  // States are copied and compared as whole blocks, so an unused word costs time in each state.
  it.each(MODELS)('allocate never reserves a word that no register of $name uses', (model) => {
    const records = recordsOf(model).length * 2;
    const layout = new Layout();
    expect(LbrStack.allocate(layout, model)).toBe(0);
    // The 2 words are LBR_SELECT and TOS.
    expect(layout.size).toBe(2 + records);
    expect(LogicalProcessor.allocate(layout, model)).toBe(2 + records);
    // DEBUGCTL, LBR_SELECT and TOS take a word each, GLOBAL_STATUS and GLOBAL_CTRL two each.
    expect(layout.size).toBe(2 + records + 7 + records);
  });
});

describe('LbrStack', () => {
  it.each(MODELS)(
    'each of two stacks of $name always gives back what was last written',
    (model) => {
      const registers = registersOf(model);
      const what = fc.oneof(
        { weight: 30, arbitrary: fc.constantFrom<number | 'clear' | 'wipe'>(...registers) },
        { weight: 1, arbitrary: fc.constantFrom<number | 'clear' | 'wipe'>('clear', 'wipe') },
      );
      const step = fc.record({ which: fc.constantFrom<0 | 1>(0, 1), what, value: anyPair });
      const property = fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
        const rig = new Rig(model);
        const oracles = [0, 1].map(() => new Map<number, Pair>());
        for (const { which, what: target, value } of steps) {
          const [stack, oracle] = [rig.stacks[which], oracles[which]];
          const select = oracle.get(MSR_LBR_SELECT) ?? ZERO;
          if (typeof target === 'number') {
            stack.write(target, ...value);
            oracle.set(target, kept(model, target, ...value));
          } else {
            stack[target]();
            oracle.clear();
            // Hardware that loses its records in a C-state keeps LBR_SELECT.
            if (target === 'wipe') oracle.set(MSR_LBR_SELECT, select);
          }
        }
        for (const [which, stack] of rig.stacks.entries()) {
          const oracle = oracles[which];
          const expected = registers.map((msr) => [msr, oracle.get(msr) ?? ZERO]);
          expect(contents(stack, registers)).toEqual(expected);
          expect([stack.tos, 0]).toEqual(oracle.get(MSR_LBR_TOS) ?? ZERO);
          expect([stack.lbr_select, 0]).toEqual(oracle.get(MSR_LBR_SELECT) ?? ZERO);
        }
        rig.guarded.expectGuards();
      });
      fc.assert(property, { numRuns: 40 });
    },
  );

  it.each(MODELS)(
    'a stack is always the view of the registers that a processor of $name has',
    (model) => {
      const layout = new Layout();
      const offset = LogicalProcessor.allocate(layout, model);
      const cpu = new LogicalProcessor(new Memory(layout), model, offset);
      // MsrPort defines edx and vector before the first RDMSR, too.
      expect([cpu.edx, cpu.vector]).toEqual([0, 0]);
      expect([cpu.model, cpu.stack.model]).toEqual([model, model]);
      for (const [i, msr] of registersOf(model).entries()) {
        cpu.stack.write(msr, i + 1, i);
        expect([cpu.rdmsr(msr), cpu.edx]).toEqual([
          cpu.stack.readLow(msr),
          cpu.stack.readHigh(msr),
        ]);
      }
    },
  );
});

describe('copyFrom', () => {
  it.each(MODELS)(
    'copyFrom always takes all registers of $name over, LBR_SELECT if asked',
    (model) => {
      eachMove(model, 40, ([to, from], before, source, all) => {
        to.copyFrom(from, all);
        const expected = new Map(source);
        const select = before.get(MSR_LBR_SELECT);
        if (!all && select) expected.set(MSR_LBR_SELECT, select);
        return expected;
      });
    },
  );
});

/** The repair of HSD172 in software: lbr.c:lbr_from_signext_quirk_wr() on parts without TSX. */
function repaired(model: CpuModel, msr: number, [low, high]: Pair): Pair {
  if (model.name !== 'haswell-notsx' || !froms(model).includes(msr)) return [low, high];
  const [bit60, bit59] = [(high >>> 28) & 1, (high >>> 27) & 1];
  return [low, high | (bit60 << 30) | (bit59 << 29)];
}

describe('load', () => {
  it.each(MODELS)(
    'load always leaves on $name what WRMSR of each register would leave',
    (model) => {
      eachMove(model, 60, ([to, from], before, source, all) => {
        const expected = new Map(before);
        const refused = new Set<number>();
        for (const [msr, value] of source) {
          const [low, high] = repaired(model, msr, value);
          const isRecord = recordsOf(model).includes(msr);
          if (isRecord && lbrMap(model).faults(msr, low, high)) refused.add(msr);
          else if (msr !== MSR_LBR_SELECT || all) expected.set(msr, [low, high]);
        }
        const result = to.load(from, all);
        expect(refused.size === 0 ? result === 0 : refused.has(result)).toBe(true);
        return expected;
      });
    },
  );

  it.each(MODELS)(
    'load never refuses what a processor of $name captured, and says which it does',
    (model) => {
      const [to, from] = new Rig(model).stacks;
      const captured = model.lbr_format === 4 ? 0x1fffffff : -1;
      for (const msr of froms(model)) from.write(msr, 0x10, captured);
      for (const msr of tos(model)) from.write(msr, 0x20, -1);
      expect(to.load(from, true)).toBe(0);
      for (const [base, column] of [
        [model.lbr_from, 'fromFaults'],
        [model.lbr_to, 'toFaults'],
      ] as const) {
        for (let i = 0; i < model.lbr_nr; i++) {
          const wrong = 0x00010000;
          const [low, high] = [from.readLow(base + i), from.readHigh(base + i)];
          from.write(base + i, 1, wrong);
          expect(to.load(from, true)).toBe(lbrMap(model)[column](wrong) ? base + i : 0);
          from.write(base + i, low, high);
        }
      }
    },
  );
});

const isEmpty = ([low, high]: Pair): boolean => low === 0 && high === 0;

describe('differsFrom', () => {
  it.each(MODELS)(
    'differsFrom asks about each record of $name that the other has not, and no other',
    (model) => {
      const half = fc.constantFrom<Pair>([0, 0], [1, 0], [0, 1], [1, 1], [-1, -1]);
      const words = fc.array(half, { minLength: model.lbr_nr, maxLength: model.lbr_nr });
      const property = fc.property(words, words, words, (mine, theirs, noise) => {
        // The stack at the higher offset: a bound that omits the offset ends too early here.
        const [other, stack] = new Rig(model).stacks;
        for (let i = 0; i < model.lbr_nr; i++) {
          stack.write(model.lbr_from + i, ...mine[i]);
          other.write(model.lbr_from + i, ...theirs[i]);
          // A difference in TO alone does not count: a record is empty if its FROM is 0.
          stack.write(model.lbr_to + i, ...noise[i]);
        }
        const asked: number[] = [];
        const found = stack.differsFrom(other, (edx) => {
          asked.push(edx);
          return false;
        });
        const own = mine.filter(
          (pair, i) => !isEmpty(pair) && (pair[0] !== theirs[i][0] || pair[1] !== theirs[i][1]),
        );
        expect(found).toBe(false);
        expect(asked).toEqual(own.map(([, high]) => high));
        for (const high of [0, 1, -1]) {
          const expected = own.some((pair) => pair[1] === high);
          expect(stack.differsFrom(other, (edx) => edx === high)).toBe(expected);
        }
      });
      fc.assert(property);
    },
  );
});

describe('empty', () => {
  it.each(MODELS)(
    'empty always holds on $name unless some FROM, first to last, is not 0',
    (model) => {
      for (const stack of new Rig(model).stacks) {
        for (const msr of [...tos(model), ...infos(model), MSR_LBR_TOS])
          stack.write(msr, 1, 1 << 31);
        expect(stack.empty).toBe(true);
        for (const msr of froms(model)) {
          for (const value of [0, 1].map((low): Pair => [low, 1 - low])) {
            stack.write(msr, ...value);
            expect(stack.empty).toBe(false);
          }
          stack.write(msr, 0, 0);
          expect(stack.empty).toBe(true);
        }
      }
    },
  );
});

describe('has', () => {
  it.each(MODELS)('has always finds a FROM of $name by both of its words together', (model) => {
    const half = fc.constantFrom<Pair>([0, 0], [1, 0], [0, 1], [1, 1], [-1, -1]);
    const words = fc.array(half, { minLength: model.lbr_nr, maxLength: model.lbr_nr });
    const property = fc.property(words, words, (from, noise) => {
      const [, stack] = new Rig(model).stacks;
      for (let i = 0; i < model.lbr_nr; i++) {
        stack.write(model.lbr_from + i, ...from[i]);
        stack.write(model.lbr_to + i, ...noise[i]);
      }
      for (const [low, high] of [0, 1, -1, 2].flatMap((a) => [0, 1, -1].map((b) => [a, b]))) {
        const expected = from.some((pair) => pair[0] === low && pair[1] === high);
        expect(stack.has(low, (edx) => edx === high)).toBe(expected);
      }
    });
    fc.assert(property);
  });

  it.each(MODELS)(
    'has always looks at each slot of $name, first to last, and never outside',
    (model) => {
      for (const stack of new Rig(model).stacks) {
        for (const guard of [0, 1, 2].map((i) => FIRST_GUARD + i)) {
          expect(stack.has(guard, () => true)).toBe(false);
        }
        for (const msr of froms(model)) {
          stack.write(msr, 7, 5);
          expect(stack.has(7, (edx) => edx === 5)).toBe(true);
          stack.write(msr, 0, 0);
        }
      }
    },
  );
});

/**
 * The LBR stack in memory, and the rules for its registers that hypervisors apply to their copies
 * of it. What the registers of a processor do with the same rules is in hw_lbr_model.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import {
  debugctlValid,
  fromFaults,
  GLOBAL_CTRL_HI,
  GLOBAL_CTRL_LO,
  LbrStack,
  LogicalProcessor,
  lbrRegister,
  lbrWriteFaults,
  recordWords,
  selectValid,
  toFaults,
} from '../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../src/hw/memory.js';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from '../../src/hw/msr_index.js';

const core2 = CPU_MODELS[0];
const FORMAT_32: CpuModel = { ...core2, name: 'format 32', lbr_format: 0 };
const MODELS: readonly CpuModel[] = [...CPU_MODELS, FORMAT_32];

const bank = (base: number, { lbr_nr }: CpuModel): number[] =>
  base === 0 ? [] : Array.from({ length: lbr_nr }, (_, i) => base + i);
const froms = (model: CpuModel): number[] => bank(model.lbr_from, model);
const infos = (model: CpuModel): number[] => bank(model.lbr_info, model);
const recordsOf = (model: CpuModel): number[] => [
  ...froms(model),
  ...bank(model.lbr_to, model),
  ...infos(model),
];
const ALL_INDICES = Array.from({ length: 4096 }, (_, msr) => msr);
const anyWord = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 1, -(2 ** 31)));

describe('recordWords', () => {
  it.each(MODELS)(
    'always counts a low and a high word per register of a record of $name',
    (model) => {
      expect(recordWords(model)).toBe(model.name === 'skylake' ? 6 : 4);
    },
  );
});

describe('allocate', () => {
  // States are copied and compared as whole blocks: a word that no register uses costs every time.
  it.each(MODELS)('never reserves a word that no register of $name uses', (model) => {
    const records = model.lbr_nr * recordWords(model);
    const layout = new Layout();
    expect(LbrStack.allocate(layout, model)).toBe(0);
    // LBR_SELECT and TOS.
    expect(layout.size).toBe(2 + records);
    expect(LogicalProcessor.allocate(layout, model)).toBe(2 + records);
    // DEBUGCTL, LBR_SELECT and TOS in a word each, GLOBAL_STATUS and GLOBAL_CTRL in two.
    expect(layout.size).toBe(2 + records + 7 + records);
  });
});

describe('GLOBAL_CTRL', () => {
  it('always has four general counters in its low half and three fixed ones in its high half', () => {
    expect([GLOBAL_CTRL_LO, GLOBAL_CTRL_HI]).toEqual([15, 7]);
  });
});

describe('debugctlValid', () => {
  // SDM: Vol. 3B, "IA32_DEBUGCTL MSR": bits 5:2 are reserved, bit 15 needs RTM.
  it.each(MODELS)(
    'always allows on $name the bits the SDM defines, RTM_DEBUG with TSX only',
    (model) => {
      const bits = [0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14];
      if (['haswell', 'skylake'].includes(model.name)) bits.push(15);
      expect(debugctlValid(model)).toBe(bits.reduce((sum, n) => sum + 2 ** n, 0));
    },
  );
});

describe('selectValid', () => {
  it.each(MODELS)('always allows EN_CALLSTACK on $name only if it has call stacks', (model) => {
    const callStacks = ['haswell', 'haswell-notsx', 'skylake', 'goldmont'].includes(model.name);
    expect(selectValid(model)).toBe(callStacks ? 1023 : 511);
  });
});

describe('lbrRegister', () => {
  it.each(MODELS)('always names every index from 0 to 4095 as $name lays them out', (model) => {
    const noSelect = ['core2', 'atom', 'format 32'].includes(model.name);
    const names = new Map<number, string>([[MSR_LBR_TOS, 'tos']]);
    if (!noSelect) names.set(MSR_LBR_SELECT, 'select');
    for (const msr of froms(model)) names.set(msr, 'from');
    for (const msr of bank(model.lbr_to, model)) names.set(msr, 'to');
    for (const msr of infos(model)) names.set(msr, 'info');
    const expected = ALL_INDICES.map((msr) => names.get(msr) ?? 'none');
    expect(ALL_INDICES.map((msr) => lbrRegister(model, msr))).toEqual(expected);
  });
});

/** Bits above 47 of FROM, and of TO, that need not repeat bit 47. */
const FREE: Readonly<Record<string, readonly [from: readonly number[], to: readonly number[]]>> = {
  nehalem: [[63], []],
  sandybridge: [[63], []],
  knl: [[63], []],
  haswell: [[61, 62, 63], []],
  // Specification update HSD172: without TSX, bits 62:61 count as sign extension.
  'haswell-notsx': [[63], []],
  goldmont: [[63], Array.from({ length: 16 }, (_, i) => 48 + i)],
  'format 32': [
    Array.from({ length: 16 }, (_, i) => 48 + i),
    Array.from({ length: 16 }, (_, i) => 48 + i),
  ],
};

const flips = (bits: readonly number[]): number =>
  bits.reduce((word, n) => word ^ (1 << (n - 32)), 0);
const canonicalHigh = fc.integer({ min: -32768, max: 32767 });
const upperBits = fc.subarray(Array.from({ length: 16 }, (_, i) => 48 + i));

describe.each([
  ['fromFaults', fromFaults, 0],
  ['toFaults', toFaults, 1],
] as const)('%s', (_name, faults, column) => {
  it.each(MODELS)('never refuses a canonical address on $name', (model) => {
    for (let edx = -32768; edx < 32768; edx++) {
      if (faults(model, edx)) throw new Error(`refuses ${edx}`);
    }
  });

  it.each(MODELS)(
    'always refuses on $name any wrong bit above 47 unless the format frees it',
    (model) => {
      const free = FREE[model.name]?.[column] ?? [];
      fc.assert(
        fc.property(canonicalHigh, upperBits, (edx, bits) => {
          const bad = bits.some((n) => !free.includes(n));
          expect(faults(model, edx ^ flips(bits))).toBe(bad);
        }),
        { numRuns: 300 },
      );
      for (const edx of [0, 0x7fff, -1, -32768]) {
        for (let n = 48; n < 64; n++)
          expect(faults(model, edx ^ flips([n]))).toBe(!free.includes(n));
      }
    },
  );
});

describe('lbrWriteFaults', () => {
  it.each(MODELS)(
    'always applies the rule of the register that the index names on $name',
    (model) => {
      fc.assert(
        fc.property(fc.constantFrom(...recordsOf(model)), anyWord, anyWord, (msr, eax, edx) => {
          const expected = froms(model).includes(msr)
            ? fromFaults(model, edx)
            : !infos(model).includes(msr) && toFaults(model, edx);
          expect(lbrWriteFaults(model, msr, eax, edx)).toBe(expected);
          expect(lbrWriteFaults(model, MSR_LBR_TOS, eax, edx)).toBe(false);
        }),
      );
    },
  );

  it.each(MODELS)('always refuses each reserved bit of LBR_SELECT on $name', (model) => {
    const exists = lbrRegister(model, MSR_LBR_SELECT) === 'select';
    for (let n = 0; n < 32; n++) {
      const allowed = exists && n < (selectValid(model) === 1023 ? 10 : 9);
      expect(lbrWriteFaults(model, MSR_LBR_SELECT, 1 << n, 0)).toBe(!allowed);
      expect(lbrWriteFaults(model, MSR_LBR_SELECT, 0, 1 << n)).toBe(true);
    }
    expect(lbrWriteFaults(model, MSR_LBR_SELECT, 0, 0)).toBe(!exists);
  });

  it.each(MODELS)('always refuses an index that is no LBR register of $name', (model) => {
    const known = new Set([...recordsOf(model), MSR_LBR_TOS, MSR_LBR_SELECT]);
    const accepted = ALL_INDICES.filter((msr) => !lbrWriteFaults(model, msr, 0, 0));
    expect(accepted.filter((msr) => !known.has(msr))).toEqual([]);
  });
});

/** Two copies with a guard word around each, as a hypervisor's memory would hold them. */
function copies(model: CpuModel): { memory: Memory; stacks: LbrStack[]; guards: number[] } {
  const layout = new Layout();
  const guards = [layout.take(1)];
  const offsets = [0, 1].map(() => {
    const offset = LbrStack.allocate(layout, model);
    guards.push(layout.take(1));
    return offset;
  });
  const memory = new Memory(layout);
  for (const guard of guards) memory.words[guard] = 99;
  return { memory, stacks: offsets.map((offset) => LbrStack.at(memory, model, offset)), guards };
}

/** What a register keeps of a value, low word first. */
function kept(model: CpuModel, msr: number, eax: number, edx: number): readonly [number, number] {
  if (msr === MSR_LBR_TOS) return [((eax % model.lbr_nr) + model.lbr_nr) % model.lbr_nr, 0];
  if (msr === MSR_LBR_SELECT) return [eax, 0];
  // INFO has a 16-bit cycle count and three flags at the top; the rest reads as zero.
  return infos(model).includes(msr) ? [eax & 65535, (edx >> 29) << 29] : [eax, edx];
}

describe('LbrStack', () => {
  it.each(MODELS)(
    'always gives back what was last written, in each of two copies of $name',
    (model) => {
      const registers = [...recordsOf(model), MSR_LBR_SELECT, MSR_LBR_TOS];
      const value = fc.tuple(anyWord, anyWord);
      const write = fc.record({ which: fc.nat(1), msr: fc.constantFrom(...registers), value });
      const clear = fc.record({ which: fc.nat(1), msr: fc.constant(undefined), value });
      const step = fc.oneof({ weight: 30, arbitrary: write }, { weight: 1, arbitrary: clear });
      const steps = fc.array(step, { maxLength: 150, size: 'max' });
      const property = fc.property(steps, (list) => {
        const { memory, stacks, guards } = copies(model);
        const oracles = [0, 1].map(() => new Map<number, readonly [number, number]>());
        for (const {
          which,
          msr,
          value: [eax, edx],
        } of list) {
          if (msr === undefined) {
            stacks[which].clear();
            oracles[which].clear();
          } else {
            stacks[which].write(msr, eax, edx);
            oracles[which].set(msr, kept(model, msr, eax, edx));
          }
        }
        for (const [which, stack] of stacks.entries()) {
          const found = registers.map((msr) => [msr, stack.readLow(msr), stack.readHigh(msr)]);
          const zero = [0, 0] as const;
          const expected = registers.map((msr) => [msr, ...(oracles[which].get(msr) ?? zero)]);
          expect(found).toEqual(expected);
          expect(stack.tos).toBe(stack.readLow(MSR_LBR_TOS));
          expect(stack.lbr_select).toBe(stack.readLow(MSR_LBR_SELECT));
          expect(stack.model).toBe(model);
        }
        expect(guards.map((guard) => memory.words[guard])).toEqual([99, 99, 99]);
      });
      fc.assert(property, { numRuns: 40 });
    },
  );

  it.each(MODELS)(
    'always locates the registers of $name in words of their own, others at -1',
    (model) => {
      const [stack] = copies(model).stacks;
      const words = recordsOf(model).map((msr) => stack.locate(msr));
      expect(words.toSorted((a, b) => a - b)).toEqual(words.map((_, i) => stack.records + 2 * i));
      for (const msr of ALL_INDICES.filter((i) => !recordsOf(model).includes(i))) {
        expect(stack.locate(msr)).toBe(-1);
      }
    },
  );

  it.each(MODELS)('always is the view of the registers that a processor of $name has', (model) => {
    const layout = new Layout();
    const offset = LogicalProcessor.allocate(layout, model);
    const cpu = new LogicalProcessor(new Memory(layout), model, offset);
    const { stack } = cpu;
    for (const [i, msr] of [...recordsOf(model), MSR_LBR_TOS].entries()) {
      stack.write(msr, i + 1, i);
      expect([cpu.rdmsr(msr), cpu.edx]).toEqual([stack.readLow(msr), stack.readHigh(msr)]);
    }
  });
});

describe('someRecord', () => {
  it.each(MODELS)('always shows FROM edx of each record of $name that is not empty', (model) => {
    const halves = fc.constantFrom<readonly [number, number]>([0, 0], [1, 0], [0, 1], [-1, -1]);
    const content = fc.array(halves, { minLength: model.lbr_nr, maxLength: model.lbr_nr });
    const property = fc.property(content, content, (from, to) => {
      const [stack] = copies(model).stacks;
      for (let i = 0; i < model.lbr_nr; i++) {
        stack.write(model.lbr_from + i, from[i][0], from[i][1]);
        stack.write(model.lbr_to + i, to[i][0], to[i][1]);
      }
      const seen: number[] = [];
      const found = stack.someRecord((edx) => {
        seen.push(edx);
        return false;
      });
      expect(found).toBe(false);
      const full = from.filter(([eax, edx]) => eax !== 0 || edx !== 0);
      expect(seen).toEqual(full.map(([, edx]) => edx));
      for (const edx of [0, 1, -1]) {
        expect(stack.someRecord((word) => word === edx)).toBe(
          full.some(([, word]) => word === edx),
        );
      }
    });
    fc.assert(property);
  });
});

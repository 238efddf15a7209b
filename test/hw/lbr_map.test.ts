/**
 * Which register each MSR index means, and which values the registers refuse. A processor and the
 * copies in hypervisors share these rules. Expected answers are literal tables.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CPU_MODELS, type CpuModel, withDepth } from '../../src/hw/cpu_models.js';
import * as map from '../../src/hw/lbr_map.js';
import { LbrMap, lbrMap, recordWords, selectValid } from '../../src/hw/lbr_map.js';
import { debugctlValid, GLOBAL_CTRL_HI, GLOBAL_CTRL_LO } from '../../src/hw/logical_processor.js';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { froms, infos, tos } from '../rig/cpu.js';

const MODELS: readonly CpuModel[] = [
  ...CPU_MODELS,
  { ...CPU_MODELS[0], name: 'format 32', lbr_format: 0 },
];

const hasSelect = (model: CpuModel): boolean =>
  !['core2', 'atom', 'format 32'].includes(model.name);

/** KIND_* of every LBR MSR of the model. */
function kindsOf(model: CpuModel): Map<number, number> {
  const kinds = new Map([[MSR_LBR_TOS, map.KIND_TOS]]);
  if (hasSelect(model)) kinds.set(MSR_LBR_SELECT, map.KIND_SELECT);
  for (const msr of froms(model)) kinds.set(msr, map.KIND_FROM);
  for (const msr of tos(model)) kinds.set(msr, map.KIND_TO);
  for (const msr of infos(model)) kinds.set(msr, map.KIND_INFO);
  return kinds;
}

/** Indices past the end of the map must map to nothing, too. */
const INDICES = [...Array.from({ length: 8192 }, (_, msr) => msr), 2 ** 31, 2 ** 32 - 1];

const WITH_INFO = ['skylake', 'icelake', 'tigerlake', 'goldmont-plus'];

describe('recordWords', () => {
  it.each(MODELS)('recordWords counts two words per register of a record of $name', (model) => {
    expect(recordWords(model)).toBe(WITH_INFO.includes(model.name) ? 6 : 4);
  });
});

describe('GLOBAL_CTRL', () => {
  it('GLOBAL_CTRL has four general counters in its low half, three fixed in its high', () => {
    expect([GLOBAL_CTRL_LO, GLOBAL_CTRL_HI]).toEqual([15, 7]);
  });
});

describe('debugctlValid', () => {
  // SDM: Vol. 3B, "IA32_DEBUGCTL MSR": bits 5:2 are reserved, bit 15 needs RTM.
  it.each(MODELS)(
    'debugctlValid allows on $name the bits of the SDM, RTM_DEBUG with TSX only',
    (model) => {
      const bits = [0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14];
      if (['haswell', 'skylake', 'icelake'].includes(model.name)) bits.push(15);
      expect(debugctlValid(model)).toBe(bits.reduce((sum, n) => sum + 2 ** n, 0));
    },
  );
});

describe('selectValid', () => {
  it.each(MODELS)(
    'selectValid allows EN_CALLSTACK on $name only if it has call stacks',
    (model) => {
      const older = ['haswell', 'haswell-notsx', 'goldmont'];
      const callStacks = [...older, ...WITH_INFO].includes(model.name);
      expect(selectValid(model)).toBe(callStacks ? 1023 : 511);
    },
  );
});

describe('lbrMap', () => {
  it('lbrMap always gives one map to one model, and never the map of another', () => {
    const [model] = CPU_MODELS;
    expect(lbrMap(model)).toBe(lbrMap(model));
    expect(new Set(MODELS.map(lbrMap)).size).toBe(MODELS.length);
    const shallow = withDepth(model, 2);
    expect(lbrMap(shallow).kind(model.lbr_from + 2)).toBe(map.KIND_NONE);
    expect(lbrMap(model).kind(model.lbr_from + 2)).toBe(map.KIND_FROM);
  });
});

describe('KIND_*', () => {
  it('two kinds of registers never have one number', () => {
    const kinds = Object.entries(map).filter(([name]) => name.startsWith('KIND_'));
    expect(new Set(kinds.map(([, kind]) => kind)).size).toBe(6);
  });
});

describe('kind', () => {
  it.each(MODELS)('kind always names every index as $name lays them out', (model) => {
    const kinds = kindsOf(model);
    const expected = INDICES.map((msr) => kinds.get(msr) ?? map.KIND_NONE);
    expect(INDICES.map((msr) => lbrMap(model).kind(msr))).toEqual(expected);
  });
});

describe('offset', () => {
  it.each(MODELS)(
    'offset always lays FROM, TO and INFO of a slot of $name side by side',
    (model) => {
      for (const [i, msr] of froms(model).entries()) {
        expect(lbrMap(model).offset(msr)).toBe(i * recordWords(model));
        expect(lbrMap(model).offset(tos(model)[i])).toBe(i * recordWords(model) + 2);
      }
      for (const [i, msr] of infos(model).entries()) {
        expect(lbrMap(model).offset(msr)).toBe(i * 6 + 4);
      }
    },
  );
});

describe('bit', () => {
  it.each(MODELS)(
    'bit always numbers the LBR MSRs of $name from 0 to count, each once',
    (model) => {
      const msrs = [...kindsOf(model).keys()];
      expect(lbrMap(model).count).toBe(msrs.length);
      const bits = msrs.map((msr) => lbrMap(model).bit(msr)).toSorted((a, b) => a - b);
      expect(bits).toEqual(msrs.map((_, i) => i));
    },
  );
});

const UPPER = Array.from({ length: 16 }, (_, i) => 48 + i);

/** Bits above 47 of FROM and of TO that need not repeat bit 47. */
const FREE: Readonly<Record<string, readonly [from: readonly number[], to: readonly number[]]>> = {
  nehalem: [[63], []],
  sandybridge: [[63], []],
  knl: [[63], []],
  haswell: [[61, 62, 63], []],
  // Specification update HSD172: without TSX, bits 62:61 count as sign extension.
  'haswell-notsx': [[63], []],
  goldmont: [[63], UPPER],
  'format 32': [UPPER, UPPER],
};

const flips = (bits: readonly number[]): number =>
  bits.reduce((word, n) => word ^ (1 << (n - 32)), 0);

describe.each([
  ['fromFaults', 0],
  ['toFaults', 1],
] as const)('%s', (name, column) => {
  const faults = (model: CpuModel, edx: number): boolean => lbrMap(model)[name](edx);

  it.each(MODELS)(`${name} never refuses a canonical address on $name`, (model) => {
    const words = Array.from({ length: 65536 }, (_, i) => i - 32768);
    expect(words.filter((edx) => faults(model, edx))).toEqual([]);
  });

  it.each(MODELS)(
    `${name} always refuses on $name a wrong bit above 47 that is not free`,
    (model) => {
      const free = FREE[model.name]?.[column] ?? [];
      const address = fc.integer({ min: -32768, max: 32767 });
      fc.assert(
        fc.property(address, fc.subarray(UPPER), (edx, bits) => {
          const bad = bits.some((n) => !free.includes(n));
          expect(faults(model, edx ^ flips(bits))).toBe(bad);
        }),
        { numRuns: 300 },
      );
      for (const edx of [0, 0x7fff, -1, -32768]) {
        const refused = UPPER.filter((n) => faults(model, edx ^ flips([n])));
        expect(refused).toEqual(UPPER.filter((n) => !free.includes(n)));
      }
    },
  );
});

describe('faults', () => {
  const anyWord = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 1, -(2 ** 31), -32768));

  it.each(MODELS)(
    'faults always applies the rule of the register that the index names on $name',
    (model) => {
      const lbr = new LbrMap(model);
      const anyMsr = fc.constantFrom(...froms(model), ...tos(model), ...infos(model));
      fc.assert(
        fc.property(anyMsr, anyWord, anyWord, (msr, eax, edx) => {
          const expected = froms(model).includes(msr)
            ? lbr.fromFaults(edx)
            : !infos(model).includes(msr) && lbr.toFaults(edx);
          expect(lbr.faults(msr, eax, edx)).toBe(expected);
          expect(lbr.faults(MSR_LBR_TOS, eax, edx)).toBe(false);
        }),
      );
    },
  );

  it.each(MODELS)('faults always refuses each reserved bit of LBR_SELECT on $name', (model) => {
    const lbr = lbrMap(model);
    for (let n = 0; n < 32; n++) {
      const allowed = hasSelect(model) && n < (selectValid(model) === 1023 ? 10 : 9);
      expect(lbr.faults(MSR_LBR_SELECT, 1 << n, 0)).toBe(!allowed);
      expect(lbr.faults(MSR_LBR_SELECT, 0, 1 << n)).toBe(true);
    }
    expect(lbr.faults(MSR_LBR_SELECT, 0, 0)).toBe(!hasSelect(model));
  });

  it.each(MODELS)('faults always refuses an index that is no LBR register of $name', (model) => {
    const accepted = INDICES.filter((msr) => !lbrMap(model).faults(msr, 0, 0));
    expect(new Set(accepted)).toEqual(new Set(kindsOf(model).keys()));
  });
});

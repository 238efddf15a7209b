/**
 * The model's constants, compared with literal tables that are written a second time in the
 * notation of the SDM and the kernel. A typing error would have to be made in both. MSR indices are
 * parsed from strings, because only src/hw/msr_index.ts may have them as literals.
 */
import { describe, expect, it } from 'vitest';
import { assert, ModelInvariantError, unreachable } from '../../src/hw/assert.js';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import * as models from '../../src/hw/cpu_models.js';
import {
  CPU_MODELS,
  findCpuModel,
  LBR_INITS,
  siliconOf,
  withDepth,
} from '../../src/hw/cpu_models.js';
import { addressOf, Layout, Memory } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import { GP_VECTOR } from '../../src/hw/msr_port.js';
import { hex, hex64 } from '../../src/hw/u64.js';

const index = (digits: string): number => Number.parseInt(digits, 16);
/** A bit of eax. */
const low = (n: number): number => 2 ** n;
/** A bit of edx, numbered from 32, as a signed word. */
const high = (n: number): number => Number(BigInt.asIntN(32, 1n << BigInt(n - 32)));

describe('msr_index', () => {
  it('each MSR has the index and each bit the place that the SDM lists', () => {
    expect({ ...msrs }).toEqual({
      MSR_LBR_CORE_FROM: 64,
      MSR_LBR_CORE_TO: 96,
      MSR_LBR_SELECT: index('1c8'),
      LBR_KERNEL: low(0),
      LBR_USER: low(1),
      LBR_JCC: low(2),
      LBR_REL_CALL: low(3),
      LBR_IND_CALL: low(4),
      LBR_RETURN: low(5),
      LBR_IND_JMP: low(6),
      LBR_REL_JMP: low(7),
      LBR_FAR: low(8),
      LBR_CALL_STACK: low(9),
      MSR_LBR_TOS: index('1c9'),
      MSR_IA32_DEBUGCTLMSR: index('1d9'),
      DEBUGCTLMSR_LBR: low(0),
      DEBUGCTLMSR_BTF: low(1),
      DEBUGCTLMSR_BUS_LOCK_DETECT: low(2),
      DEBUGCTLMSR_TR: low(6),
      DEBUGCTLMSR_BTS: low(7),
      DEBUGCTLMSR_BTINT: low(8),
      DEBUGCTLMSR_BTS_OFF_OS: low(9),
      DEBUGCTLMSR_BTS_OFF_USR: low(10),
      DEBUGCTLMSR_FREEZE_LBRS_ON_PMI: low(11),
      DEBUGCTLMSR_FREEZE_PERFMON_ON_PMI: low(12),
      DEBUGCTLMSR_UNCORE_PMI: low(13),
      DEBUGCTLMSR_FREEZE_IN_SMM: low(14),
      DEBUGCTLMSR_RTM_DEBUG: low(15),
      MSR_IA32_PERF_CAPABILITIES: index('345'),
      PERF_CAP_LBR_FMT: 63,
      PERF_CAP_FREEZE_IN_SMM: low(12),
      MSR_CORE_PERF_GLOBAL_STATUS: index('38e'),
      GLOBAL_STATUS_LBRS_FROZEN_HI: high(58),
      GLOBAL_STATUS_COUNTERS_FROZEN_HI: high(59),
      GLOBAL_STATUS_COND_CHG_HI: high(63),
      MSR_CORE_PERF_GLOBAL_CTRL: index('38f'),
      MSR_CORE_PERF_GLOBAL_OVF_CTRL: index('390'),
      MSR_CORE_PERF_GLOBAL_STATUS_SET: index('391'),
      MSR_LBR_NHM_FROM: index('680'),
      MSR_LBR_NHM_TO: index('6c0'),
      LBR_FROM_FLAG_MISPRED_HI: high(63),
      LBR_FROM_SIGNEXT_2MSB_HI: high(60) | high(59),
      LBR_FROM_FLAG_IN_TX_HI: high(62),
      LBR_FROM_FLAG_ABORT_HI: high(61),
      MSR_LBR_INFO_0: index('dc0'),
      LBR_INFO_MISPRED_HI: high(63),
      LBR_INFO_IN_TX_HI: high(62),
      LBR_INFO_ABORT_HI: high(61),
      LBR_INFO_CYCLES: 65535,
    });
  });

  it('GP_VECTOR is the vector of #GP', () => {
    expect(GP_VECTOR).toBe(13);
  });
});

type Row = readonly [
  name: string,
  depth: number,
  format: number,
  from: string,
  to: string,
  info: string,
  select: CpuModel['select'],
  callstack: boolean,
  pmu_version: number,
  tsx: boolean,
  cstateWipe: boolean,
  models: string,
];

/** SDM Vol. 3B, "LBR Stack Size and TOS Pointer Range"; the kernel where the SDM is silent. */
const ROWS: readonly Row[] = [
  ['core2', 4, 1, '40', '60', '0', 'none', false, 2, false, false, '0F 17 1D'],
  ['atom', 8, 1, '40', '60', '0', 'none', false, 3, false, false, '1C 26 27 35 36'],
  ['silvermont', 8, 1, '40', '60', '0', 'nhm', false, 3, false, false, '37 4A 4C 4D 5A 5D'],
  ['nehalem', 16, 3, '680', '6c0', '0', 'nhm', false, 3, false, false, '1A 1E 1F 2E 25 2C 2F'],
  ['sandybridge', 16, 3, '680', '6c0', '0', 'snb', false, 3, false, false, '2A 2D 3A 3E'],
  ['haswell', 16, 4, '680', '6c0', '0', 'snb', true, 3, true, true, '3C 3F 45 46 3D 47 4F 56'],
  [
    'haswell-notsx',
    16,
    4,
    '680',
    '6c0',
    '0',
    'snb',
    true,
    3,
    false,
    true,
    '3C 3F 45 46 3D 47 4F 56',
  ],
  ['skylake', 32, 5, '680', '6c0', 'dc0', 'snb', true, 4, true, true, '4E 5E 55 8E 9E A5 A6 66'],
  ['knl', 8, 3, '680', '6c0', '0', 'snb', false, 3, false, false, '57 85'],
  ['goldmont', 32, 6, '680', '6c0', '0', 'snb', true, 4, false, true, '5C 5F'],
  ['icelake', 32, 5, '680', '6c0', 'dc0', 'snb', true, 5, true, true, '6A 6C'],
  ['tigerlake', 32, 5, '680', '6c0', 'dc0', 'snb', true, 5, false, true, '8C 8D 7D 7E A7'],
  ['goldmont-plus', 32, 7, '680', '6c0', 'dc0', 'snb', true, 4, false, true, '7A 86 96 9C'],
];

const UARCHS = [
  'Core 2 (65 and 45 nm)',
  'Bonnell, Saltwell',
  'Silvermont, Airmont',
  'Nehalem, Westmere',
  'Sandy Bridge, Ivy Bridge',
  'Haswell, Broadwell, TSX on',
  'Haswell, Broadwell with TSX absent or disabled',
  'Skylake to Comet Lake, client and server',
  'Knights Landing, Knights Mill',
  'Goldmont',
  'Ice Lake server',
  'Ice Lake client, Tiger Lake, Rocket Lake: no TSX',
  'Goldmont Plus, Tremont',
];

describe('CPU_MODELS', () => {
  it('CPU_MODELS holds exactly the rows of the literal table, in its order', () => {
    expect(CPU_MODELS.map((model) => model.name)).toEqual(ROWS.map(([name]) => name));
    expect(CPU_MODELS.map((model) => model.uarch)).toEqual(UARCHS);
  });

  it('the table has aborts recorded twice on Haswell, and on no other CPU', () => {
    const twice = CPU_MODELS.filter((model) => model.doubleAbort);
    expect(twice.map(({ name }) => name)).toEqual(['haswell', 'haswell-notsx']);
  });

  // Specification updates HSD080 and HSM083: of Haswell, and of no other CPU.
  it('the table has zero-length calls pushed on Haswell, and on no other CPU', () => {
    const pushed = CPU_MODELS.filter((model) => model.zeroCallPushed);
    expect(pushed.map(({ name }) => name)).toEqual(['haswell', 'haswell-notsx']);
  });

  it.each(ROWS.map((row) => ({ name: row[0], row })))(
    'the row of $name has the facts of the literal table',
    ({ row }) => {
      const [name, lbr_nr, lbr_format, from, to, info, select, callstack, ...rest] = row;
      const [pmu_version, tsx, cstateWipe, numbers] = rest;
      expect(findCpuModel(name)).toMatchObject({
        name,
        lbr_nr,
        lbr_format,
        lbr_from: index(from),
        lbr_to: index(to),
        lbr_info: index(info),
        select,
        callstack,
        pmu_version,
        tsx,
        cstateWipe,
        models: numbers.replaceAll(/\w+/g, '06_$&').replaceAll(' ', ', '),
      });
    },
  );

  // Linux 6.1, core.c:intel_pmu_init(), by DisplayModel.
  it('each row names the init function of lbr.c that the kernel picks', () => {
    const inits = CPU_MODELS.map(({ name, lbrInit }) => `${name} ${lbrInit}`);
    expect(inits.join(', ')).toBe(
      'core2 core, atom atom, silvermont slm, nehalem nhm, sandybridge snb, haswell hsw, ' +
        'haswell-notsx hsw, skylake skl, knl knl, goldmont skl, icelake skl, tigerlake skl, ' +
        'goldmont-plus skl',
    );
    expect(LBR_INITS).toEqual('core atom slm nhm snb hsw skl knl'.split(' '));
  });

  it.each(CPU_MODELS)('the row of $name says where it is from and how sure it is', (row) => {
    expect(row.cites).toMatch(/(SDM Vol\. 3B|Linux 6\.1|[Ss]pecification update).*\[\w+\]/s);
    expect(row.cites).toMatch(/\[(stated|deduced|assumed)\]/);
  });

  it.each(CPU_MODELS)('two banks of $name never overlap', (model) => {
    const bases = [model.lbr_from, model.lbr_to, model.lbr_info].filter((base) => base !== 0);
    const indices = bases.flatMap((base) =>
      Array.from({ length: model.lbr_nr }, (_, i) => base + i),
    );
    expect(new Set(indices).size).toBe(bases.length * model.lbr_nr);
  });
});

describe('LBR_FORMAT_*', () => {
  it('LBR_FORMAT_* count as IA32_PERF_CAPABILITIES does', () => {
    const formats = Object.entries(models).filter(([name]) => name.startsWith('LBR_FORMAT_'));
    expect(Object.fromEntries(formats)).toEqual({
      LBR_FORMAT_32: 0,
      LBR_FORMAT_LIP: 1,
      LBR_FORMAT_EIP: 2,
      LBR_FORMAT_EIP_FLAGS: 3,
      LBR_FORMAT_EIP_FLAGS2: 4,
      LBR_FORMAT_INFO: 5,
      LBR_FORMAT_TIME: 6,
      LBR_FORMAT_INFO2: 7,
    });
  });
});

describe('findCpuModel', () => {
  it('findCpuModel always finds the row of the name, and never another', () => {
    for (const model of CPU_MODELS) expect(findCpuModel(model.name)).toBe(model);
    expect(findCpuModel('')).toBeUndefined();
    expect(findCpuModel('Haswell')).toBeUndefined();
    expect(findCpuModel('haswell-')).toBeUndefined();
  });
});

describe('withDepth', () => {
  it.each(CPU_MODELS)('withDepth never changes anything of $name except its depth', (model) => {
    const before = { ...model };
    const other = withDepth(model, 2);
    expect(other).toEqual({ ...before, name: `${model.name}/2`, lbr_nr: 2 });
    expect(model).toEqual(before);
    const depth = model.lbr_nr === 4 ? 8 : 4;
    const name = `${model.name}/${depth}`;
    expect(withDepth(other, depth)).toEqual({ ...before, name, lbr_nr: depth });
    expect(withDepth(other, model.lbr_nr)).toBe(model);
    expect(siliconOf(other)).toBe(model);
    expect(findCpuModel(other.name)).toEqual(other);
  });

  it.each(['haswell/3', 'haswell/', 'haswell/4/4', 'haswell/64', '/4', 'nosuch/4'])(
    'no depth is ever named by %s',
    (name) => {
      expect(findCpuModel(name)).toBeUndefined();
    },
  );

  it('withDepth keeps the name of a model that no table has', () => {
    const [model] = CPU_MODELS;
    const mine = { ...model, name: 'mine' };
    expect(siliconOf(mine)).toBeUndefined();
    expect(withDepth(mine, 4)).toEqual({ ...mine, lbr_nr: 4 });
  });
});

describe('Layout', () => {
  it('a layout always hands out regions that touch and never overlap', () => {
    const layout = new Layout();
    expect([layout.take(3), layout.take(0), layout.take(5), layout.size]).toEqual([0, 3, 3, 8]);
  });

  it('a layout never takes a region of negative size', () => {
    const layout = new Layout();
    expect(() => layout.take(-1)).toThrow(ModelInvariantError);
    expect(() => layout.take(-1)).toThrow(/size/);
    expect(layout.size).toBe(0);
  });
});

describe('Memory', () => {
  it('a memory is as large as its layout, all zero, in signed 32-bit words', () => {
    const layout = new Layout();
    layout.take(7);
    const { words } = new Memory(layout);
    expect(words).toEqual(new Int32Array(7));
  });

  it('a memory lies in the block that it is given, and never in one of another size', () => {
    const layout = new Layout();
    layout.take(7);
    const block = new Int32Array(7);
    expect(new Memory(layout, block).words).toBe(block);
    for (const size of [0, 6, 8]) {
      expect(() => new Memory(layout, new Int32Array(size))).toThrow(ModelInvariantError);
    }
  });
});

describe('addressOf', () => {
  it('addressOf counts the bytes of the words before, from an address that is not null', () => {
    expect([0, 1, 100].map(addressOf)).toEqual([0x50000, 0x50004, 0x50190]);
  });
});

describe('assert', () => {
  it('assert throws a ModelInvariantError with what must hold, only when it does not hold', () => {
    const failed = (): void => assert(false, 'what must hold');
    expect(failed).toThrow(ModelInvariantError);
    expect(failed).toThrow(/^what must hold$/);
    expect(() => assert(true, 'what must hold')).not.toThrow();
    expect(new ModelInvariantError('').name).toBe('ModelInvariantError');
  });
});

describe('unreachable', () => {
  it('unreachable always throws a ModelInvariantError that names the value', () => {
    const forgotten = (): never => unreachable('a forgotten case' as never);
    expect(forgotten).toThrow(ModelInvariantError);
    expect(forgotten).toThrow(/^unreachable: a forgotten case$/);
  });
});

describe('hex64', () => {
  it('hex64 always prints sixteen digits, high half first, never a sign', () => {
    expect(hex64(1, 0)).toBe('0x0000000000000001');
    expect(hex64(0, 1)).toBe('0x0000000100000000');
    expect(hex64(-1, -2)).toBe('0xfffffffeffffffff');
    expect(hex64(0x12, 0x34)).toBe('0x0000003400000012');
  });
});

describe('hex', () => {
  it('hex always prints the unsigned word without padding', () => {
    expect([hex(0), hex(0xab), hex(-1)]).toEqual(['0x0', '0xab', '0xffffffff']);
  });
});

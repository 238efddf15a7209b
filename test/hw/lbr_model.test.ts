/**
 * One logical processor, compared with a simpler oracle of plain objects and 64-bit BigInt values,
 * which states the SDM's rules again. The oracle uses the rows of CPU models (tables.test.ts pins
 * the rows) and nothing else of src/hw. MSR indices are parsed from strings, because only
 * src/hw/msr_index.ts may have them as literals.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CPU_MODELS, type CpuModel, withDepth } from '../../src/hw/cpu_models.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { cpuModel, GuardedMemory } from '../rig/cpu.js';

const [SELECT, TOS, DEBUGCTL, CAPABILITIES, STATUS, CTRL, OVF_CTRL, STATUS_SET] = [
  '1c8',
  '1c9',
  '1d9',
  '345',
  '38e',
  '38f',
  '390',
  '391',
].map((s) => Number.parseInt(s, 16));

const [REL_CALL, IND_CALL, RET, ZERO_CALL] = [1, 2, 3, 6];
/** LBR_SELECT bits that suppress a kind. Nehalem's jump bits suppress more kinds. */
const SUPPRESS = [[2], [3], [4], [5], [6], [7], [3], [8], [8], [8], [8]];
const NEHALEM = [[2], [3, 7], [4, 6], [5, 6, 7], [6], [7], [3, 7], [8], [8], [8], [8]];

const bit = (n: number): bigint => 1n << BigInt(n);
const bits = (list: readonly number[]): bigint => list.reduce((sum, n) => sum | bit(n), 0n);
const field = (value: bigint, high: number, low: number): bigint =>
  BigInt.asUintN(high - low + 1, value >> BigInt(low));
const canonical = (value: bigint): bigint => BigInt.asUintN(64, BigInt.asIntN(48, value));
/** Whether bits `high`..48 repeat bit 47. */
const extended = (value: bigint, high: number): boolean =>
  field(value, high, 48) === field(canonical(value), high, 48);
const hex = (value: bigint | undefined): string =>
  value === undefined ? '#GP' : `0x${value.toString(16)}`;

const COUNTERS = bits([0, 1, 2, 3, 32, 33, 34]);
const [LBR_FRZ, CTR_FRZ, COND_CHGD] = [58, 59, 63].map(bit);

interface Branch {
  readonly op: 'branch';
  readonly kind: number;
  readonly cpl: number;
  readonly from: bigint;
  readonly to: bigint;
  readonly mispredicted: boolean;
  readonly cycles: number;
  /** Several branches a step, so that call-stack mode, too, fills the stack and wraps. */
  readonly times: number;
}

type Op =
  | Branch
  | { readonly op: 'wrmsr'; readonly msr: number; readonly value: bigint }
  /** Software saves a register and restores it, perhaps into another slot. */
  | { readonly op: 'copy'; readonly source: number; readonly target: number }
  | { readonly op: 'overflow'; readonly counter: number }
  | { readonly op: 'cstate' }
  | { readonly op: 'load debugctl'; readonly value: bigint };

class Oracle {
  debugctl = 0n;
  select = 0n;
  tos = 0;
  status = 0n;
  ctrl = 0n;
  slots: { from: bigint; to: bigint; info: bigint }[] = [];
  readonly reach = { wraps: 0, pops: 0, faults: 0, frozen: 0, wipes: 0, filtered: 0 };

  constructor(readonly model: CpuModel) {
    this.wipe();
  }

  wipe(): void {
    this.tos = 0;
    this.slots = Array.from({ length: this.model.lbr_nr }, () => ({ from: 0n, to: 0n, info: 0n }));
  }

  /** The word and slot of an MSR; undefined if this CPU has no such record register. */
  slotOf(
    msr: number,
  ): { readonly word: 'from' | 'to' | 'info'; readonly slot: number } | undefined {
    const { lbr_from, lbr_to, lbr_info, lbr_nr } = this.model;
    for (let slot = 0; slot < lbr_nr; slot++) {
      if (msr === lbr_from + slot) return { word: 'from', slot };
      if (msr === lbr_to + slot) return { word: 'to', slot };
      if (lbr_info > 0 && msr === lbr_info + slot) return { word: 'info', slot };
    }
    return undefined;
  }

  /** undefined means #GP. */
  rdmsr(msr: number): bigint | undefined {
    if (msr === DEBUGCTL) return this.debugctl;
    if (msr === SELECT) return this.model.select === 'none' ? undefined : this.select;
    if (msr === TOS) return BigInt(this.tos);
    if (msr === CAPABILITIES) return BigInt(this.model.lbr_format) + 4096n;
    if (msr === STATUS) return this.status;
    if (msr === CTRL) return this.ctrl;
    if (msr === OVF_CTRL) return 0n;
    const at = this.slotOf(msr);
    return at && this.slots[at.slot][at.word];
  }

  writable(msr: number): bigint {
    const { model } = this;
    const v4 = model.pmu_version >= 4;
    if (msr === DEBUGCTL) return bits([0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14, model.tsx ? 15 : 0]);
    if (msr === SELECT) return model.select === 'none' ? -1n : model.callstack ? 0x3ffn : 0x1ffn;
    if (msr === CTRL) return COUNTERS;
    if (msr === OVF_CTRL) return COUNTERS | COND_CHGD | (v4 ? LBR_FRZ | CTR_FRZ : 0n);
    if (msr === STATUS_SET && v4) return COUNTERS | LBR_FRZ | CTR_FRZ;
    return -1n;
  }

  faults(msr: number, value: bigint): boolean {
    const { lbr_format, tsx } = this.model;
    const plain = lbr_format === 0;
    if (msr === TOS) return false;
    const at = this.slotOf(msr);
    if (!at) {
      const writable = this.writable(msr);
      return writable < 0n || (value | writable) !== writable;
    }
    if (at.word === 'info' || plain) return false;
    if (at.word === 'to') return lbr_format !== 6 && !extended(value, 63);
    if (lbr_format === 3 || lbr_format === 6) return !extended(value, 62);
    if (lbr_format === 4) return !extended(value, tsx ? 60 : 62);
    return !extended(value, 63);
  }

  wrmsr(msr: number, value: bigint): 0 | 13 {
    if (this.faults(msr, value)) {
      this.reach.faults++;
      return 13;
    }
    if (msr === DEBUGCTL) this.debugctl = value;
    else if (msr === SELECT) this.select = value;
    else if (msr === TOS) this.tos = Number(value % BigInt(this.model.lbr_nr));
    else if (msr === CTRL) this.ctrl = value;
    else if (msr === OVF_CTRL) this.status &= ~value;
    else if (msr === STATUS_SET) this.status |= value & ~COND_CHGD;
    const at = this.slotOf(msr);
    if (at) {
      const defined = at.word === 'info' ? value & (0xffffn | bits([61, 62, 63])) : value;
      this.slots[at.slot][at.word] = defined;
    }
    return 0;
  }

  captures(kind: number, cpl: number): boolean {
    if (this.model.select === 'none') return true;
    const table = this.model.select === 'nhm' ? NEHALEM : SUPPRESS;
    return [cpl === 0 ? 0 : 1, ...table[kind]].every((n) => field(this.select, n, n) === 0n);
  }

  branch({ kind, cpl, from, to, mispredicted, cycles }: Branch): void {
    const { model, reach } = this;
    if (field(this.debugctl, 0, 0) === 0n) return;
    if ((this.status & LBR_FRZ) !== 0n) {
      reach.frozen++;
      return;
    }
    if (!this.captures(kind, cpl)) {
      reach.filtered++;
      return;
    }
    const callStack = field(this.select, 9, 9) === 1n;
    if (kind === ZERO_CALL && callStack && !model.name.startsWith('haswell')) return;
    if (kind === RET && callStack) {
      this.slots[this.tos] = { from: 0n, to: 0n, info: 0n };
      this.tos = this.tos === 0 ? model.lbr_nr - 1 : this.tos - 1;
      reach.pops++;
      return;
    }
    this.tos++;
    if (this.tos === model.lbr_nr) {
      this.tos = 0;
      reach.wraps++;
    }
    const flag = mispredicted ? bit(63) : 0n;
    const info = model.lbr_info > 0 ? flag | BigInt(cycles) : 0n;
    let record = { from, to, info };
    if (model.lbr_format === 0)
      record = { from: (field(to, 31, 0) << 32n) | field(from, 31, 0), to, info };
    if (model.lbr_format === 3) record = { from: field(from, 62, 0) | flag, to, info };
    if (model.lbr_format === 4) record = { from: field(from, 60, 0) | flag, to, info };
    if (model.lbr_format === 6) {
      const timed = (BigInt(cycles) << 48n) | field(to, 47, 0);
      record = { from: field(from, 62, 0) | flag, to: timed, info };
    }
    this.slots[this.tos] = record;
  }

  overflow(counter: number): void {
    this.status |= bit(counter);
    const [lbrs, counters] = [11, 12].map((n) => field(this.debugctl, n, n) === 1n);
    if (this.model.pmu_version >= 4) {
      if (lbrs) this.status |= LBR_FRZ;
      if (counters) this.status |= CTR_FRZ;
    } else {
      if (lbrs) this.debugctl &= ~1n;
      if (counters) this.ctrl = 0n;
    }
  }

  cstate(): void {
    if (!this.model.cstateWipe) return;
    this.wipe();
    this.reach.wipes++;
  }
}

/** Two processors side by side, with guard words that catch writes outside their memory. */
class Rig {
  readonly oracles: readonly [Oracle, Oracle];
  readonly cpus: readonly [LogicalProcessor, LogicalProcessor];
  private readonly guarded = new GuardedMemory();

  constructor(model: CpuModel) {
    const at = [0, 1].map(() =>
      this.guarded.place((layout) => LogicalProcessor.allocate(layout, model)),
    );
    const [first, second] = at.map((o) => new LogicalProcessor(this.guarded.whole, model, o));
    this.cpus = [first, second];
    this.oracles = [new Oracle(model), new Oracle(model)];
  }

  step(which: 0 | 1, op: Op): void {
    const [cpu, oracle] = [this.cpus[which], this.oracles[which]];
    if (op.op === 'wrmsr') this.write(which, op.msr, op.value);
    if (op.op === 'copy') this.write(which, op.target, oracle.rdmsr(op.source) ?? 0n);
    if (op.op === 'overflow') {
      cpu.counterOverflow(op.counter);
      oracle.overflow(op.counter);
    }
    if (op.op === 'cstate') {
      cpu.deepCState();
      oracle.cstate();
    }
    if (op.op === 'load debugctl') {
      cpu.debugctl = low(op.value);
      oracle.debugctl = op.value;
    }
    for (let i = 0; op.op === 'branch' && i < op.times; i++) {
      const from = canonical(op.from + BigInt(i));
      oracle.branch({ ...op, from });
      const { kind, cpl, to, mispredicted, cycles } = op;
      cpu.branch(kind, cpl, low(from), high(from), low(to), high(to), mispredicted, cycles);
    }
  }

  write(which: 0 | 1, msr: number, value: bigint): void {
    const vector = this.cpus[which].wrmsr(msr, low(value), high(value));
    const expected = this.oracles[which].wrmsr(msr, value);
    if (vector === expected) return;
    throw new Error(`wrmsr(${msr.toString(16)}, ${hex(value)}) -> ${vector}, not ${expected}`);
  }

  compare(which: 0 | 1, indices: readonly number[]): void {
    const [cpu, oracle] = [this.cpus[which], this.oracles[which]];
    for (const msr of indices) {
      const [eax, expected] = [cpu.rdmsr(msr), oracle.rdmsr(msr)];
      const { edx, vector } = cpu;
      const value = BigInt.asUintN(64, (BigInt(edx) << 32n) | BigInt(eax >>> 0));
      if (vector === (expected === undefined ? 13 : 0) && value === (expected ?? 0n)) continue;
      throw new Error(
        `cpu ${which}: rdmsr(${msr.toString(16)}) = ${hex(value)}, vector ${vector}; ` +
          `expected ${hex(expected)}`,
      );
    }
    const recording = field(oracle.debugctl, 0, 0) === 1n && (oracle.status & LBR_FRZ) === 0n;
    expect(cpu.recording).toBe(recording);
    expect(BigInt(cpu.debugctl)).toBe(oracle.debugctl);
  }

  end(): void {
    for (const which of [0, 1] as const) this.compare(which, EVERY_INDEX);
    this.guarded.expectGuards();
  }
}

const low = (value: bigint): number => Number(BigInt.asIntN(32, value));
const high = (value: bigint): number => Number(BigInt.asIntN(32, value >> 32n));

/** The range of the model's registers, and more. */
const EVERY_INDEX: readonly number[] = Array.from({ length: 0x1000 }, (_, msr) => msr);

/** Every register of the model and the indices next to its banks, in mixed order. */
function indicesOf({ lbr_from, lbr_to, lbr_info, lbr_nr }: CpuModel): number[] {
  const banks = [lbr_from, lbr_to, lbr_info].filter((base) => base > 0);
  const records = banks.flatMap((base) =>
    Array.from({ length: lbr_nr + 2 }, (_, i) => base - 1 + i),
  );
  return [...records, DEBUGCTL, STATUS, TOS, CTRL, SELECT, CAPABILITIES, OVF_CTRL, STATUS_SET, 0];
}

/** The table, and rows that no silicon has: unused formats, and depths for benchmarks. */
const MODELS: readonly CpuModel[] = [
  ...CPU_MODELS,
  { ...cpuModel('core2'), name: 'core2, format 32', lbr_format: 0 },
  { ...cpuModel('core2'), name: 'core2, format EIP', lbr_format: 2 },
  { ...cpuModel('skylake'), name: 'skylake, format INFO2', lbr_format: 7, tsx: false },
  { ...withDepth(cpuModel('haswell'), 2), name: 'haswell, depth 2' },
  { ...withDepth(cpuModel('haswell-notsx'), 4), name: 'haswell-notsx, depth 4' },
  { ...withDepth(cpuModel('skylake'), 8), name: 'skylake, depth 8' },
];

const anyAddress = fc.bigInt({ min: 0n, max: bit(48) - 1n }).map(canonical);
const anyBits = (list: readonly number[]): fc.Arbitrary<bigint> =>
  fc.subarray([...list]).map((some) => bits(some));
/** A good value, sometimes with one bit flipped, since the rules differ in single bits. */
const spoiled = (good: fc.Arbitrary<bigint>): fc.Arbitrary<bigint> =>
  fc.oneof(
    { weight: 3, arbitrary: good },
    { weight: 1, arbitrary: fc.tuple(good, fc.nat(63)).map(([value, n]) => value ^ bit(n)) },
  );

const recordValue = fc.oneof(
  spoiled(anyAddress),
  fc.tuple(anyAddress, anyBits([61, 62, 63])).map(([address, flags]) => address ^ flags),
  fc.bigInt({ min: 0n, max: bit(64) - 1n }),
  fc.constant(0n),
);

function valueFor(msr: number): fc.Arbitrary<bigint> {
  const counters = anyBits([0, 1, 2, 3, 32, 33, 34, 58, 59, 63]);
  if (msr === DEBUGCTL) {
    const some = anyBits([0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
    return spoiled(fc.oneof(some, fc.constantFrom(1n, 1n, bits([0, 11]), bits([0, 11, 12]))));
  }
  if (msr === SELECT) {
    const callStacks = fc.constantFrom(0x3c4n, 0x3c5n, 0x3c6n, 0n);
    return spoiled(fc.oneof(callStacks, anyBits([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])));
  }
  // Mostly the write that thaws, since a frozen stack leaves little to compare.
  if (msr === OVF_CTRL) return fc.oneof(fc.constant(LBR_FRZ | CTR_FRZ | 15n), spoiled(counters));
  if (msr === TOS) return fc.oneof(fc.bigInt({ min: 0n, max: 65n }), recordValue);
  if ([STATUS, CTRL, STATUS_SET].includes(msr)) return spoiled(counters);
  return recordValue;
}

const anyBranch: fc.Arbitrary<Op> = fc.record({
  op: fc.constant('branch' as const),
  kind: fc.oneof(fc.nat(10), fc.constantFrom(REL_CALL, IND_CALL, ZERO_CALL, RET)),
  cpl: fc.constantFrom(0, 3),
  from: anyAddress,
  to: anyAddress,
  mispredicted: fc.boolean(),
  cycles: fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff)),
  times: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 40 })),
});

function anyOp(model: CpuModel): fc.Arbitrary<Op> {
  const msr = fc.constantFrom(...indicesOf(model));
  const often = [DEBUGCTL, SELECT, TOS, CTRL, OVF_CTRL, OVF_CTRL, OVF_CTRL, STATUS_SET];
  const control = fc.constantFrom(...often);
  const wrmsr = fc.oneof(msr, control).chain((index) =>
    fc.record({
      op: fc.constant('wrmsr' as const),
      msr: fc.constant(index),
      value: valueFor(index),
    }),
  );
  const loaded = anyBits([0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14]).map((value) => value | 1n);
  return fc.oneof(
    { weight: 12, arbitrary: anyBranch },
    { weight: 8, arbitrary: wrmsr },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('copy'), source: msr, target: msr }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('overflow'), counter: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.constant<Op>({ op: 'cstate' }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('load debugctl'), value: loaded }) },
  );
}

describe('LogicalProcessor', () => {
  it.each(MODELS)(
    'the processor always agrees with the oracle on $name, register by register',
    (model) => {
      const indices = indicesOf(model);
      const sum = { wraps: 0, pops: 0, faults: 0, frozen: 0, wipes: 0, filtered: 0 };
      const step = fc.tuple(fc.constantFrom<0 | 1>(0, 0, 0, 1), anyOp(model));
      const steps = fc.array(step, { maxLength: 200, size: 'max' });
      const property = fc.property(fc.constantFrom(0n, 0x3c5n), steps, (select, list) => {
        const rig = new Rig(model);
        for (const which of [0, 1] as const) rig.write(which, DEBUGCTL, 1n);
        for (const which of [0, 1] as const) rig.write(which, SELECT, select);
        for (const [which, op] of list) {
          rig.step(which, op);
          rig.compare(which, indices);
        }
        rig.end();
        for (const { reach } of rig.oracles) {
          for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += reach[key];
        }
      });
      fc.assert(property, { numRuns: 100 });
      // A run without these events would have compared little.
      expect(sum.wraps).toBeGreaterThan(0);
      expect(sum.faults).toBeGreaterThan(0);
      expect(sum.pops > 0).toBe(model.callstack);
      expect(sum.frozen > 0).toBe(model.pmu_version >= 4);
      expect(sum.wipes > 0).toBe(model.cstateWipe);
      expect(sum.filtered > 0).toBe(model.select !== 'none');
    },
  );
});

describe('wrmsr', () => {
  /** Each bit set alone and cleared alone, in a user and in a kernel address. */
  const values = Array.from({ length: 64 }, (_, n) =>
    [0n, bit(64) - 1n, canonical(bit(47))].map((v) => v ^ bit(n)),
  )
    .flat()
    .concat(0n, bit(64) - 1n, canonical(bit(47)), bits([61, 62]), bits([61, 62, 63]));

  it.each(MODELS)('WRMSR always refuses on $name what the oracle refuses, bit by bit', (model) => {
    const indices = indicesOf(model);
    const rig = new Rig(model);
    for (const msr of indices) {
      for (const value of values) rig.write(0, msr, value);
      rig.compare(0, indices);
    }
    rig.end();
  });

  it.each(MODELS)('WRMSR never accepts an index that $name does not have', (model) => {
    const rig = new Rig(model);
    for (const msr of EVERY_INDEX) rig.write(0, msr, 0n);
    rig.end();
  });
});

describe('branch', () => {
  const base: Branch = {
    op: 'branch',
    kind: 0,
    cpl: 3,
    from: 1n,
    to: 2n,
    mispredicted: false,
    cycles: 1,
    times: 1,
  };

  it.each(MODELS)(
    'a branch always obeys each value of LBR_SELECT for each kind and ring on $name',
    (model) => {
      const rig = new Rig(model);
      rig.write(0, DEBUGCTL, 1n);
      for (let select = 0; select < 0x400; select++) {
        rig.write(0, SELECT, BigInt(select));
        for (const [kind, cpl] of SUPPRESS.flatMap((_, k) =>
          [0, 1, 2, 3].map((ring) => [k, ring]),
        )) {
          rig.step(0, { ...base, kind, cpl });
          if (rig.cpus[0].stack.tos !== rig.oracles[0].tos) {
            throw new Error(`select ${select}, kind ${kind}, cpl ${cpl}`);
          }
        }
      }
      rig.end();
    },
  );

  it.each(MODELS)(
    'a record always has each corner of an address in the format of $name',
    (model) => {
      const indices = indicesOf(model);
      const rig = new Rig(model);
      rig.write(0, DEBUGCTL, 1n);
      const corners = [0n, 1n, bit(31), bit(32), bit(47) - 1n, bit(47), bit(48) - 1n].map(
        canonical,
      );
      for (const [from, to] of corners.flatMap((a) => corners.map((b) => [a, b]))) {
        for (const cycles of [0, 1, 0x7fff, 0x8000, 0xffff]) {
          for (const mispredicted of [false, true]) {
            rig.step(0, { ...base, from, to, cycles, mispredicted });
            rig.compare(0, indices);
          }
        }
      }
    },
  );
});

/** The VMX controls that concern LBR: IA32_DEBUGCTL in the VMCS, and the MSR bitmap. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelInvariantError } from '../../src/hw/assert.js';
import { CPU_MODELS, type CpuModel } from '../../src/hw/cpu_models.js';
import { LogicalProcessor } from '../../src/hw/logical_processor.js';
import { Layout, type Memory } from '../../src/hw/memory.js';
import * as msrs from '../../src/hw/msr_index.js';
import { Vmcs } from '../../src/hw/vmx.js';
import { GuardedMemory, recordsOf } from '../rig/cpu.js';

/** Two VMCSs and a processor, with guard words around them. */
class Rig {
  readonly guarded = new GuardedMemory();
  readonly memory: Memory;
  readonly vmcs: Vmcs;
  readonly other: Vmcs;
  readonly cpu: LogicalProcessor;

  constructor(model: CpuModel) {
    const [first, second] = [0, 1].map(() => this.guarded.place(Vmcs.allocate));
    const cpu = this.guarded.place((layout) => LogicalProcessor.allocate(layout, model));
    this.memory = this.guarded.whole;
    this.vmcs = new Vmcs(this.memory, model, first);
    this.other = new Vmcs(this.memory, model, second);
    this.cpu = new LogicalProcessor(this.memory, model, cpu);
  }
}

function lbrMsrs(model: CpuModel): number[] {
  const controls = model.select === 'none' ? [] : [msrs.MSR_LBR_SELECT];
  return [...recordsOf(model), ...controls, msrs.MSR_LBR_TOS];
}

/** Every index below 4096 that is no LBR register of the model: these must always exit. */
function otherMsrs(model: CpuModel): number[] {
  const known = new Set(lbrMsrs(model));
  return Array.from({ length: 4096 }, (_, msr) => msr).filter((msr) => !known.has(msr));
}

const intercepts = (vmcs: Vmcs, list: readonly number[]): (readonly [boolean, boolean])[] =>
  list.map((msr) => [vmcs.interceptsRead(msr), vmcs.interceptsWrite(msr)]);

describe('allocate', () => {
  // States are copied and compared as whole blocks, so an unused word costs time in each state.
  it('a VMCS never has a word beyond DEBUGCTL and two bitmaps of the largest model', () => {
    const layout = new Layout();
    expect([Vmcs.allocate(layout), Vmcs.allocate(layout), layout.size]).toEqual([0, 9, 18]);
  });
});

describe('setIntercept', () => {
  it.each(CPU_MODELS)('setIntercept never moves a bit of another MSR of $name', (model) => {
    const known = lbrMsrs(model);
    for (const msr of known) {
      const { vmcs } = new Rig(model);
      vmcs.setIntercept(msr, false);
      expect(intercepts(vmcs, known)).toEqual(known.map((m) => [m !== msr, m !== msr]));
      for (const each of known) vmcs.setIntercept(each, false);
      vmcs.setIntercept(msr, true);
      expect(intercepts(vmcs, known)).toEqual(known.map((m) => [m === msr, m === msr]));
    }
  });

  it.each(CPU_MODELS)(
    'setIntercept always passes on $name exactly the set that it was told to pass',
    (model) => {
      const known = lbrMsrs(model);
      const toggle = fc.tuple(fc.constantFrom(...known), fc.boolean(), fc.boolean());
      const property = fc.property(fc.array(toggle, { maxLength: 300, size: 'max' }), (toggles) => {
        const rig = new Rig(model);
        const through = [new Set<number>(), new Set<number>()];
        const both = [rig.vmcs, rig.other];
        for (const vmcs of both) vmcs.guestDebugctl = 0x4801;
        for (const [msr, intercept, second] of toggles) {
          both[Number(second)].setIntercept(msr, intercept);
          if (intercept) through[Number(second)].delete(msr);
          else through[Number(second)].add(msr);
        }
        for (const [which, vmcs] of both.entries()) {
          const expected = known.map((msr) => !through[which].has(msr));
          expect(intercepts(vmcs, known)).toEqual(expected.map((exits) => [exits, exits]));
          expect(vmcs.guestDebugctl).toBe(0x4801);
        }
        rig.guarded.expectGuards();
      });
      fc.assert(property, { numRuns: 50 });
    },
  );

  it.each(CPU_MODELS)('setIntercept never passes an index that is no LBR MSR of $name', (model) => {
    const { vmcs } = new Rig(model);
    for (const msr of lbrMsrs(model)) vmcs.setIntercept(msr, false);
    const others = otherMsrs(model);
    expect(intercepts(vmcs, others)).toEqual(others.map(() => [true, true]));
  });
});

describe('setIntercept of an MSR that always exits', () => {
  it.each(CPU_MODELS)(
    'setIntercept of an MSR that always exits is refused on $name, on or off',
    (model) => {
      const rig = new Rig(model);
      const before = rig.memory.words.slice();
      for (const msr of [msrs.MSR_IA32_DEBUGCTLMSR, model.lbr_from + model.lbr_nr, 4096]) {
        for (const intercept of [true, false]) {
          expect(() => rig.vmcs.setIntercept(msr, intercept)).toThrow(ModelInvariantError);
        }
      }
      expect(rig.memory.words).toEqual(before);
    },
  );
});

describe('setIntercepts', () => {
  it.each(CPU_MODELS)(
    'setIntercepts always moves every LBR MSR of $name at once, and nothing else',
    (model) => {
      const rig = new Rig(model);
      const [known, others] = [lbrMsrs(model), otherMsrs(model)];
      for (const intercept of [false, true, false]) {
        rig.vmcs.guestDebugctl = 0x4801;
        rig.vmcs.setIntercepts(intercept);
        expect(intercepts(rig.vmcs, known)).toEqual(known.map(() => [intercept, intercept]));
        expect(intercepts(rig.vmcs, others)).toEqual(others.map(() => [true, true]));
        expect(intercepts(rig.other, known)).toEqual(known.map(() => [true, true]));
        expect([rig.vmcs.guestDebugctl, rig.other.guestDebugctl]).toEqual([0x4801, 0]);
        rig.guarded.expectGuards();
      }
    },
  );

  it.each(CPU_MODELS)(
    'setIntercepts always leaves on $name the state that setIntercept of each leaves',
    (model) => {
      // Equal bitmaps must have equal words, or one state would count as two.
      const [once, each] = [new Rig(model), new Rig(model)];
      for (const intercept of [false, true]) {
        once.vmcs.setIntercepts(intercept);
        for (const msr of lbrMsrs(model)) each.vmcs.setIntercept(msr, intercept);
        expect(once.memory.words).toEqual(each.memory.words);
      }
    },
  );
});

describe('interceptsRead and interceptsWrite', () => {
  it.each(CPU_MODELS)(
    'every index exits on $name, read or written, while the bitmap is all zero',
    (model) => {
      const { vmcs } = new Rig(model);
      const all = [...lbrMsrs(model), ...otherMsrs(model), 4096, 2 ** 31];
      expect(intercepts(vmcs, all)).toEqual(all.map(() => [true, true]));
    },
  );
});

const DEFINED = [0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14];
const definedOn = (model: CpuModel): number[] => (model.tsx ? [...DEFINED, 15] : DEFINED);

describe('enter', () => {
  // SDM: Vol. 3C, "Checks on Guest Control Registers, Debug Registers, and MSRs".
  it.each(CPU_MODELS)(
    'enter always loads a DEBUGCTL of defined bits on $name and keeps the field',
    (model) => {
      fc.assert(
        fc.property(fc.subarray(definedOn(model)), fc.subarray(definedOn(model)), (guest, host) => {
          const { vmcs, cpu } = new Rig(model);
          const value = guest.reduce((sum, n) => sum + 2 ** n, 0);
          vmcs.guestDebugctl = value;
          cpu.debugctl = host.reduce((sum, n) => sum + 2 ** n, 0);
          expect(vmcs.enter(cpu)).toBe(true);
          expect([cpu.debugctl, vmcs.guestDebugctl]).toEqual([value, value]);
        }),
      );
    },
  );

  it.each(CPU_MODELS)(
    'enter always fails on $name for each reserved bit and loads nothing',
    (model) => {
      for (let n = 0; n < 32; n++) {
        const { vmcs, cpu } = new Rig(model);
        cpu.debugctl = 0x4000;
        vmcs.guestDebugctl = (1 << n) | 1;
        expect(vmcs.enter(cpu)).toBe(definedOn(model).includes(n));
        expect(cpu.debugctl).toBe(definedOn(model).includes(n) ? (1 << n) | 1 : 0x4000);
      }
    },
  );
});

describe('exit', () => {
  // SDM: Vol. 3C, "Loading Host Control Registers, Debug Registers, MSRs": DEBUGCTL becomes 0.
  it.each(CPU_MODELS)('exit always saves DEBUGCTL and zeroes all of it on $name', (model) => {
    fc.assert(
      fc.property(fc.subarray(definedOn(model)), (bits) => {
        const rig = new Rig(model);
        const value = bits.reduce((sum, n) => sum + 2 ** n, 0);
        rig.vmcs.guestDebugctl = 0x4000;
        rig.other.guestDebugctl = 0x800;
        rig.cpu.debugctl = value;
        rig.vmcs.exit(rig.cpu);
        expect([rig.vmcs.guestDebugctl, rig.cpu.debugctl]).toEqual([value, 0]);
        expect(rig.other.guestDebugctl).toBe(0x800);
        rig.guarded.expectGuards();
      }),
    );
  });
});

describe('enter and exit', () => {
  // SDM: Vol. 3C, "VM Entries and Advanced Debugging Features": transitions are not logged.
  it.each(CPU_MODELS)(
    'enter and exit never touch a register of $name other than DEBUGCTL',
    (model) => {
      const { vmcs, cpu, memory } = new Rig(model);
      for (const [i, msr] of lbrMsrs(model).entries()) cpu.wrmsr(msr, i + 1, i);
      cpu.wrmsr(msrs.MSR_LBR_SELECT, 0x1c4, 0);
      cpu.wrmsr(msrs.MSR_LBR_TOS, 1, 0);
      cpu.wrmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL, 0xf, 0x7);
      cpu.counterOverflow(2);
      const before = memory.words.slice();
      vmcs.guestDebugctl = msrs.DEBUGCTLMSR_LBR;
      expect(vmcs.enter(cpu)).toBe(true);
      vmcs.exit(cpu);
      vmcs.guestDebugctl = 0;
      expect(memory.words).toEqual(before);
    },
  );
});

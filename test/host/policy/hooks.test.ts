/** What KVM offers the posted versions: hook of DEBUGCTL, LBR_SELECT alone, load area. */
import { describe, expect, it } from 'vitest';
import { CPU_MODELS, type CpuModel } from '../../../src/hw/cpu_models.js';
import { LbrStack } from '../../../src/hw/lbr_stack.js';
import { Layout, Memory } from '../../../src/hw/memory.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { never } from '../../../src/host/policy/never.js';
import { PASS_THROUGH, REFUSED } from '../../../src/host/policy/policy.js';
import type { Vcpu } from '../../../src/host/vcpu.js';
import { cpuModel, HostRegisters, VCPU, wordsOf } from '../../rig/cpu.js';
import { DEBUGCTL, FROM, GP, HookedRig, LBR, Rig, SELECT, TO, TOS } from '../../rig/machine.js';

const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;

/** The calls of the two DEBUGCTL hooks, each with the value in the VMCS. */
const asked = ({ said }: HookedRig): string[] => said('debugctlAccess', 'setDebugctl');

const hooked = (): HookedRig => new HookedRig('none', { cpu: 'haswell' });

describe('debugctlAccess', () => {
  it('debugctlAccess is asked before a read, and before a write that reaches the VMCS', () => {
    const rig = hooked();
    expect([rig.write(0, DEBUGCTL, LBR), asked(rig)]).toEqual([
      0,
      ['debugctlAccess 0 at 0', 'setDebugctl 0 at 1'],
    ]);
    expect([rig.read(0, DEBUGCTL), asked(rig)]).toEqual([LBR, ['debugctlAccess 0 at 1']]);
    expect([rig.write(0, DEBUGCTL, FREEZE), asked(rig)]).toEqual([
      0,
      ['debugctlAccess 0 at 1', `setDebugctl 0 at ${FREEZE}`],
    ]);
    rig.m.switchTo(0, 1);
    expect([rig.write(1, DEBUGCTL, LBR), asked(rig)]).toEqual([
      0,
      ['debugctlAccess 1 at 0', 'setDebugctl 1 at 1'],
    ]);
  });

  it('debugctlAccess may refuse a read and a write, which leaves the VMCS as it is', () => {
    const rig = hooked();
    rig.write(0, DEBUGCTL, LBR | FREEZE);
    asked(rig);
    rig.hooks.vector = GP;
    expect([rig.read(0, DEBUGCTL), rig.write(0, DEBUGCTL, 0)]).toEqual(['gp', GP]);
    expect([rig.debugctl, asked(rig)]).toEqual([
      LBR | FREEZE,
      [`debugctlAccess 0 at ${LBR | FREEZE}`, `debugctlAccess 0 at ${LBR | FREEZE}`],
    ]);
    rig.hooks.vector = 0;
    expect(rig.read(0, DEBUGCTL)).toBe(LBR | FREEZE);
  });

  it('debugctlAccess is never asked about a value that KVM refuses, nor about other MSRs', () => {
    const rig = hooked();
    expect([rig.write(0, DEBUGCTL, LBR, 1), rig.write(0, DEBUGCTL, 1 << 6)]).toEqual([GP, GP]);
    for (const passthrough of [true, false]) {
      rig.m.kvm.setPassthrough(rig.m.vcpus[0], passthrough);
      expect(rig.write(0, TOS, 1)).toBe(0);
      expect(rig.rdmsr(0, TOS)).toEqual(passthrough ? [1, 0, 0] : [TOS + 1, TOS + 2, 0]);
    }
    expect(rig.read(0, msrs.MSR_CORE_PERF_GLOBAL_CTRL)).toBe(0);
    expect([rig.debugctl, asked(rig)]).toEqual([0, []]);
  });

  it('a policy that does not say otherwise never refuses an access to DEBUGCTL', () => {
    const rig = new Rig(never);
    expect(PASS_THROUGH.debugctlAccess(rig.m.kvm, rig.m.vcpus[0])).toBe(0);
    expect([rig.write(0, DEBUGCTL, LBR), rig.read(0, DEBUGCTL)]).toEqual([0, LBR]);
    expect(REFUSED).toEqual({ eax: 0, edx: 0, vector: GP });
  });
});

describe('lbrEnabled', () => {
  it('lbrEnabled is DEBUGCTL.LBR of the VMCS, and nothing else', () => {
    const vcpu = new Rig(never).m.vcpus[0];
    for (let bit = 0; bit < 16; bit++) {
      vcpu.vmcs.guestDebugctl = 1 << bit;
      expect(vcpu.lbrEnabled).toBe(bit === 0);
      vcpu.vmcs.guestDebugctl = 0xffff & ~(1 << bit);
      expect(vcpu.lbrEnabled).toBe(bit !== 0);
    }
  });
});

describe('interceptSelect', () => {
  it('interceptSelect traps LBR_SELECT alone, both ways, and leaves the flag of the rest', () => {
    const rig = new Rig(never, { cpu: 'skylake' });
    const [vcpu, other] = rig.m.vcpus;
    expect(rig.open).toEqual(['FROM', 'TO', 'INFO', 'TOS', 'SELECT']);
    rig.m.kvm.interceptSelect(vcpu);
    expect([rig.open, vcpu.msr_passthrough]).toEqual([['FROM', 'TO', 'INFO', 'TOS'], true]);
    expect([vcpu.vmcs.interceptsRead(SELECT), vcpu.vmcs.interceptsWrite(SELECT)]).toEqual([
      true,
      true,
    ]);
    expect(other.vmcs.interceptsRead(SELECT)).toBe(false);
    rig.m.kvm.setPassthrough(vcpu, false);
    rig.m.kvm.setPassthrough(vcpu, true);
    expect(rig.open).toEqual(['FROM', 'TO', 'INFO', 'TOS', 'SELECT']);
  });

  it('interceptSelect does nothing on a CPU without LBR_SELECT', () => {
    for (const cpu of ['core2', 'atom', 'silvermont']) {
      const rig = new Rig(never, { cpu });
      rig.m.kvm.interceptSelect(rig.m.vcpus[0]);
      expect([cpu, rig.open]).toEqual([cpu, ['TOS']]);
    }
  });
});

/** A kernel address as the CPU captures it, and as WRMSR wants it without TSX. */
const CAPTURED = 0x1fffff01;
const EXTENDED = CAPTURED | msrs.LBR_FROM_FLAG_IN_TX_HI | msrs.LBR_FROM_FLAG_ABORT_HI;

/** Two stacks in memory. The registers of `from` hold distinct values. */
function stacks(model: CpuModel): { readonly to: LbrStack; readonly from: LbrStack } {
  const layout = new Layout();
  const at = [0, 1].map(() => LbrStack.allocate(layout, model));
  const memory = new Memory(layout);
  const [to, from] = at.map((o) => LbrStack.at(memory, model, o));
  for (let i = 0; i < model.lbr_nr; i++) {
    from.write(model.lbr_from + i, 100 + i, 3);
    from.write(model.lbr_to + i, 200 + i, 4);
    if (model.lbr_info !== 0) from.write(model.lbr_info + i, 300 + i, msrs.LBR_INFO_IN_TX_HI);
  }
  from.write(TOS, model.lbr_nr - 1, 0);
  if (model.select !== 'none') from.write(SELECT, 5, 0);
  return { to, from };
}

describe('LbrStack.loadRaw', () => {
  it.each(CPU_MODELS)(
    'loadRaw always takes all registers of $name, and LBR_SELECT only if asked',
    (model) => {
      const { to, from } = stacks(model);
      expect([to.loadRaw(from, true), wordsOf(to)]).toEqual([0, wordsOf(from)]);
      const bare = stacks(model);
      expect(bare.to.loadRaw(bare.from, false)).toBe(0);
      expect(wordsOf(bare.to)).toEqual([...wordsOf(from).slice(0, -1), 0]);
    },
  );

  it('loadRaw never fixes up a capture as load does, so it is refused where TSX is off', () => {
    for (const tsx of [true, false]) {
      const model = cpuModel(tsx ? 'haswell' : 'haswell-notsx');
      const { to, from } = stacks(model);
      from.write(FROM + 1, 7, CAPTURED);
      expect(to.loadRaw(from, true)).toBe(tsx ? 0 : FROM + 1);
      const now = [to.readLow(FROM + 1), to.readHigh(FROM + 1)];
      expect(now).toEqual(tsx ? [7, CAPTURED] : [0, 0]);
      expect([to.load(from, true), to.readLow(FROM + 1)]).toEqual([0, 7]);
      expect(to.readHigh(FROM + 1)).toBe(tsx ? CAPTURED : EXTENDED);
    }
  });

  it('load never fixes up a format without TSX bits, whether the CPU has TSX or not', () => {
    for (const model of CPU_MODELS) {
      const { to, from } = stacks(model);
      from.write(model.lbr_from + 1, 7, CAPTURED);
      const refused = to.load(from, true) !== 0;
      expect([model.name, refused]).toEqual([model.name, !model.name.startsWith('haswell')]);
    }
  });

  it('loadRaw always goes on after a refusal, with the TO of the same record first', () => {
    const { to, from } = stacks(cpuModel('haswell-notsx'));
    from.write(FROM + 3, 7, CAPTURED);
    const there = wordsOf(from);
    expect(to.loadRaw(from, true)).toBe(FROM + 3);
    expect([to.readLow(TO + 3), to.readLow(FROM + 4), to.tos]).toEqual([203, 104, 15]);
    there[2 * 3] = 0;
    there[2 * 3 + 1] = 0;
    expect(wordsOf(to)).toEqual(there);
  });
});

describe('LbrRegisters.loadAtEntry', () => {
  it('LbrRegisters.load writes every LBR register of one pCPU, and reports them', () => {
    for (const [name, count] of [
      ['haswell', 34],
      ['skylake', 98],
      ['core2', 9],
    ] as const) {
      const { model, registers, cpus, copy, on, said } = new HostRegisters(name);
      copy.write(model.lbr_from + 1, 7, 3);
      copy.write(TOS, 1, 0);
      if (model.select !== 'none') copy.write(SELECT, 5, 0);
      registers.loadAtEntry(on[1]);
      expect(said()).toEqual([`hostStack 1 ${VCPU} ${count} true`]);
      expect(wordsOf(cpus[1].stack)).toEqual(wordsOf(copy));
      expect(cpus[0].stack.empty).toBe(true);
    }
  });

  it('LbrRegisters.load says that hardware refused a value, and reports no host fault', () => {
    const { registers, cpus, copy, on, said } = new HostRegisters('haswell-notsx');
    copy.write(FROM + 1, 7, CAPTURED);
    registers.loadAtEntry(on[0]);
    expect(said()).toEqual([`hostStack 0 ${VCPU} 34 true`, `entryFailed ${VCPU}`]);
    expect(cpus[0].stack.readLow(FROM + 1)).toBe(0);
  });
});

describe('loadAtEntry', () => {
  /** v2 runs on p1, and its registers hold distinct values. */
  function recorded(cpu: string): { readonly rig: Rig; readonly vcpu: Vcpu } {
    const rig = new Rig(never, { cpu, pcpus: 2, vms: 3 });
    rig.m.switchTo(1, 2);
    const vcpu = rig.m.vcpus[2];
    vcpu.records.write(FROM, 7, CAPTURED);
    vcpu.records.write(SELECT, 5, 0);
    return { rig, vcpu };
  }

  it('loadAtEntry always loads the records of the vCPU into its pCPU, as they are', () => {
    const { rig, vcpu } = recorded('haswell');
    rig.m.kvm.loadAtEntry(vcpu);
    expect(rig.work()).toEqual(['p1: v2 writes 34']);
    const [other, own] = rig.m.pcpus;
    expect(wordsOf(own.stack)).toEqual(wordsOf(vcpu.records));
    expect([other.stack.empty, other.stack.lbr_select]).toEqual([true, 0]);
  });

  it('loadAtEntry always fails the entry of the vCPU if a value is refused', () => {
    const { rig, vcpu } = recorded('haswell-notsx');
    rig.m.kvm.loadAtEntry(vcpu);
    expect(rig.work()).toEqual(['p1: v2 writes 34', 'entry of v2 failed']);
    vcpu.records.clear();
    rig.m.kvm.loadAtEntry(vcpu);
    expect(rig.work()).toEqual(['p1: v2 writes 34']);
  });
});

/** What KVM has for the policies of the series: a hook of DEBUGCTL, LBR_SELECT, the load area. */
import { describe, expect, it } from 'vitest';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import type { CpuModel } from '../../../src/hw/cpu_models.js';
import { LbrStack } from '../../../src/hw/lbr_stack.js';
import { LogicalProcessor } from '../../../src/hw/logical_processor.js';
import { Layout, Memory } from '../../../src/hw/memory.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { LbrRegisters } from '../../../src/host/lbr_registers.js';
import type { Observer } from '../../../src/host/observer.js';
import { never } from '../../../src/host/policy/never.js';
import type { LbrPolicy } from '../../../src/host/policy/policy.js';
import { PASS_THROUGH, REFUSED } from '../../../src/host/policy/policy.js';
import type { Vcpu } from '../../../src/host/vcpu.js';
import { cpuModel, DEBUGCTL, FROM, GP, LBR, Rig, SELECT, TO, TOS } from '../../rig/machine.js';

const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;

/** A policy that logs its two hooks of DEBUGCTL with what the VMCS has, and may refuse. */
class Hooks {
  readonly log: string[] = [];
  vector: 0 | 13 = 0;
  readonly rig: Rig;

  constructor() {
    const policy: LbrPolicy = {
      ...never,
      debugctl_access: (_kvm, vcpu) => {
        this.log.push(`access ${vcpu.id} at ${vcpu.vmcs.guest_debugctl}`);
        return this.vector;
      },
      set_debugctl: (_kvm, vcpu) => {
        this.log.push(`set ${vcpu.id} to ${vcpu.vmcs.guest_debugctl}`);
      },
    };
    this.rig = new Rig(policy);
  }

  readonly said = (): string[] => this.log.splice(0);
}

describe('debugctl_access', () => {
  it('always is asked before a read, and before a write that then reaches the VMCS', () => {
    const { rig, said } = new Hooks();
    expect([rig.write(0, DEBUGCTL, LBR), said()]).toEqual([0, ['access 0 at 0', 'set 0 to 1']]);
    expect([rig.read(0, DEBUGCTL), said()]).toEqual([LBR, ['access 0 at 1']]);
    expect([rig.write(0, DEBUGCTL, FREEZE), said()]).toEqual([
      0,
      ['access 0 at 1', `set 0 to ${FREEZE}`],
    ]);
    rig.m.switchTo(0, 1);
    expect([rig.write(1, DEBUGCTL, LBR), said()]).toEqual([0, ['access 1 at 0', 'set 1 to 1']]);
  });

  it('always may refuse both, which leaves the VMCS as it is', () => {
    const hooks = new Hooks();
    const { rig, said } = hooks;
    rig.write(0, DEBUGCTL, LBR | FREEZE);
    said();
    hooks.vector = GP;
    expect([rig.read(0, DEBUGCTL), rig.write(0, DEBUGCTL, 0)]).toEqual(['gp', GP]);
    expect([rig.debugctl, said()]).toEqual([
      LBR | FREEZE,
      [`access 0 at ${LBR | FREEZE}`, `access 0 at ${LBR | FREEZE}`],
    ]);
    hooks.vector = 0;
    expect(rig.read(0, DEBUGCTL)).toBe(LBR | FREEZE);
  });

  it('never is asked about a value that KVM does not take, nor about other MSRs', () => {
    const { rig, said } = new Hooks();
    expect([rig.write(0, DEBUGCTL, LBR, 1), rig.write(0, DEBUGCTL, 1 << 6)]).toEqual([GP, GP]);
    expect(rig.write(0, TOS, 1)).toBe(0);
    rig.m.kvm.setPassthrough(rig.m.vcpus[0], false);
    expect([rig.read(0, TOS), rig.read(0, msrs.MSR_CORE_PERF_GLOBAL_CTRL)]).toEqual([1, 0]);
    expect([rig.debugctl, said()]).toEqual([0, []]);
  });

  it('never refuses anything where a policy does not say', () => {
    const rig = new Rig(never);
    expect(PASS_THROUGH.debugctl_access(rig.m.kvm, rig.m.vcpus[0])).toBe(0);
    expect([rig.write(0, DEBUGCTL, LBR), rig.read(0, DEBUGCTL)]).toEqual([0, LBR]);
    expect(REFUSED).toEqual({ eax: 0, edx: 0, vector: GP });
  });
});

describe('lbr_enabled', () => {
  it('always is DEBUGCTL.LBR of the VMCS, and nothing else', () => {
    const vcpu = new Rig(never).m.vcpus[0];
    for (let bit = 0; bit < 16; bit++) {
      vcpu.vmcs.guest_debugctl = 1 << bit;
      expect(vcpu.lbr_enabled).toBe(bit === 0);
      vcpu.vmcs.guest_debugctl = 0xffff & ~(1 << bit);
      expect(vcpu.lbr_enabled).toBe(bit !== 0);
    }
  });
});

describe('interceptSelect', () => {
  it('always traps LBR_SELECT alone, both ways, and leaves the flag of the rest', () => {
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

  it('always is nothing where there is no LBR_SELECT', () => {
    for (const cpu of ['core2', 'atom', 'silvermont']) {
      const rig = new Rig(never, { cpu });
      rig.m.kvm.interceptSelect(rig.m.vcpus[0]);
      expect([cpu, rig.open]).toEqual([cpu, ['TOS']]);
    }
  });
});

/** A kernel address as the part captures it, and as WRMSR of the same wants it without TSX. */
const CAPTURED = 0x1fffff01;
const EXTENDED = CAPTURED | msrs.LBR_FROM_FLAG_IN_TX_HI | msrs.LBR_FROM_FLAG_ABORT_HI;

/** Two stacks in memory, `from` with values that tell its registers apart. */
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

function registersOf(stack: LbrStack): number[] {
  const { lbr_nr, lbr_from, lbr_to, lbr_info } = stack.model;
  const banks = [lbr_from, lbr_to, lbr_info].filter((base) => base !== 0);
  const each = banks.flatMap((base) => Array.from({ length: lbr_nr }, (_, i) => base + i));
  const records = each.flatMap((msr) => [stack.readLow(msr), stack.readHigh(msr)]);
  return [...records, stack.tos, stack.lbr_select];
}

describe('LbrStack.loadRaw', () => {
  it.each(CPU_MODELS)('always takes all that $name has, and LBR_SELECT only if asked', (model) => {
    const { to, from } = stacks(model);
    expect([to.loadRaw(from, true), registersOf(to)]).toEqual([0, registersOf(from)]);
    const bare = stacks(model);
    expect(bare.to.loadRaw(bare.from, false)).toBe(0);
    expect(registersOf(bare.to)).toEqual([...registersOf(from).slice(0, -1), 0]);
  });

  it('never fixes up what was captured, as load does, and is refused where TSX is off', () => {
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

  it('never has a fix-up where the format has no such bits, whether TSX is there or not', () => {
    for (const model of CPU_MODELS) {
      const { to, from } = stacks(model);
      from.write(model.lbr_from + 1, 7, CAPTURED);
      const refused = to.load(from, true) !== 0;
      expect([model.name, refused]).toEqual([model.name, !model.name.startsWith('haswell')]);
    }
  });

  it('always goes on after a refusal, with the TO of that record too', () => {
    const { to, from } = stacks(cpuModel('haswell-notsx'));
    from.write(FROM + 3, 7, CAPTURED);
    const there = registersOf(from);
    expect(to.loadRaw(from, true)).toBe(FROM + 3);
    expect([to.readLow(TO + 3), to.readLow(FROM + 4), to.tos]).toEqual([203, 104, 15]);
    there[2 * 3] = 0;
    there[2 * 3 + 1] = 0;
    expect(registersOf(to)).toEqual(there);
  });
});

/** The registers of two pCPUs, with a log of what their observer hears. */
function twoPcpus(model: CpuModel): {
  readonly registers: LbrRegisters;
  readonly cpus: readonly LogicalProcessor[];
  readonly copy: LbrStack;
  readonly log: string[];
} {
  const layout = new Layout();
  const at = [0, 1].map(() => LogicalProcessor.allocate(layout, model));
  const [first, ...rest] = [0, 1, 2].map(() => LbrStack.allocate(layout, model));
  const flags = layout.take(2);
  const memory = new Memory(layout);
  const cpus = at.map((o) => new LogicalProcessor(memory, model, o));
  const log: string[] = [];
  const observer = new Proxy({} as Observer, {
    get:
      (_target, name) =>
      (...args: number[]) =>
        log.push([name, ...args].join(' ')),
  });
  const lent = rest.map((o) => LbrStack.at(memory, model, o));
  const registers = new LbrRegisters(memory.words, cpus, lent, flags, observer);
  return { registers, cpus, copy: LbrStack.at(memory, model, first), log };
}

describe('LbrRegisters.load', () => {
  it('always writes every LBR register of the one pCPU, LBR_SELECT too, and tells of them', () => {
    for (const [name, count] of [
      ['haswell', 34],
      ['skylake', 98],
      ['core2', 9],
    ] as const) {
      const model = cpuModel(name);
      const { registers, cpus, copy, log } = twoPcpus(model);
      copy.write(model.lbr_from + 1, 7, 3);
      copy.write(TOS, 1, 0);
      if (model.select !== 'none') copy.write(SELECT, 5, 0);
      expect(registers.load(1, 6, copy)).toBe(true);
      expect(log).toEqual([`hostStack 1 6 ${count} true`]);
      expect(registersOf(cpus[1].stack)).toEqual(registersOf(copy));
      expect(cpus[0].stack.empty).toBe(true);
    }
  });

  it('always says that hardware refused a value, and never reports a fault of the host', () => {
    const { registers, cpus, copy, log } = twoPcpus(cpuModel('haswell-notsx'));
    copy.write(FROM + 1, 7, CAPTURED);
    expect(registers.load(0, 6, copy)).toBe(false);
    expect(log).toEqual(['hostStack 0 6 34 true']);
    expect(cpus[0].stack.readLow(FROM + 1)).toBe(0);
  });
});

describe('loadAtEntry', () => {
  /** v2 is on p1, with records that tell. */
  function recorded(cpu: string): { readonly rig: Rig; readonly vcpu: Vcpu } {
    const rig = new Rig(never, { cpu, pcpus: 2, vms: 3 });
    rig.m.switchTo(1, 2);
    const vcpu = rig.m.vcpus[2];
    vcpu.records.write(FROM, 7, CAPTURED);
    vcpu.records.write(SELECT, 5, 0);
    return { rig, vcpu };
  }

  it('always loads the records of the vCPU into its pCPU, as they are', () => {
    const { rig, vcpu } = recorded('haswell');
    rig.m.kvm.loadAtEntry(vcpu);
    expect(rig.work()).toEqual(['v2 writes 34']);
    const [other, own] = rig.m.pcpus;
    expect(registersOf(own.stack)).toEqual(registersOf(vcpu.records));
    expect([other.stack.empty, other.stack.lbr_select]).toEqual([true, 0]);
  });

  it('always fails the entry of that vCPU if a value is refused', () => {
    const { rig, vcpu } = recorded('haswell-notsx');
    rig.m.kvm.loadAtEntry(vcpu);
    expect(rig.work()).toEqual(['v2 writes 34', 'entry of v2 failed']);
    vcpu.records.clear();
    rig.m.kvm.loadAtEntry(vcpu);
    expect(rig.work()).toEqual(['v2 writes 34']);
  });
});

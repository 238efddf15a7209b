/** recorder-owned, owner-only, host-intact: whose records registers hold, who accesses them. */
import { describe, expect, it } from 'vitest';
import * as branch from '../../src/hw/branch.js';
import { HOST } from '../../src/host/observer.js';
import { CheckRig } from '../rig/judge.js';
import { FROM, ON, PINNED, SELECT, TOS } from '../rig/machine.js';

const address = (vm: number, vcpu: number): number =>
  branch.addressHigh(false, branch.BRANCH_JCC, vm, vcpu, 0);

/** v0 and v1 run; v2 and v3 are off. */
const rigOf = (cpu = 'skylake'): CheckRig => new CheckRig({ cpu, vcpus: 2, pcpus: 2 });

describe('holds', () => {
  it('a new holder always tells every other vCPU that its records are gone', () => {
    const { registers, ref } = rigOf();
    registers.holds(0, 1);
    expect([...ref['other']]).toEqual([1, 0, 1, 1]);
    ref['other'].fill(0);
    registers.holds(0, 1);
    expect([...ref['other']]).toEqual([0, 0, 0, 0]);
    registers.holds(1, 1);
    expect([...ref['other']]).toEqual([1, 0, 1, 1]);
    ref['other'].fill(0);
    registers.holds(0, 2);
    expect([...ref['other']]).toEqual([1, 1, 0, 1]);
  });
});

describe('records', () => {
  const foreign = (vm: number, vcpu: number, prepare = (_rig: CheckRig): void => {}): boolean => {
    const rig = rigOf();
    rig.m.pcpus[0].wrmsr(FROM + 3, 9, address(vm, vcpu));
    prepare(rig);
    rig.registers.records(0, 0, true);
    return rig.broken.includes('recorder-owned');
  };

  it('recorder-owned fails for records of another vCPU, VM or the host below a new one', () => {
    expect([foreign(0, 1), foreign(1, 0), foreign(branch.HOST_VM, 0)]).toEqual([true, true, true]);
    // A vCPU's own old records break no-loss once it reads them, not this property.
    expect(foreign(0, 0)).toBe(false);
  });

  it('recorder-owned never minds what the guest wrote itself, or holds already', () => {
    expect(foreign(0, 1, ({ ref }) => ref.write(0, FROM + 3, 9, address(0, 1)))).toBe(false);
    expect(foreign(0, 1, ({ ref }) => ref.write(0, FROM + 2, 9, address(0, 1)))).toBe(true);
    expect(foreign(0, 1, ({ registers }) => registers.holds(0, 0))).toBe(false);
    expect(foreign(0, 1, ({ registers }) => registers.holds(0, 1))).toBe(true);
  });

  it('a vCPU holds the registers once something was captured, and not before', () => {
    const rig = rigOf();
    rig.registers.records(0, 0, false);
    rig.m.pcpus[0].wrmsr(FROM + 3, 9, address(0, 1));
    expect([...rig.ref['other']]).toEqual([0, 0, 0, 0]);
    rig.registers.records(0, 0, true);
    expect(rig.broken).toEqual(['recorder-owned']);
    expect([...rig.ref['other']]).toEqual([0, 1, 1, 1]);
    expect(rig.detail('recorder-owned')).toContain('v0 is recorded on p0');
    rig.verdicts.clear();
    rig.registers.records(0, 0, true);
    expect(rig.broken).toEqual([]);
  });

  it('a recording after another holder of the registers is always counted', () => {
    const rig = rigOf();
    rig.registers.records(0, 0, true);
    expect(rig.reach('recorded-after-other')).toBe(0);
    rig.registers.records(1, 0, false);
    expect(rig.reach('recorded-after-other')).toBe(1);
  });

  it('the reference always follows the TOS of an empty stack', () => {
    const rig = rigOf();
    rig.m.pcpus[0].wrmsr(TOS, 5, 0);
    rig.registers.records(0, 0, true);
    expect(rig.ref.of(0).stack.tos).toBe(5);
  });
});

describe('hostAccess', () => {
  it('the host may access LBR MSRs for a loaded vCPU, and never for another', () => {
    for (const [pcpu, vcpu, text] of [
      [0, 0, ''],
      [1, 1, ''],
      [0, 1, 'p0: LBR MSRs accessed for v1, which is not loaded'],
      [0, 2, 'p0: LBR MSRs accessed for v2, which is not loaded'],
    ] as const) {
      const rig = rigOf();
      rig.registers.hostAccess(pcpu, vcpu, 5, false);
      expect(rig.broken).toEqual(text === '' ? [] : ['owner-only']);
      expect(rig.detail('owner-only')).toBe(text);
      expect(rig.reach('policy-access')).toBe(5);
    }
    const rig = rigOf();
    rig.m.switchTo(0, -1);
    rig.registers.hostAccess(0, 0, 1, false);
    expect(rig.broken).toEqual(['owner-only']);
  });

  it('owner-only fails under a host event that counts, unless its registers are lent', () => {
    const rig = rigOf();
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.kvm.borrowLbr(rig.m.vcpus[0]);
    rig.registers.hostAccess(0, 0, 1, true);
    rig.registers.hostAccess(1, 1, 1, true);
    expect(rig.broken).toEqual([]);
    rig.m.kvm.giveBackLbr(rig.m.vcpus[0]);
    rig.registers.hostAccess(0, 0, 1, true);
    expect(rig.only('owner-only')).toContain("while they are the host event's");
  });

  it('accesses that the host makes for itself never count against the policy', () => {
    const rig = rigOf();
    rig.registers.hostAccess(1, HOST, 3, false);
    rig.registers.hostAccess(1, HOST, 4, true);
    expect([rig.broken, rig.reach('policy-access')]).toEqual([[], 0]);
  });

  it('a write of the host leaves the registers to nobody, unless it is for their holder', () => {
    const afterAccess = (onBehalf: number, write: boolean): number[] => {
      const rig = rigOf();
      rig.registers.holds(0, 0);
      rig.ref['other'].fill(0);
      rig.registers.hostAccess(0, onBehalf, 1, write);
      rig.registers.holds(0, 0);
      return [...rig.ref['other']];
    };
    expect(afterAccess(0, true)).toEqual([0, 0, 0, 0]);
    expect(afterAccess(0, false)).toEqual([0, 0, 0, 0]);
    expect(afterAccess(1, false)).toEqual([0, 0, 0, 0]);
    expect(afterAccess(1, true)).toEqual([0, 1, 1, 1]);
    expect(afterAccess(HOST, true)).toEqual([0, 1, 1, 1]);
    expect(afterAccess(HOST, false)).toEqual([0, 0, 0, 0]);
  });
});

describe('exited', () => {
  it('an exit always has to leave the DEBUGCTL that the host’s kernel wrote last', () => {
    const rig = rigOf();
    rig.registers.exited(0);
    rig.registers.hostDebugctl(1, 1);
    rig.m.pcpus[0].debugctl = 0;
    rig.m.pcpus[1].debugctl = 1;
    rig.registers.exited(0);
    rig.registers.exited(1);
    expect(rig.broken).toEqual([]);
    rig.m.pcpus[1].debugctl = 0x801;
    rig.registers.exited(1);
    const text = 'p1: DEBUGCTL is 0x801 after an exit, not 0x1';
    expect(rig.only('host-intact')).toBe(text);
  });

  it('exits under a host event are always counted', () => {
    const rig = rigOf();
    rig.registers.exited(0);
    rig.m.hostEvent(0, PINNED, ON);
    rig.registers.hostDebugctl(0, rig.m.pcpus[0].debugctl);
    rig.registers.exited(0);
    rig.registers.exited(1);
    expect([rig.reach('contended-entry'), rig.broken]).toEqual([1, []]);
  });
});

describe('hostSample', () => {
  const sampleOf = (entries: readonly (readonly [number, number])[]): CheckRig => {
    const rig = rigOf();
    const cpu = rig.m.host.kernel.cpus[1];
    cpu.cpuc.lbr_stack_nr = entries.length;
    entries.forEach(([lo, hi], i) => {
      cpu.kernel.words[cpu.lbr_entry(i)] = lo;
      cpu.kernel.words[cpu.lbr_entry(i) + 1] = hi;
    });
    rig.registers.hostSample(1);
    return rig;
  };
  const own = [5, address(branch.HOST_VM, 0)] as const;

  it('a host sample may never hold a branch of a guest', () => {
    expect(sampleOf([]).broken).toEqual([]);
    expect(sampleOf([own, [0, 0], own]).broken).toEqual([]);
    for (const entries of [
      [[5, address(1, 0)]],
      [own, [5, address(1, 0)]],
      [[0, address(1, 0)], own],
      [own, [0, 0], [5, address(1, 1)]],
    ] as const) {
      const rig = sampleOf(entries);
      const text = 'p1: a host sample holds a branch of VM 1';
      expect(rig.only('host-intact')).toBe(text);
    }
    expect(sampleOf([[5, address(0, 0)]]).broken).toEqual(['host-intact']);
  });

  it('a host sample is risky once a guest was recorded on the pCPU since the last one', () => {
    const rig = rigOf();
    const now = (): number => rig.reach('host-sample-after-guest');
    rig.registers.hostSample(0);
    expect(now()).toBe(0);
    rig.registers.records(1, 1, true);
    rig.registers.hostSample(0);
    expect(now()).toBe(0);
    rig.registers.hostSample(1);
    rig.registers.hostSample(1);
    expect(now()).toBe(1);
    rig.registers.records(1, 1, false);
    rig.registers.hostSample(1);
    expect(now()).toBe(1);
  });
});

describe('hostBranch', () => {
  it('a host branch always asks for the filter that the host’s perf asked for', () => {
    for (const [cpu, asked, is, good] of [
      ['skylake', 0x1c4, 0x1c4, true],
      // Linux never writes its software-only bits to the register.
      ['skylake', 0x1c4 | 0x400, 0x1c4, true],
      ['skylake', 0x1c4, 0x2, false],
      ['skylake', 0, 0x200, false],
      ['core2', 0, 0, true],
      ['core2', 0x1c4, 0, true],
    ] as const) {
      const rig = rigOf(cpu);
      rig.m.host.kernel.cpus[1].cpuc.lbr_sel_config = asked;
      if (is !== 0) rig.m.pcpus[1].wrmsr(SELECT, is, 0);
      rig.registers.hostBranch(1);
      expect([asked, is, rig.broken]).toEqual([asked, is, good ? [] : ['host-intact']]);
    }
  });

  it('a host branch always takes the registers from whoever held them', () => {
    const { registers, ref } = rigOf();
    registers.holds(0, 0);
    ref['other'].fill(0);
    registers.hostBranch(0);
    expect([...ref['other']]).toEqual([1, 1, 1, 1]);
    ref['other'].fill(0);
    registers.holds(0, 0);
    expect([...ref['other']]).toEqual([0, 1, 1, 1]);
  });
});

describe('cstate', () => {
  it('a deep C-state leaves the registers to nobody, where it wipes them', () => {
    for (const [cpu, wiped] of [
      ['skylake', true],
      ['nehalem', false],
    ] as const) {
      const { registers, ref } = rigOf(cpu);
      registers.holds(0, 0);
      ref['other'].fill(0);
      registers.cstate(0);
      registers.holds(0, 0);
      expect([cpu, ref['other'].includes(1)]).toEqual([cpu, wiped]);
    }
  });
});

describe('start', () => {
  it('a start of the register check forgets the run before', () => {
    const rig = rigOf();
    rig.registers.holds(0, 0);
    rig.registers.hostDebugctl(0, 9);
    rig.registers.records(1, 1, true);
    rig.registers.hostAccess(0, 0, 1, true);
    rig.registers.hostAccess(0, HOST, 1, false);
    rig.ref['other'].fill(0);
    rig.registers.start();
    rig.registers.exited(0);
    rig.registers.hostSample(1);
    expect([rig.broken, rig.reach('host-sample-after-guest')]).toEqual([[], 0]);
    rig.registers.holds(1, 1);
    expect([...rig.ref['other']]).toEqual([1, 0, 1, 1]);
  });
});

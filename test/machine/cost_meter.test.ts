/** The cost of LBR: stacks that the host saves and restores, accesses, and exits. */
import { describe, expect, it } from 'vitest';
import { Observer } from '../../src/host/observer.js';
import { always } from '../../src/host/policy/always.js';
import { lazyLiteral } from '../../src/host/policy/lazy_literal.js';
import { merged } from '../../src/host/policy/merged.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { findCpuModel, withDepth } from '../../src/hw/cpu_models.js';
import { MSR_IA32_DEBUGCTLMSR, MSR_LBR_SELECT, MSR_LBR_TOS } from '../../src/hw/msr_index.js';
import { CostMeter } from '../../src/machine/cost_meter.js';

/** Registers of a stack: FROM, TO and INFO of 4 records, TOS and LBR_SELECT. */
const STACK = 14;

/** Two VMs of one vCPU and two tasks on one pCPU, with stacks of four records. v0 runs. */
function meterOf(policy: LbrPolicy, beside?: Observer): CostMeter {
  const skylake = findCpuModel('skylake');
  if (skylake === undefined) throw new Error('no skylake');
  const shape = { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 };
  const config = { shape, model: withDepth(skylake, 4), kernel: '6.1' as const, policy };
  const meter = new CostMeter(config, beside);
  meter.machine.boot();
  return meter;
}

describe('CostMeter', () => {
  it('CostMeter counts a switch under `always` as a save, a wipe and a restore', () => {
    const meter = meterOf(always);
    expect([meter.saves, meter.wipes, meter.restores, meter.vcpuSwitches]).toEqual([0, 0, 1, 1]);
    meter.machine.switchTo(0, 1);
    expect([meter.saves, meter.wipes, meter.restores, meter.vcpuSwitches]).toEqual([1, 1, 2, 2]);
    const { reads, writes, cycles } = meter.host;
    expect([reads, writes]).toEqual([STACK, 3 * STACK]);
    expect(cycles).toBe(80 * STACK + 120 * 3 * STACK);
  });

  it("CostMeter counts what the host's perf saves, restores and wipes for `merged`", () => {
    const meter = meterOf(merged);
    expect([meter.saves, meter.wipes, meter.restores]).toEqual([0, 0, 0]);
    const { machine } = meter;
    machine.wrmsr(0, MSR_IA32_DEBUGCTLMSR, 1, 0);
    expect([meter.saves, meter.wipes, meter.restores]).toEqual([0, 1, 0]);
    machine.switchTo(0, 1);
    expect([meter.saves, meter.wipes, meter.restores]).toEqual([1, 1, 0]);
    machine.wrmsr(1, MSR_IA32_DEBUGCTLMSR, 1, 0);
    expect([meter.saves, meter.wipes, meter.restores]).toEqual([1, 2, 0]);
    machine.switchTo(0, 0);
    expect([meter.saves, meter.wipes, meter.restores]).toEqual([2, 2, 1]);
  });

  it('CostMeter counts the LBR accesses of guests, and those that exited separately', () => {
    const meter = meterOf(lazyLiteral);
    for (let i = 0; i < 3; i++) meter.machine.rdmsr(0, MSR_LBR_TOS);
    meter.machine.rdmsr(0, MSR_IA32_DEBUGCTLMSR);
    expect([meter.guestAccesses, meter.exits]).toEqual([3, 1]);
    meter.machine.wrmsr(0, MSR_LBR_SELECT, -1, -1);
    expect([meter.guestAccesses, meter.exits]).toEqual([3, 1]);
  });

  it('CostMeter counts the accesses of a guest’s task switch, and no other access', () => {
    const meter = meterOf(always);
    const { machine, tasks } = meter;
    machine.open(0, 0, 0, 2049);
    machine.rdmsr(0, MSR_LBR_TOS);
    expect([meter.taskSwitches, tasks.reads, tasks.writes]).toEqual([0, 0, 0]);
    machine.switchTask(0, 1);
    expect(meter.taskSwitches).toBe(1);
    expect([tasks.reads > 0, tasks.writes > 0]).toEqual([true, true]);
    expect(tasks.cycles).toBeGreaterThan(80 * tasks.reads + 120 * tasks.writes);
  });

  it('CostMeter calls another observer of the same machine before it counts', () => {
    const restores: number[] = [];
    const both: { meter?: CostMeter } = {};
    class Beside extends Observer {
      override hostStack(): void {
        restores.push(both.meter?.restores ?? -1);
      }
    }
    both.meter = meterOf(always, new Beside());
    both.meter.machine.switchTo(0, 1);
    // The boot makes one. The switch makes three: a save, a wipe and a restore.
    expect(restores).toEqual([-1, 1, 1, 1]);
    expect(both.meter.restores).toBe(2);
  });
});

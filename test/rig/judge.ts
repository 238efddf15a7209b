/** A watched machine for the tests of the checks: its events are opened and sampled by hand. */
import { expect } from 'vitest';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import type { CpuModel } from '../../src/hw/cpu_models.js';
import { findCpuModel, withDepth } from '../../src/hw/cpu_models.js';
import { always } from '../../src/host/policy/always.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { KIND } from '../../src/schedule/table.js';
import { Machine } from '../../src/machine/machine.js';
import { canPerform } from '../../src/schedule/table.js';
import { Monitor } from '../../src/judge/monitor.js';
import type { PropertyName, ReachName } from '../../src/judge/properties.js';
import { P, R } from '../../src/judge/verdicts.js';
import { broken } from './broken_port.js';

export function modelOf(name: string): CpuModel {
  const found = findCpuModel(name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

/** The port with something done after each read of the stack. */
export function afterRead(change: (cpu: Cpu) => void): DriverKind {
  return broken((port) => ({
    intel_pmu_lbr_read: (cpu) => {
      port.intel_pmu_lbr_read(cpu);
      change(cpu);
    },
  }));
}

/** Two VMs of one vCPU and three tasks on one pCPU, with stacks of four records. */
export class WatchedRig {
  readonly m: Machine;
  readonly monitor: Monitor;

  constructor(driver: DriverKind = PORT, cpu = 'skylake', policy: LbrPolicy = always) {
    const shape = { vms: 2, vcpus: 1, tasks: 3, pcpus: 1 };
    const model = withDepth(modelOf(cpu), 4);
    const config = { ...shape, model, kernel: '6.1' as const, policy, driver };
    this.monitor = new Monitor(config);
    this.m = new Machine(config, this.monitor);
    this.monitor.start(this.m);
    this.m.boot();
  }

  /** Opens an event of a task, or of the CPU (-1). */
  open(type: number, task = 0): void {
    expect(this.m.open(0, task, 0, type)).toBe(0);
  }

  /** Takes a sample of the first event that counts, after so many accesses of other functions. */
  sample(after = 0): void {
    const { events } = this.m.cpu(0).kernel;
    const slot = events.findIndex(({ id }) => canPerform(this.m, KIND.pmi, 0, id, after));
    expect(slot).toBeGreaterThanOrEqual(0);
    this.m.pmi(0, slot, after);
  }

  /** Who has broken a property: nobody, the policy, or the guest's kernel. */
  breaker(property: PropertyName): string {
    const { broken: byPolicy, own } = this.monitor.verdicts;
    if (byPolicy[P[property]] !== 0) return 'policy';
    return own[P[property]] !== 0 ? 'kernel' : 'nobody';
  }

  /** Every property that is broken, by whomever. */
  get allBroken(): PropertyName[] {
    return PROPERTY_NAMES.filter((name) => this.breaker(name) !== 'nobody');
  }

  /** How the guest's kernel breaks a property. */
  detail(property: PropertyName): string {
    return this.monitor.verdicts.ownDetails[P[property]];
  }

  reach(name: ReachName): number {
    return this.monitor.verdicts.reach[R[name]];
  }
}

/** What the judge finds, on a watched machine or by checks that the test calls itself. */
import { CALL_SWITCH } from '../../src/machine/guest_call.js';
import { expect } from 'vitest';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { withDepth } from '../../src/hw/cpu_models.js';
import { always } from '../../src/host/policy/always.js';
import type { PropertyName } from '../../src/judge/properties.js';
import { PROPERTY, PROPERTY_NAMES, REACH } from '../../src/judge/properties.js';
import { Machine } from '../../src/machine/machine.js';
import { canPerform, KIND } from '../../src/schedule/table.js';
import { Monitor } from '../../src/judge/monitor.js';
import type { ReachName } from '../../src/judge/properties.js';
import { Reference } from '../../src/judge/reference.js';
import { RegisterCheck } from '../../src/judge/register_check.js';
import { SwitchCheck } from '../../src/judge/switch_check.js';
import { Verdicts } from '../../src/judge/verdicts.js';
import { broken } from './broken_port.js';
import { cpuModel } from './cpu.js';
import { bootedMachine, machineConfig, type Part } from './machine.js';

/** The port with `change` applied after each read of the stack. */
export function afterRead(change: (cpu: Cpu) => void): DriverKind {
  return broken((port) => ({
    intel_pmu_lbr_read: (cpu) => {
      port.intel_pmu_lbr_read(cpu);
      change(cpu);
    },
  }));
}

abstract class Judged {
  abstract readonly verdicts: Verdicts;

  /** Properties that the policy has broken. */
  get broken(): PropertyName[] {
    return PROPERTY_NAMES.filter((_, p) => this.verdicts.broken[p] !== 0);
  }

  /** Properties that the guest's kernel has broken on its own. */
  get own(): PropertyName[] {
    return PROPERTY_NAMES.filter((_, p) => this.verdicts.own[p] !== 0);
  }

  /** Who has broken a property: 'nobody', 'policy' or 'kernel'. */
  breaker(property: PropertyName): string {
    if (this.broken.includes(property)) return 'policy';
    return this.own.includes(property) ? 'kernel' : 'nobody';
  }

  /** Every broken property, whoever broke it. */
  get allBroken(): PropertyName[] {
    return PROPERTY_NAMES.filter((name) => this.breaker(name) !== 'nobody');
  }

  /** Detail of a failure of the policy. */
  detail(property: PropertyName): string {
    return this.verdicts.details[PROPERTY[property]];
  }

  /** Expects the policy to have broken this property alone. Returns the detail. */
  only(property: PropertyName): string {
    expect(this.broken).toEqual([property]);
    return this.detail(property);
  }

  /** Detail of a failure of the guest's kernel. */
  ownDetail(property: PropertyName): string {
    return this.verdicts.ownDetails[PROPERTY[property]];
  }

  /** Number of times that a risky situation arose. */
  reach(name: ReachName): number {
    return this.verdicts.reach[REACH[name]];
  }
}

/**
 * A machine under a monitor. By default it has two VMs of one vCPU and three tasks on one pCPU,
 * under `always`. Stacks have four records, or as many as the CPU has where a kernel's own C runs,
 * which finds that out by itself. The test opens events and takes samples.
 */
export class WatchedRig extends Judged {
  readonly m: Machine;
  readonly monitor: Monitor;

  constructor({ cpu = 'skylake', ...part }: Omit<Part, 'model'> = {}) {
    super();
    const bare = cpuModel(cpu);
    const model = part.driver?.image === undefined ? withDepth(bare, 4) : bare;
    const config = machineConfig({ tasks: 3, policy: always, ...part, model });
    this.monitor = new Monitor(config);
    this.m = new Machine(config, this.monitor);
    this.monitor.start(this.m);
    this.m.boot();
  }

  get verdicts(): Verdicts {
    return this.monitor.verdicts;
  }

  /** Opens an event of a task, or of the CPU if `task` is -1. */
  open(type: number, task = 0, vcpu = 0, attr = 0): void {
    expect(this.m.open(vcpu, task, attr, type)).toBe(0);
  }

  /** Takes a sample of the first active event, after `after` accesses of other functions. */
  sample(after = 0): void {
    const { events } = this.m.cpu(0).kernel;
    const slot = events.findIndex(({ id }) => canPerform(this.m, KIND.pmi, 0, id, after));
    expect(slot).toBeGreaterThanOrEqual(0);
    this.m.pmi(0, slot, after);
  }
}

/**
 * The reference machine and the checks of registers and switches. The test tells them what
 * happened; no machine runs.
 */
export class CheckRig extends Judged {
  readonly m: Machine;
  readonly verdicts: Verdicts = new Verdicts();
  readonly ref: Reference;
  readonly registers: RegisterCheck;
  readonly switches: SwitchCheck;

  /** @param seen - the machine as the reference machine and the checks see it. */
  constructor(part: Part = {}, seen: (machine: Machine) => Machine = (machine) => machine) {
    super();
    this.m = bootedMachine({ tasks: 2, ...part });
    const view = seen(this.m);
    const { m, verdicts } = this;
    const machine = (): Machine => view;
    this.ref = new Reference(m.config, machine, verdicts);
    this.ref.start();
    this.registers = new RegisterCheck(m.config, machine, this.ref, verdicts);
    this.registers.start();
    this.switches = new SwitchCheck(m.config, machine, this.ref, verdicts);
    this.switches.start();
  }
}

/** What vCPUs do: an NMI inside another function, which function, an access that may fault. */
export interface Seen {
  nested: boolean;
  running: number;
  expectsFault?: boolean;
}

/** A reference machine; the test tells it what its guests do. */
export function referenceRig(
  cpu = 'skylake',
  seen: Seen = { nested: false, running: CALL_SWITCH },
): CheckRig {
  const port = {
    get nested(): boolean {
      return seen.nested;
    },
    get expectsFault(): boolean {
      return seen.expectsFault ?? false;
    },
  };
  const ports = { value: [port, port, port, port] };
  const runningCall = { value: () => seen.running };
  return new CheckRig(
    { cpu, vcpus: 2, pcpus: 2 },
    (machine) => Object.create(machine, { ports, runningCall }) as Machine,
  );
}

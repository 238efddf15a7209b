/** A reference machine by itself, for the tests that tell it what a guest has done. */
import * as branch from '../../src/hw/branch.js';
import { findCpuModel } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import type { Observer } from '../../src/host/observer.js';
import { never } from '../../src/host/policy/never.js';
import type { PropertyName } from '../../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../../src/host/policy/policy.js';
import { CALL_SWITCH } from '../../src/sim/guest_call.js';
import { Machine } from '../../src/sim/machine.js';
import type { ReachName } from '../../src/verify/properties.js';
import { Reference } from '../../src/verify/reference.js';
import { R, Verdicts } from '../../src/verify/verdicts.js';

const { MSR_LBR_NHM_FROM: FROM, MSR_LBR_SELECT: SELECT } = msrs;

/** The high word of an address of a VM. */
export function address(vm: number): number {
  return branch.addressHigh(false, branch.BRANCH_JCC, vm, 0, 0);
}

/** A reference that is told by hand what a guest did; the machine only stands by. */
export class Rig {
  readonly m: Machine;
  readonly verdicts: Verdicts = new Verdicts();
  readonly ref: Reference;
  /** Whether the vCPUs handle an NMI that came inside another function, and what they run. */
  nested = false;
  running: number = CALL_SWITCH;

  constructor(cpu = 'skylake') {
    const model = findCpuModel(cpu);
    if (model === undefined) throw new Error(`no ${cpu}`);
    const observer = new Proxy({} as Observer, { get: () => (): void => {} });
    const shape = { vms: 2, vcpus: 2, tasks: 2, pcpus: 2 };
    this.m = new Machine({ ...shape, model, kernel: '6.1', policy: never }, observer);
    this.m.boot();
    const view = Object.create(this.m, {
      ports: { get: () => [0, 1, 2, 3].map(() => ({ nested: this.nested })) },
      runningCall: { value: () => this.running },
    }) as Machine;
    this.ref = new Reference(this.m.config, () => view, this.verdicts);
    this.ref.start();
  }

  get broken(): PropertyName[] {
    return PROPERTY_NAMES.filter((_, p) => this.verdicts.broken[p] !== 0);
  }

  get own(): PropertyName[] {
    return PROPERTY_NAMES.filter((_, p) => this.verdicts.own[p] !== 0);
  }

  reach(name: ReachName): number {
    return this.verdicts.reach[R[name]];
  }

  /** Has vCPU 0 in call-stack mode. */
  callstackMode(): void {
    this.m.cpu(0).cpuc.lbr_users = 1;
    this.ref.write(0, SELECT, msrs.LBR_CALL_STACK, 0);
  }

  wrongRead(): void {
    this.ref.read(0, FROM, 1, address(0));
  }
}

/** Random explorations: their machines, actions and paths. */
import fc from 'fast-check';
import { type Bounds, type Group, GROUP_NAMES } from '../../src/schedule/explored.js';
import { DEFAULT_GROUPS } from '../../src/states/alphabet.js';
import { MachineModel } from '../../src/states/machine_model.js';
import type { ExploreOptions } from '../../src/states/explore.js';
import { KERNEL_VERSIONS } from '../../src/guest/perf/kernel.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { PROPERTY_NAMES } from '../../src/judge/properties.js';
import { POLICIES } from '../../src/host/policy/index.js';
import { withDepth } from '../../src/hw/cpu_models.js';
import type { Action } from '../../src/schedule/table.js';
import { actionText } from '../../src/schedule/action_text.js';
import type { MachineConfig } from '../../src/machine/config.js';
import { cpuModel } from './cpu.js';
import { machineConfig } from './machine.js';

export type Counts = readonly [vms: number, vcpus: number, tasks: number, pcpus: number];

export function configOf(policy: LbrPolicy, counts: Counts, cpu = 'haswell/2'): MachineConfig {
  const [vms, vcpus, tasks, pcpus] = counts;
  return machineConfig({ vms, vcpus, tasks, pcpus, cpu, policy });
}

/** Options of a whole exploration: two VMs of one vCPU and two tasks, one pCPU, two records. */
export function exploreOptions(
  policy: LbrPolicy,
  groups: readonly Group[],
  more: Partial<ExploreOptions> = {},
): ExploreOptions {
  return {
    model: cpuModel('haswell/2'),
    kernel: '6.1',
    policy,
    shape: { vms: 2, vcpus: 1, tasks: 2, pcpus: 1 },
    bounds: { groups, events: 1, calls: 2, suspended: 1 },
    properties: PROPERTY_NAMES,
    maxLength: Infinity,
    memoryBytes: Infinity,
    fingerprints: false,
    symmetry: true,
    untilBroken: false,
    ...more,
  };
}

const SHAPES: readonly Counts[] = [
  [2, 1, 2, 1],
  [1, 2, 2, 1],
  [2, 2, 2, 2],
  [2, 1, 2, 2],
  [1, 2, 3, 2],
  [3, 1, 2, 2],
];
const CPUS = ['haswell', 'skylake', 'nehalem', 'haswell-notsx', 'goldmont', 'core2', 'knl'];

export interface Drawn {
  readonly config: MachineConfig;
  readonly bounds: Bounds;
  /** The choice of each step among the possible actions. */
  readonly picks: readonly number[];
}

/** Most of the default groups, and half of the others. */
const someGroups: fc.Arbitrary<Group[]> = fc
  .tuple(...GROUP_NAMES.map(() => fc.nat({ max: 7 })))
  .map((drawn) =>
    GROUP_NAMES.filter((group, i) => drawn[i] >= (DEFAULT_GROUPS.includes(group) ? 1 : 4)),
  );

export function explorations(
  steps: number,
  policies: readonly LbrPolicy[] = POLICIES,
): fc.Arbitrary<Drawn> {
  const machine = fc.record({
    policy: fc.constantFrom(...policies),
    counts: fc.constantFrom(...SHAPES),
    cpu: fc.oneof(fc.constant('haswell'), fc.constantFrom(...CPUS)),
    depth: fc.constantFrom(2, 4),
    kernel: fc.constantFrom(...KERNEL_VERSIONS),
  });
  const bounds = fc.record({
    groups: someGroups,
    events: fc.integer({ min: 1, max: 3 }),
    calls: fc.integer({ min: 1, max: 5 }),
    suspended: fc.nat({ max: 2 }),
  });
  const picks = fc.array(fc.nat(), { minLength: steps, maxLength: steps });
  return fc
    .record({ machine, bounds, picks })
    .map(({ machine: { policy, counts, cpu, depth, kernel }, ...rest }) => ({
      ...rest,
      config: { ...configOf(policy, counts), model: withDepth(cpuModel(cpu), depth), kernel },
    }));
}

/** A machine as states and actions, in a form that is handy for tests. */
export class Walker {
  readonly model: MachineModel;
  private readonly out: Int32Array;

  constructor({ config, bounds }: Pick<Drawn, 'config' | 'bounds'>, keepsVms = false) {
    this.model = new MachineModel(config, bounds, keepsVms);
    this.out = new Int32Array(this.model.actionsMax);
  }

  first(): Int32Array {
    const state = new Int32Array(this.model.stateWords);
    this.model.init(state);
    return state;
  }

  actions(state: Int32Array): number[] {
    return [...this.out.subarray(0, this.model.actions(state, this.out))];
  }

  /** Picks an action by its kind. Interrupts a function in one of four cases only. */
  pick(actions: readonly number[], pick: number): number {
    const { model } = this;
    const plain = actions.filter((action) => model.cost(action) === 1);
    const inside = (pick & 3) === 0 || plain.length === 0;
    const among = inside ? actions : plain;
    const kinds = [...new Set(among.map((action) => model.table.kind(action)))];
    const kind = kinds[(pick >>> 2) % kinds.length];
    const ofKind = among.filter((action) => model.table.kind(action) === kind);
    return ofKind[(pick >>> 7) % ofKind.length];
  }

  after(state: Int32Array, action: number): Int32Array {
    const next = state.slice();
    this.model.apply(next, action);
    return next;
  }

  canonical(state: Int32Array): Int32Array {
    const named = state.slice();
    this.model.canonical(named);
    return named;
  }

  text(state: Int32Array, action: number): string {
    return textOf(this.model.actionsOf(state, action));
  }
}

export function textOf(actions: readonly Action[]): string {
  return actions.map(actionText).join(' & ');
}

/** A liveness claim is checked for every vCPU of a VM. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { always } from '../../src/host/policy/always.js';
import { lazySound } from '../../src/host/policy/lazy_sound.js';
import { parked } from '../../src/host/policy/parked.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { explore, type Liveness } from '../../src/states/explore.js';
import { Bench } from '../../src/campaign/trial.js';
import { Schedule } from '../../src/schedule/schedule.js';
import { seeded } from '../rig/seed.js';
import { exploreOptions, explorations, Walker } from '../rig/states.js';

/** A policy that acts as the first of `policies` for the first vCPU of each VM, and so on. */
function mixed(...policies: readonly [first: LbrPolicy, second: LbrPolicy]): LbrPolicy {
  const [first, second] = policies;
  expect(first.words.slice(0, second.words.length)).toEqual(
    second.words.slice(0, first.words.length),
  );
  const words = first.words.length > second.words.length ? first.words : second.words;
  return {
    ...first,
    words,
    knownFailures: {},
    sched_in: (kvm, vcpu) => policies[vcpu.cpu].sched_in(kvm, vcpu),
    vcpu_load: (kvm, vcpu) => policies[vcpu.cpu].vcpu_load(kvm, vcpu),
    vcpu_put: (kvm, vcpu) => policies[vcpu.cpu].vcpu_put(kvm, vcpu),
    vcpu_enter: (kvm, vcpu) => policies[vcpu.cpu].vcpu_enter(kvm, vcpu),
    vcpu_exit: (kvm, vcpu) => policies[vcpu.cpu].vcpu_exit(kvm, vcpu),
    get_msr: (kvm, vcpu, msr) => policies[vcpu.cpu].get_msr(kvm, vcpu, msr),
    set_msr: (kvm, vcpu, ...rest) => policies[vcpu.cpu].set_msr(kvm, vcpu, ...rest),
  };
}

function livenessOf(policy: LbrPolicy, vms = 1): Liveness {
  const { liveness } = explore(
    exploreOptions(policy, [], {
      shape: { vms, vcpus: 2, tasks: 2, pcpus: 1 },
      bounds: { groups: ['events', 'calls'], events: 1, calls: 1, suspended: 0 },
      properties: ['no-needless-switch'],
    }),
  );
  if (liveness === null) throw new Error('the search is exhausted');
  return liveness;
}

describe('no-needless-switch for ever', () => {
  it('needless work for ever is found on the first vCPU and on the second', () => {
    expect(livenessOf(mixed(lazySound, lazySound))).toMatchObject({ recurs: false, most: 1 });
    for (const policy of [mixed(always, lazySound), mixed(lazySound, always)]) {
      expect(livenessOf(policy)).toMatchObject({ recurs: true, most: Infinity });
    }
  });

  it('needless work for ever is found though the number of the VM changes', () => {
    // With two VMs, the running VM is number 0.
    expect(livenessOf(mixed(lazySound, parked), 2)).toMatchObject({ recurs: false, most: 2 });
    expect(livenessOf(mixed(lazySound, always), 2).recurs).toBe(true);
  });

  it('liveness counts the needless switches of the vCPU that has most', () => {
    for (const policy of [mixed(parked, lazySound), mixed(lazySound, parked)]) {
      expect(livenessOf(policy)).toMatchObject({ recurs: false, most: 2 });
    }
  });
});

describe('MachineModel', () => {
  it('MachineModel says of each vCPU whether it has stopped, and what is in vain for it', () => {
    const met = new Set<string>();
    fc.assert(
      fc.property(explorations(40), (drawn) => {
        const walker = new Walker(drawn, true);
        const bench = new Bench(drawn.config);
        bench.boot();
        const state = walker.first();
        for (const pick of drawn.picks) {
          const actions = walker.actions(state);
          if (actions.length === 0) break;
          const action = walker.pick(actions, pick);
          const { model } = walker;
          const { machine, monitor } = bench;
          const ids = machine.vcpus.map(({ id }) => id);
          const inVain = ids.map((id) => model.worksInVain(state, action, id));
          const schedule = Schedule.of(model.actionsOf(state, action));
          monitor.forget();
          for (let i = 0; i < schedule.length; i++) bench.step(schedule, i);
          model.apply(state, action);
          const stopped = ids.map((id) => model.stopped(state, id));
          expect(stopped).toEqual(ids.map((id) => monitor.switches.stopped(id)));
          expect(inVain).toEqual(ids.map((id) => (monitor.switches.inVain & (1 << id)) !== 0));
          for (const id of ids) met.add(`${id} ${stopped[id]} ${inVain[id]}`);
        }
      }),
      seeded(40),
    );
    for (const id of [0, 1, 2, 3]) {
      for (const what of ['true true', 'true false', 'false false']) {
        expect(met).toContain(`${id} ${what}`);
      }
    }
  });
});

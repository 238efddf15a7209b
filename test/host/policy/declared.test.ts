/** On which CPUs and kernels a policy declares a failure, or a property not applicable. */
import { describe, expect, it } from 'vitest';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import { POLICIES } from '../../../src/host/policy/index.js';
import { knownFailure, notApplicable } from '../../../src/judge/declared.js';
import type { PropertyName } from '../../../src/judge/properties.js';
import { merged } from '../../../src/host/policy/merged.js';
import { never } from '../../../src/host/policy/never.js';
import { type LbrPolicy, WITH_CALLSTACK, WITH_SHORTCUT } from '../../../src/host/policy/policy.js';
import { KVM_FEATURES } from '../../../src/host/kvm_versions.js';
import { KERNEL_FEATURES, KERNEL_VERSIONS } from '../../../src/guest/perf/kernel.js';
import { v10 } from '../../../src/host/policy/v10.js';
import { v1Vmx, v1VmxArea, v1VmxSwap } from '../../../src/host/policy/v1_vmx.js';
import { v4, v4Select } from '../../../src/host/policy/v4.js';
import { v6, v7 } from '../../../src/host/policy/v6.js';
import { v8, v8Posted } from '../../../src/host/policy/v8.js';
import { cpuModel } from '../../rig/cpu.js';
import { CALLSTACK_SELECT, DEBUGCTL, LBR, Rig, SELECT } from '../../rig/machine.js';

const KERNELS = KERNEL_VERSIONS;
const WITH_STACK = [
  'haswell',
  'haswell-notsx',
  'skylake',
  'goldmont',
  'icelake',
  'tigerlake',
  'goldmont-plus',
];
const ALL = CPU_MODELS.map(({ name }) => name);
const AFTER_4_18 = KERNELS.filter((kernel) => kernel !== '4.18');

/** Every CPU and kernel for which the policy declares that it breaks the property. */
function expected(policy: LbrPolicy, property: PropertyName): string[] {
  return CPU_MODELS.flatMap((model) =>
    KERNELS.filter((kernel) => knownFailure(policy, property, model, kernel) !== null).map(
      (kernel) => `${model.name} ${kernel}`,
    ),
  );
}

function places(models: readonly string[], kernels: readonly string[] = KERNELS): string[] {
  const known = ALL.filter((name) => models.includes(name));
  return known.flatMap((name) => kernels.map((kernel) => `${name} ${kernel}`));
}

describe('Where', () => {
  it('Where asks about the CPU, and WITH_SHORTCUT about the kernel as well', () => {
    for (const model of CPU_MODELS) {
      const has = WITH_STACK.includes(model.name);
      for (const kernel of KERNELS) {
        const features = { ...KERNEL_FEATURES[kernel], ...KVM_FEATURES[kernel] };
        expect([model.name, WITH_CALLSTACK(model, features)]).toEqual([model.name, has]);
        const shortcut = [model.name, WITH_SHORTCUT(model, features)];
        expect(shortcut).toEqual([model.name, has && kernel !== '4.18']);
      }
    }
  });
});

describe('knownFailure', () => {
  it('a failing entry is expected of v1-vmx-area alone, on Haswell without TSX', () => {
    for (const property of ['no-leak/vm', 'no-leak/task', 'recorder-owned', 'no-fault'] as const) {
      expect(expected(v1VmxArea, property)).toEqual(places(['haswell-notsx']));
      for (const policy of [v1Vmx, v1VmxSwap]) expect(expected(policy, property)).toEqual([]);
    }
  });

  it('what no schedule can spare v1 is expected of v1 on every CPU and kernel', () => {
    for (const policy of [v1Vmx, v1VmxArea]) {
      for (const property of ['no-loss/any', 'host-intact', 'owner-only'] as const) {
        expect(expected(policy, property)).toEqual(places(ALL));
      }
    }
    expect(expected(v1VmxSwap, 'no-needless-switch')).toEqual(places(ALL));
    expect(expected(v1VmxSwap, 'owner-only')).toEqual([]);
  });

  it('v1-vmx-swap is expected to leave records to the host on every CPU', () => {
    expect(expected(v1VmxSwap, 'host-intact')).toEqual(places(ALL));
  });

  it('an event policy is expected to switch in vain where there can be an event', () => {
    for (const policy of [v4, v4Select, v6, v7, v8, v8Posted, v10, merged]) {
      expect(expected(policy, 'no-needless-switch')).toEqual(places(WITH_STACK));
    }
  });

  it('vCPUs of one VM are expected to meet by the shortcut, or for want of an event', () => {
    for (const policy of [v4, v4Select, v6, v7]) {
      expect(expected(policy, 'no-leak/task')).toEqual(places(ALL));
    }
    for (const policy of [v8, v8Posted]) {
      for (const property of ['no-leak/vm', 'no-leak/task'] as const) {
        expect(expected(policy, property)).toEqual(places(WITH_STACK, AFTER_4_18));
      }
    }
  });

  it('v8 is expected to unbalance perf and to sample wrongly where it has call stacks', () => {
    for (const policy of [v8, v8Posted]) {
      for (const property of ['balanced', 'sample-true'] as const) {
        expect(expected(policy, property)).toEqual(places(WITH_STACK));
      }
      expect(expected(policy, 'no-fault')).toEqual(places(ALL));
    }
  });
});

describe('needlessSwitches', () => {
  /** Number of switches at which perf still works for v0 after its guest has stopped. */
  function worked(policy: LbrPolicy): number {
    const rig = new Rig(policy);
    rig.write(0, SELECT, CALLSTACK_SELECT);
    rig.write(0, DEBUGCTL, LBR);
    rig.write(0, DEBUGCTL, 0);
    rig.enter();
    expect([policy.name, rig.event]).toEqual([policy.name, 'active']);
    rig.work();
    let count = 0;
    for (let i = 0; i < 5; i++) {
      for (const next of [-1, 0]) {
        rig.m.switchTo(0, next);
        if (rig.work().length > 0) count++;
      }
    }
    expect([policy.name, rig.event]).toEqual([policy.name, 'none']);
    return count;
  }

  it.each([v4, v4Select, v6, v7, v8, v10, merged])(
    'needlessSwitches of $name is how often it works for a guest that has stopped',
    (policy) => {
      expect(worked(policy)).toBe(policy.needlessSwitches);
    },
  );

  it('v8-posted works twice for a guest that has stopped: it forgets its last use at once', () => {
    expect(worked(v8Posted)).toBe(2);
    expect(v8Posted.needlessSwitches).toBe(2);
  });
});

describe('notApplicable', () => {
  it('on a CPU without call stacks v8 is never judged by what needs an owner', () => {
    const needOwner: readonly PropertyName[] = [
      'no-loss/any',
      'no-leak/vm',
      'host-intact',
      'owner-only',
      'recorder-owned',
      'no-premature-stop',
    ];
    for (const policy of [v8, v8Posted]) {
      for (const model of CPU_MODELS) {
        for (const property of needOwner) {
          const why = notApplicable(policy, property, model, '6.1');
          if (model.callstack) expect(why).toBe(null);
          else expect(why).toContain('every access raises #GP');
        }
        expect(notApplicable(policy, 'no-fault', model, '6.1')).toBe(null);
        expect(notApplicable(policy, 'active-agrees', model, '6.1')).toBe(
          'not a paravirtual policy',
        );
      }
    }
  });

  it('notApplicable always prefers the reason that holds on every CPU', () => {
    const twice: LbrPolicy = { ...never, withoutCallstack: { 'owner-only': 'there is none' } };
    for (const name of ['skylake', 'nehalem']) {
      expect(notApplicable(twice, 'owner-only', cpuModel(name), '6.1')).toBe(
        never.notApplicable['owner-only'],
      );
      const balanced: LbrPolicy = { ...never, withoutCallstack: { balanced: 'there is none' } };
      expect(notApplicable(balanced, 'balanced', cpuModel(name), '6.1')).toBe(
        name === 'skylake' ? null : 'there is none',
      );
    }
  });

  it('no property is declared not applicable twice, for all CPUs and for some', () => {
    for (const { notApplicable: everywhere, withoutCallstack = {} } of POLICIES) {
      for (const name of Object.keys(withoutCallstack)) expect(everywhere).not.toHaveProperty(name);
    }
  });
});

/** The readings of v1, which move the guest's stack at every VM entry and exit. */
import { describe, expect, it } from 'vitest';
import { MSR_LBR_SELECT, MSR_LBR_TOS } from '../../../src/hw/msr_index.js';
import { always } from '../../../src/host/policy/always.js';
import { lazyLiteral } from '../../../src/host/policy/lazy_literal.js';
import { lazySound } from '../../../src/host/policy/lazy_sound.js';
import { never } from '../../../src/host/policy/never.js';
import { parked } from '../../../src/host/policy/parked.js';
import { pvSound } from '../../../src/host/policy/pv_sound.js';
import { v1Vmx, v1VmxArea, v1VmxSwap } from '../../../src/host/policy/v1_vmx.js';
import { HookRig, READ } from '../../rig/host_hooks.js';

describe.each([
  { policy: v1Vmx, enters: ['restore all'] },
  { policy: v1VmxSwap, enters: ['restore all'] },
  { policy: v1VmxArea, enters: ['load at entry'] },
])('$policy.name', ({ policy, enters }) => {
  it(`${policy.name} always saves at an exit, and restores at an entry`, () => {
    const rig = new HookRig(policy);
    for (let i = 0; i < 2; i++) {
      expect(rig.hook('vcpu_enter')).toEqual(enters);
      expect(rig.hook('vcpu_exit')).toEqual(['save all']);
    }
  });

  it(`${policy.name} asks whether the host has an event only to swap with it`, () => {
    const rig = new HookRig(policy);
    const swaps = policy === v1VmxSwap;
    rig.hostLbr = true;
    expect(rig.hook('vcpu_enter')).toEqual(swaps ? ['borrow', ...enters] : enters);
    expect(rig.hook('vcpu_exit')).toEqual(swaps ? ['save all', 'give back'] : ['save all']);
    // A stack that was already given back is not given back again.
    expect(rig.hook('vcpu_exit')).toEqual(['save all']);
    rig.vcpu.pcpu = 0;
    expect(rig.hook('vcpu_enter')).toEqual(enters);
  });

  it(`${policy.name} never does anything when a vCPU is scheduled in or out`, () => {
    const rig = new HookRig(policy);
    expect([rig.hook('vcpu_load'), rig.hook('vcpu_put')]).toEqual([[], []]);
    expect([rig.hook('handleRequests'), rig.wroteDebugctl(1)]).toEqual([[], []]);
    expect([rig.accessDebugctl(), rig.inUse, policy.pv]).toEqual([[0, []], null, 'none']);
  });

  it(`${policy.name} passes the registers through, and sends nothing`, () => {
    const rig = new HookRig(policy);
    expect(rig.reset()).toEqual(['pass through']);
    expect(rig.read(MSR_LBR_TOS)).toEqual([{ ...READ, vector: 0 }, ['rdmsr TOS']]);
    expect(rig.write(MSR_LBR_SELECT)).toEqual([0, ['wrmsr_safe SELECT 7 8']]);
    expect(policy.get_state(rig, rig.vcpu)).toBe(false);
  });
});

describe('recordsStale', () => {
  it.each([always, pvSound, lazySound, parked])(
    'recordsStale always holds of $name while the stack is in the registers',
    (policy) => {
      const rig = new HookRig(policy);
      const stale = (): boolean | undefined => policy.recordsStale?.(rig.vcpu);
      expect(stale()).toBe(false);
      rig.vcpu.vmcs.guestDebugctl = 1;
      expect(rig.hook('vcpu_enter')).toEqual(['restore all', 'pass through']);
      expect(stale()).toBe(true);
      expect(rig.hook('vcpu_put')).toEqual(['save all', 'scrub', 'intercept']);
      expect(stale()).toBe(false);
    },
  );

  it('a policy that reads the records at its next entry never calls them stale', () => {
    for (const policy of [never, v1Vmx, v1VmxSwap, v1VmxArea]) {
      expect(policy.recordsStale).toBeUndefined();
    }
  });
});

describe('reset', () => {
  it.each([
    { policy: lazyLiteral, steps: ['intercept'] },
    { policy: never, steps: ['pass through'] },
    { policy: lazySound, steps: [] },
    { policy: parked, steps: [] },
  ])('reset leaves the bitmap of $policy.name as its first slice wants it', ({ policy, steps }) => {
    expect(new HookRig(policy).reset()).toEqual(steps);
  });
});

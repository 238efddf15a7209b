/** Checks at vCPU switches: no-needless-switch, active-agrees, and the notes of stops. */
import { describe, expect, it } from 'vitest';
import { HOST } from '../../src/host/observer.js';
import { MSR_KVM_PV_LBR_CTRL } from '../../src/guest/pv/kvm_para.js';
import { BRANCH_REL_CALL } from '../../src/hw/branch.js';
import * as msrs from '../../src/hw/msr_index.js';
import { merged } from '../../src/host/policy/merged.js';
import { never } from '../../src/host/policy/never.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { pvV2 } from '../../src/host/policy/pv_v2.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { CheckRig } from '../rig/judge.js';
import { DEBUGCTL, FROM, LBR } from '../rig/machine.js';

const CALLSTACK_USER = BRANCH_TYPES[0];

const rigOf = (policy: LbrPolicy = never): CheckRig => new CheckRig({ policy });

/** Switches v0. `worked` says whether the host saved or restored LBR registers for this switch. */
function switch_({ switches }: CheckRig, worked: boolean): void {
  if (worked) switches.hostAccess(0, 0, 5);
  switches.vcpuSwitch(0, 0, false);
}

describe('no-needless-switch', () => {
  const withK = (needlessSwitches: number): CheckRig => rigOf({ ...never, needlessSwitches });

  it('no-needless-switch allows k switches with work after the last use, and no more', () => {
    for (const k of [0, 1, 3]) {
      const rig = withK(k);
      rig.switches.touched(0);
      for (let i = 0; i < k; i++) switch_(rig, true);
      for (let i = 0; i < 4; i++) switch_(rig, false);
      expect(rig.broken).toEqual([]);
      switch_(rig, true);
      const text = `v0: ${k + 1} switches saved or restored after its guest had stopped`;
      expect(rig.only('no-needless-switch')).toBe(text);
      expect(rig.reach('switch-after-stop')).toBe(k + 5);
    }
  });

  it('no-needless-switch counts anew after each use, of one vCPU', () => {
    const rig = withK(1);
    for (let i = 0; i < 3; i++) {
      rig.switches.touched(0);
      switch_(rig, true);
    }
    expect(rig.broken).toEqual([]);
    rig.switches.touched(1);
    switch_(rig, true);
    expect(rig.broken).toEqual(['no-needless-switch']);
  });

  it('no-needless-switch never speaks of a guest without LBR, or that still uses it', () => {
    const prepared: readonly ((rig: CheckRig) => void)[] = [
      (): void => {},
      ({ m, switches }): void => {
        switches.touched(0);
        m.cpu(0).cpuc.lbr_users = 1;
      },
      ({ ref, switches }): void => {
        switches.touched(0);
        ref.write(0, DEBUGCTL, LBR, 0);
      },
      ({ m, switches }): void => {
        switches.touched(0);
        m.arm(0, -1, 0);
        m.rdmsr(0, DEBUGCTL);
        expect(m.ports[0].suspended).not.toBe(0);
      },
    ];
    for (const prepare of prepared) {
      const rig = withK(0);
      prepare(rig);
      switch_(rig, true);
      expect([rig.broken, rig.reach('switch-after-stop')]).toEqual([[], 0]);
      // Work for one switch does not count for the next.
      expect(rig.switches['work'][0]).toBe(0);
    }
  });

  it('no-needless-switch counts what perf does for a vCPU that has a guest event', () => {
    for (const [event, work, wrong] of [
      [true, 3, true],
      [true, 0, false],
      [false, 3, false],
    ] as const) {
      const rig = rigOf({ ...merged, needlessSwitches: 0 });
      rig.switches.touched(0);
      if (event) rig.m.host.createGuestLbrEvent(rig.m.vcpus[0], 'fake-counter');
      rig.switches.hostAccess(0, HOST, work);
      rig.switches.vcpuSwitch(0, 0, false);
      expect(rig.broken).toEqual(wrong ? ['no-needless-switch'] : []);
      expect(rig.switches['hostWork'][0]).toBe(0);
    }
  });
});

describe('host-shortcut', () => {
  it('host-shortcut is a vCPU scheduled in, with an event, for one access of perf', () => {
    for (const [event, work, comes, n] of [
      [true, 1, true, 1],
      [true, 1, false, 0],
      [true, 2, true, 0],
      [true, 0, true, 0],
      [false, 1, true, 0],
    ] as const) {
      const rig = rigOf(merged);
      if (event) rig.m.host.createGuestLbrEvent(rig.m.vcpus[0], 'fake-counter');
      rig.switches.hostAccess(0, HOST, work);
      rig.switches.vcpuSwitch(0, 0, comes);
      expect([event, work, comes, rig.reach('host-shortcut')]).toEqual([event, work, comes, n]);
    }
  });
});

describe('hostAccess', () => {
  it('hostAccess notes work by its vCPU, and the host’s own by pCPU, up to two', () => {
    const { switches } = new CheckRig();
    const noted = (): number[][] => [[...switches['work']], [...switches['hostWork']]];
    expect(noted()).toEqual([[0, 0], [0]]);
    switches.hostAccess(0, 1, 5);
    expect(noted()).toEqual([[0, 1], [0]]);
    switches.hostAccess(0, HOST, 1);
    expect(noted()).toEqual([[0, 1], [1]]);
    switches.hostAccess(0, HOST, 4);
    expect(noted()).toEqual([[0, 1], [2]]);
    switches.start();
    expect(noted()).toEqual([[0, 0], [0]]);
  });
});

describe('switch-in-function', () => {
  it('switch-in-function is a vCPU scheduled out inside one, with LBR off or on', () => {
    const after = (users: number, on: boolean, comes: boolean, inside = true): number[] => {
      const rig = rigOf();
      rig.m.arm(0, -1, 0);
      if (inside) rig.m.rdmsr(0, DEBUGCTL);
      rig.m.cpu(0).cpuc.lbr_users = users;
      if (on) rig.ref.write(0, DEBUGCTL, LBR, 0);
      rig.switches.vcpuSwitch(0, 0, comes);
      return [rig.reach('switch-in-function'), rig.reach('switch-in-lbr-off-window')];
    };
    expect(after(1, false, false)).toEqual([1, 1]);
    expect(after(1, true, false)).toEqual([1, 0]);
    expect(after(0, false, false)).toEqual([1, 0]);
    expect(after(1, false, true)).toEqual([0, 0]);
    expect(after(1, false, false, false)).toEqual([0, 0]);
  });
});

describe('active-agrees', () => {
  /** Verdict and reach count after a switch of v0. */
  const now = (rig: CheckRig): [boolean, number] => {
    rig.switches.vcpuSwitch(0, 0, false);
    return [rig.broken.includes('active-agrees'), rig.reach('switch-while-active')];
  };
  const open = (rig: CheckRig, type = CALLSTACK_USER): void => {
    expect(rig.m.open(0, 0, 0, type)).toBe(0);
  };

  it('active-agrees asks for ACTIVE while a call-stack user counts, and never else', () => {
    const rig = rigOf(pvV2);
    expect(now(rig)).toEqual([false, 0]);
    open(rig);
    expect(now(rig)).toEqual([false, 1]);
    rig.m.vcpus[0].pvLbrCtrl = 0;
    expect(now(rig)).toEqual([true, 1]);
    expect(rig.detail('active-agrees')).toBe('v0: ACTIVE is 0 with 1 call-stack users');
    const idle = rigOf(pvV2);
    idle.m.vcpus[0].pvLbrCtrl = 1;
    expect(now(idle)).toEqual([true, 1]);
    expect(idle.detail('active-agrees')).toContain('ACTIVE is 1 with 0');
  });

  it('active-agrees never counts users of other modes, that are off, or do not run', () => {
    for (const prepare of [
      (rig: CheckRig): void => open(rig, BRANCH_TYPES[1]),
      (rig: CheckRig): void => {
        open(rig);
        rig.m.disable(0, 0);
      },
      (rig: CheckRig): void => {
        open(rig);
        rig.m.close(0, 0);
      },
      (rig: CheckRig): void => {
        open(rig);
        rig.m.switchTask(0, 1);
      },
    ]) {
      const rig = rigOf(pvV2);
      prepare(rig);
      rig.m.vcpus[0].pvLbrCtrl = 0;
      expect(now(rig)).toEqual([false, 0]);
    }
  });

  it('active-agrees never speaks of other policies, nor of a CPU that is yet to start', () => {
    const plain = rigOf(never);
    plain.m.vcpus[0].pvLbrCtrl = 1;
    expect(now(plain)).toEqual([false, 0]);
    const rig = rigOf(pvV2);
    rig.m.wrmsr(0, MSR_KVM_PV_LBR_CTRL, 1, 0);
    rig.m.arm(0, -1, 0);
    rig.m.kexec(0);
    expect(rig.m.booting(0)).toBe(true);
    expect(now(rig)).toEqual([false, 0]);
    rig.m.switchTo(0, 0);
    rig.m.resume(0);
    expect(now(rig)).toEqual([true, 1]);
  });

  it('active-agrees is lenient inside a function, unless hardware records a call stack', () => {
    const inside = (active: number, on: boolean, select: number): boolean => {
      const rig = rigOf(pvV2);
      open(rig);
      rig.m.arm(0, -1, 0);
      rig.m.rdmsr(0, DEBUGCTL);
      expect(rig.m.ports[0].suspended).not.toBe(0);
      rig.m.vcpus[0].pvLbrCtrl = active;
      if (on) rig.ref.write(0, DEBUGCTL, LBR, 0);
      rig.ref.write(0, msrs.MSR_LBR_SELECT, select, 0);
      return now(rig)[0];
    };
    expect(inside(0, true, msrs.LBR_CALL_STACK)).toBe(true);
    expect(inside(1, true, msrs.LBR_CALL_STACK)).toBe(false);
    expect(inside(0, false, msrs.LBR_CALL_STACK)).toBe(false);
    expect(inside(0, true, 0)).toBe(false);
  });
});

describe('stopCheck', () => {
  it('stopCheck notes a stop that the policy believes in while the guest has records', () => {
    for (const [believes, records, noted] of [
      [false, true, true],
      [false, false, false],
      [true, true, false],
      [null, true, false],
    ] as const) {
      const rig = rigOf({ ...never, inUse: believes === null ? null : () => believes });
      if (records) rig.ref.write(0, FROM, 7, 0);
      rig.switches.stopCheck(0);
      rig.switches.stopCheck(0);
      const n = noted ? 1 : 0;
      expect([[...rig.ref['dropped']], rig.reach('stop-with-records')]).toEqual([[n, 0], n]);
    }
  });

  it('stopCheck is made at every switch', () => {
    const rig = rigOf({ ...never, inUse: () => false });
    rig.ref.write(0, FROM, 7, 0);
    rig.switches.vcpuSwitch(0, 0, true);
    expect([...rig.ref['dropped']]).toEqual([1, 0]);
  });
});

describe('start', () => {
  it('a start of the switch check forgets the run before', () => {
    const rig = rigOf({ ...never, needlessSwitches: 1 });
    rig.m.branches(0, BRANCH_REL_CALL, 1);
    rig.switches.touched(0);
    switch_(rig, true);
    rig.switches.start();
    switch_(rig, true);
    expect(rig.reach('switch-after-stop')).toBe(1);
    rig.switches.touched(0);
    switch_(rig, true);
    expect(rig.broken).toEqual([]);
  });
});

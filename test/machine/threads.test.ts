/** Overflows of the host's counters, and threads that leave KVM_RUN, under the model of KVM. */
import { describe, expect, it } from 'vitest';
import {
  PERF_SAMPLE_BRANCH_ANY,
  PERF_SAMPLE_BRANCH_USER,
} from '../../src/guest/perf/perf_event.js';
import { always } from '../../src/host/policy/always.js';
import { merged } from '../../src/host/policy/merged.js';
import { parked } from '../../src/host/policy/parked.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import * as msrs from '../../src/hw/msr_index.js';
import { arriveAt, hostOverflow } from '../../src/machine/threads.js';
import {
  CALLSTACK_SELECT,
  DEBUGCTL,
  FLEXIBLE,
  HookedRig,
  LBR,
  ON,
  type Part,
  PINNED,
  Rig,
  SELECT,
} from '../rig/machine.js';

const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const ANY_USER = PERF_SAMPLE_BRANCH_ANY | PERF_SAMPLE_BRANCH_USER;
const FROZEN_HI = msrs.GLOBAL_STATUS_LBRS_FROZEN_HI;

describe('hostOverflow', () => {
  /** DEBUGCTL of a guest that has written `value` and has met an overflow of the host's. */
  function after(policy: LbrPolicy, value: number, part: Part = {}): number {
    const rig = new Rig(policy, part);
    rig.set(0, DEBUGCTL, value);
    hostOverflow(rig.m, 0);
    expect(rig.m.vcpus[0].inGuest).toBe(false);
    return rig.get(0, DEBUGCTL);
  }

  it('the freeze of PMU version 2 and 3 takes LBR from the guest, if nobody sets it again', () => {
    for (const cpu of ['core2', 'nehalem', 'haswell']) {
      expect([cpu, after(always, LBR | FREEZE, { cpu })]).toEqual([cpu, FREEZE]);
      expect([cpu, after(merged, LBR | FREEZE, { cpu })]).toEqual([cpu, FREEZE]);
      expect([cpu, after(parked, LBR | FREEZE, { cpu })]).toEqual([cpu, LBR | FREEZE]);
    }
  });

  it('a guest that has not asked for the freeze, or has LBR off, keeps its DEBUGCTL', () => {
    for (const policy of [always, parked]) {
      expect([LBR, FREEZE, 0].map((value) => after(policy, value))).toEqual([LBR, FREEZE, 0]);
    }
  });

  it('LBR that goes without a freeze stays off', () => {
    const { m } = new Rig(parked);
    const [vcpu] = m.vcpus;
    m.kvm.guestWrmsr(vcpu, DEBUGCTL, LBR, 0);
    m.kvm.enter(vcpu);
    m.pcpus[0].debugctl = 0;
    m.kvm.exit(vcpu);
    expect(vcpu.lbrEnabled).toBe(false);
  });

  it('LBR that a guest has turned off itself is never set again', () => {
    const rig = new Rig(parked);
    rig.set(0, DEBUGCTL, LBR | FREEZE);
    rig.enter();
    rig.set(0, DEBUGCTL, FREEZE);
    expect(rig.m.vcpus[0].words).toMatchObject({ recording: 0 });
    rig.m.exitAndEnter(0);
    expect(rig.get(0, DEBUGCTL)).toBe(FREEZE);
  });

  it("the guest's own PMI still freezes, by software, after the exit", () => {
    const rig = new Rig(parked);
    rig.m.open(0, 0, 0, ANY_USER);
    rig.enter();
    expect(rig.m.kvm.injectPmi(rig.m.vcpus[0], 0)).toBe(true);
    expect(rig.get(0, DEBUGCTL)).toBe(FREEZE);
  });

  it('PMU version 4 freezes by a bit of its own, which the handler of the NMI acks', () => {
    const rig = new Rig(always, { cpu: 'skylake' });
    rig.set(0, DEBUGCTL, LBR | FREEZE);
    rig.enter();
    const [pcpu] = rig.m.pcpus;
    const frozen: boolean[] = [];
    const { handleIrq } = rig.m.host;
    rig.m.host.handleIrq = (p): void => {
      pcpu.rdmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS);
      frozen.push((pcpu.edx & FROZEN_HI) !== 0);
      handleIrq.call(rig.m.host, p);
    };
    hostOverflow(rig.m, 0);
    expect(frozen).toEqual([true]);
    expect([pcpu.rdmsr(msrs.MSR_CORE_PERF_GLOBAL_STATUS), pcpu.edx]).toEqual([0, 0]);
    expect(rig.get(0, DEBUGCTL)).toBe(LBR | FREEZE);
  });

  it("an LBR event of the host's that counts in the guest takes a sample, and no other", () => {
    const rig = new Rig(parked);
    const samples = (): number => rig.said().filter((line) => line.startsWith('hostSample')).length;
    hostOverflow(rig.m, 0);
    expect(samples()).toBe(0);
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.hostEvent(0, FLEXIBLE, ON);
    hostOverflow(rig.m, 0);
    expect(samples()).toBe(2);
  });

  it('the guest hears nothing, and an idle pCPU is left alone', () => {
    const rig = new Rig(always);
    rig.said();
    hostOverflow(rig.m, 0);
    expect(rig.said().filter((line) => line.startsWith('guest'))).toEqual([]);
    rig.m.switchTo(0, -1);
    expect(() => hostOverflow(rig.m, 0)).not.toThrow();
  });
});

describe('KVM_RUN', () => {
  const SWITCHES = ['sched_in', 'vcpu_load', 'vcpu_put', 'vcpu_enter', 'vcpu_exit'];
  /** The hooks of v0 that are about threads, since the last call. */
  const hooksOf = ({ said }: HookedRig): string[] =>
    said().filter((line) => SWITCHES.some((name) => line === `${name} 0`));

  it('a thread that is switched inside of KVM_RUN is told by preempt notifiers', () => {
    const rig = new HookedRig();
    rig.m.kvm.enter(rig.m.vcpus[0]);
    hooksOf(rig);
    rig.m.switchTo(0, -1);
    rig.m.switchTo(0, 0);
    expect(hooksOf(rig)).toEqual([
      'vcpu_exit 0',
      'vcpu_put 0',
      'sched_in 0',
      'vcpu_load 0',
      'vcpu_enter 0',
    ]);
  });

  it('a thread is in userspace until its vCPU is first entered', () => {
    const { m } = new HookedRig();
    expect(m.vcpus.map((vcpu) => m.kvm.isInRun(vcpu))).toEqual([true, false]);
    arriveAt(m, 0, 1);
    expect(m.kvm.isInRun(m.vcpus[1])).toBe(false);
    m.kvm.enter(m.vcpus[1]);
    expect(m.kvm.isInRun(m.vcpus[1])).toBe(true);
  });

  it('a thread in userspace is put once, switched unseen, and loaded by KVM_RUN', () => {
    const rig = new HookedRig();
    const [vcpu] = rig.m.vcpus;
    rig.m.kvm.enter(vcpu);
    hooksOf(rig);
    expect(rig.m.kvm.isInRun(vcpu)).toBe(true);
    rig.m.kvm.toUserspace(vcpu);
    expect([rig.m.kvm.isInRun(vcpu), ...hooksOf(rig)]).toEqual([
      false,
      'vcpu_exit 0',
      'vcpu_put 0',
    ]);
    rig.m.switchTo(0, -1);
    arriveAt(rig.m, 0, 0);
    expect([rig.m.kvm.isInRun(vcpu), ...hooksOf(rig)]).toEqual([false]);
    rig.m.kvm.enter(vcpu);
    expect([rig.m.kvm.isInRun(vcpu), ...hooksOf(rig)]).toEqual([
      true,
      'vcpu_load 0',
      'vcpu_enter 0',
    ]);
    expect(() => rig.m.kvm.toUserspace(vcpu)).not.toThrow();
    expect(() => rig.m.kvm.toUserspace(vcpu)).toThrow('a thread leaves KVM_RUN once');
  });

  /** Whether v0, which has stopped, still has its event after three such rounds. */
  function keepsEvent(round: (rig: Rig) => void): boolean {
    const rig = new Rig(merged);
    rig.write(0, SELECT, CALLSTACK_SELECT);
    rig.write(0, DEBUGCTL, LBR);
    rig.write(0, DEBUGCTL, 0);
    for (let i = 0; i < 3; i++) round(rig);
    return rig.m.host.guestLbrEvent(rig.m.vcpus[0]) !== 'none';
  }

  it('merged keeps the event of a thread switched in userspace, or before it enters', () => {
    const plain = ({ m }: Rig): void => {
      m.switchTo(0, -1);
      m.switchTo(0, 0);
    };
    const arriving = ({ m }: Rig): void => {
      m.switchTo(0, -1);
      arriveAt(m, 0, 0);
    };
    const outside = (rig: Rig): void => {
      if (rig.m.kvm.isInRun(rig.m.vcpus[0])) rig.m.kvm.toUserspace(rig.m.vcpus[0]);
      arriving(rig);
    };
    const outsideOnly = (rig: Rig): void => {
      rig.m.kvm.toUserspace(rig.m.vcpus[0]);
      plain(rig);
    };
    expect([plain, arriving, outside, outsideOnly].map(keepsEvent)).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });
});

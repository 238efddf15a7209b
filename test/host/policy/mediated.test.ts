/** The policies of the mediated PMU: each hook, what a guest sees, and where there is none. */
import { describe, expect, it } from 'vitest';
import { EOPNOTSUPP } from '../../../src/guest/perf/perf_event.js';
import { KERNEL_VERSIONS } from '../../../src/guest/perf/kernel.js';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import * as msrs from '../../../src/hw/msr_index.js';
import { ALL_POLICIES, findPolicy, LATER_POLICIES } from '../../../src/host/policy/index.js';
import { mediated, mediatedLbr } from '../../../src/host/policy/mediated.js';
import { missingInKernel, missingOnCpu } from '../../../src/judge/needs.js';
import { never } from '../../../src/host/policy/never.js';
import { REFUSED } from '../../../src/host/policy/policy.js';
import { checkDeclared, notApplicable } from '../../../src/judge/declared.js';
import { HookRig } from '../../rig/host_hooks.js';
import { ANY } from '../../rig/kernel.js';
import { WatchedRig } from '../../rig/judge.js';
import {
  DEBUGCTL,
  FROM,
  GP,
  LBR,
  OF_TASK,
  ON,
  PINNED,
  Rig,
  SELECT,
  TOS,
} from '../../rig/machine.js';

const FREEZE = msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI;
const SKYLAKE = { cpu: 'skylake', kernel: '7.3' } as const;

describe('the hooks of the mediated PMU', () => {
  it.each(LATER_POLICIES)('$name loads before the entry and puts after the exit', (policy) => {
    const rig = new HookRig(policy);
    for (const hook of ['sched_in', 'vcpu_load', 'vcpu_put', 'handleRequests'] as const) {
      expect(rig.hook(hook)).toEqual([]);
    }
    expect(rig.hook('vcpu_enter')).toEqual(['load p1']);
    expect(rig.hook('vcpu_exit')).toEqual([]);
    expect(rig.hook('mediated_put')).toEqual(['put p1']);
  });

  it.each(LATER_POLICIES)('$name has host events out in the guest, and in outside', (policy) => {
    const rig = new Rig(policy, SKYLAKE);
    rig.m.hostEvent(0, PINNED, ON);
    expect([rig.m.loaded(0)?.inGuest, rig.counting]).toEqual([false, ['pinned']]);
    rig.enter();
    expect(rig.counting).toEqual([]);
    expect(rig.m.pcpus[0].debugctl & LBR).toBe(0);
    expect(rig.m.host.kernel.cpus[0].cpuctx.guest_ctx_loaded).toBe(1);
    rig.m.kvm.exit(rig.m.vcpus[0]);
    expect(rig.counting).toEqual(['pinned']);
    expect(rig.m.pcpus[0].debugctl).toBe(LBR | FREEZE);
    expect(rig.m.host.kernel.cpus[0].cpuctx.guest_ctx_loaded).toBe(0);
  });

  it('the put comes once the host has its DEBUGCTL back', () => {
    const seen: number[] = [];
    const rig = new Rig(
      { ...never, mediated_put: (_kvm, { pcpu }) => void seen.push(rig.m.pcpus[pcpu].debugctl) },
      SKYLAKE,
    );
    rig.m.hostEvent(0, PINNED, ON);
    rig.enter();
    rig.m.kvm.exit(rig.m.vcpus[0]);
    expect(seen.at(-1)).toBe(LBR | FREEZE);
  });

  it('KVM clears GLOBAL_CTRL once the host has no counter left', () => {
    const rig = new Rig(mediated, SKYLAKE);
    rig.m.hostEvent(0, PINNED, ON);
    const ctrl = (): number => rig.m.pcpus[0].rdmsr(msrs.MSR_CORE_PERF_GLOBAL_CTRL);
    expect(ctrl()).not.toBe(0);
    rig.enter();
    expect(ctrl()).toBe(0);
    rig.m.kvm.exit(rig.m.vcpus[0]);
    expect(ctrl()).not.toBe(0);
  });
});

describe('a guest under mediated', () => {
  it('a guest has no LBR: #GP for each LBR MSR, LBR_FMT 0, and DEBUGCTL.LBR is dropped', () => {
    const rig = new Rig(mediated, SKYLAKE);
    expect([rig.open, rig.inUse]).toEqual([[], null]);
    for (const msr of [FROM, TOS, SELECT, msrs.MSR_LBR_INFO_0]) {
      expect([rig.read(0, msr), rig.write(0, msr, 0)]).toEqual(['gp', GP]);
    }
    expect(rig.read(0, msrs.MSR_IA32_PERF_CAPABILITIES)).toBe(0);
    expect([rig.write(0, DEBUGCTL, LBR), rig.read(0, DEBUGCTL), rig.debugctl]).toEqual([0, 0, 0]);
    expect([rig.write(0, DEBUGCTL, FREEZE), rig.write(0, DEBUGCTL, LBR | FREEZE)]).toEqual([
      GP,
      GP,
    ]);
    const { kvm, vcpus } = rig.m;
    expect(mediated.get_msr(kvm, vcpus[0], FROM)).toBe(REFUSED);
    expect(mediated.set_msr(kvm, vcpus[0], FROM, 0, 0)).toBe(GP);
  });

  it('a guest kernel refuses events of branches, and the judge wants no other answer', () => {
    const rig = new WatchedRig({ policy: mediated, kernel: '7.3' });
    expect(rig.m.open(0, 0, 0, ANY)).toBe(-EOPNOTSUPP);
    expect(rig.allBroken).toEqual([]);
    rig.monitor.guestOpened(0, ANY, 0);
    expect(rig.breaker('filter-true')).toBe('kernel');
  });

  it('the judge expects the faults of a CPU without LBR, and none of DEBUGCTL.LBR', () => {
    const rig = new WatchedRig({ policy: mediated, kernel: '7.3' });
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.hostWork(0, 1);
    expect(rig.reach('foreign-in-registers')).toBe(0);
    rig.m.wrmsr(0, DEBUGCTL, LBR, 0);
    rig.m.wrmsr(0, DEBUGCTL, FREEZE, 0);
    rig.m.wrmsr(0, TOS, 0, 0);
    expect(rig.reach('foreign-in-registers')).toBe(0);
    rig.m.rdmsr(0, FROM + 1);
    expect([rig.allBroken, rig.reach('foreign-in-registers')]).toEqual([[], 1]);
    for (const wrong of [
      (): void => rig.monitor.guestRead(0, FROM + 1, 1, 0),
      (): void => rig.monitor.guestWrite(0, DEBUGCTL, FREEZE, 0),
    ]) {
      rig.verdicts.clear();
      wrong();
      expect(rig.broken.length).toBeGreaterThan(0);
    }
  });

  it('what the host must keep is looked at where a guest has run', () => {
    const rig = new WatchedRig({ policy: mediated, kernel: '7.3' });
    rig.m.hostEvent(0, PINNED, ON);
    rig.m.hostWork(0, 1);
    expect(rig.reach('host-sample-after-guest')).toBe(0);
    rig.m.branches(0, 0, 1);
    rig.m.hostWork(0, 1);
    expect(rig.reach('host-sample-after-guest')).toBe(1);
    rig.m.switchTo(0, 1);
    expect(rig.reach('balance-checked')).toBeGreaterThan(0);
    expect(rig.allBroken).toEqual([]);
  });
});

describe('a guest under mediated-lbr', () => {
  it('a guest has its LBR MSRs directly, and DEBUGCTL as it writes it', () => {
    const rig = new Rig(mediatedLbr, SKYLAKE);
    expect(rig.open).toEqual(['FROM', 'TO', 'INFO', 'TOS', 'SELECT']);
    expect([rig.write(0, DEBUGCTL, LBR | FREEZE), rig.debugctl, rig.inUse]).toEqual([
      0,
      LBR | FREEZE,
      null,
    ]);
  });

  it("the host's call stack is lost: no callback saves it, and the guest writes over it", () => {
    const rig = new Rig(mediatedLbr, SKYLAKE);
    rig.m.hostEvent(0, OF_TASK, ON);
    rig.m.hostWork(0, 1);
    const { stack } = rig.m.pcpus[0];
    const was = stack.readLow(FROM + 1);
    expect(was).not.toBe(0);
    rig.enter();
    for (let i = 0; i < 32; i++) rig.set(0, FROM + i, 0x1000);
    rig.m.kvm.exit(rig.m.vcpus[0]);
    expect([rig.counting, stack.readLow(FROM + 1)]).toEqual([['of-task'], 0x1000]);
  });
});

describe('where there is no mediated PMU', () => {
  it('a policy of the mediated PMU is of 7.3 alone, and every other policy of each kernel', () => {
    for (const policy of ALL_POLICIES) {
      const later = LATER_POLICIES.includes(policy);
      for (const kernel of KERNEL_VERSIONS) {
        const why = later && kernel !== '7.3' ? 'needs a kernel with the mediated PMU: 7.3' : null;
        const text = why === null ? null : `policy ${policy.name} ${why}`;
        expect(missingInKernel(policy, kernel)).toBe(text);
      }
      expect(findPolicy(policy.name)).toBe(policy);
    }
  });

  it('no property is judged of it on a CPU with PMU version 2 or 3', () => {
    for (const model of CPU_MODELS) {
      const has = model.pmu_version >= 4;
      expect([model.name, missingOnCpu(mediated, model) === null]).toEqual([model.name, has]);
      expect(missingOnCpu(never, model)).toBe(null);
      const why = notApplicable(mediatedLbr, 'host-intact', model, '7.3');
      if (has) expect(why).toBe(null);
      else
        expect(why).toBe(
          `the mediated PMU needs PMU version 4, and ${model.name} has ${model.pmu_version}`,
        );
    }
  });

  it.each(LATER_POLICIES)('what $name declares is of properties that exist', (policy) => {
    expect(() => checkDeclared(policy)).not.toThrow();
    const both = Object.keys(policy.knownFailures).filter((name) => name in policy.notApplicable);
    expect(both).toEqual([]);
  });
});

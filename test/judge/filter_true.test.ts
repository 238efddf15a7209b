/** filter-true, tried with drivers that are broken on purpose. */
import { describe, expect, it } from 'vitest';
import { EINVAL, EOPNOTSUPP } from '../../src/guest/perf/perf_event.js';
import type { Cpu } from '../../src/guest/perf/kernel.js';
import type { DriverKind } from '../../src/guest/perf/lbr_driver.js';
import { PORT } from '../../src/guest/perf/lbr_port.js';
import * as perf from '../../src/guest/perf/perf_event.js';
import * as branch from '../../src/hw/branch.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';
import * as msrs from '../../src/hw/msr_index.js';
import { never } from '../../src/host/policy/never.js';
import { BRANCH_TYPES } from '../../src/schedule/actions/events.js';
import { broken } from '../rig/broken_port.js';
import { WatchedRig } from '../rig/judge.js';

const U = perf.PERF_SAMPLE_BRANCH_USER;
const K = perf.PERF_SAMPLE_BRANCH_KERNEL;
const ANY = perf.PERF_SAMPLE_BRANCH_ANY;
const STACK = perf.PERF_SAMPLE_BRANCH_CALL_STACK;
const { MSR_LBR_SELECT, MSR_IA32_DEBUGCTLMSR } = msrs;

/** The port with `change` applied after each time that it turns LBR on. */
function afterEnable(change: (cpu: Cpu) => void): DriverKind {
  return broken((port) => ({
    intel_pmu_lbr_enable_all: (cpu, pmi) => {
      port.intel_pmu_lbr_enable_all(cpu, pmi);
      if (cpu.cpuc.lbr_users > 0) change(cpu);
    },
  }));
}

function flipSelect(bits: number): DriverKind {
  return afterEnable((cpu) => {
    cpu.wrmsrl(MSR_LBR_SELECT, cpu.rdmsrl(MSR_LBR_SELECT) ^ bits, 0);
  });
}

function flipDebugctl(bits: number): DriverKind {
  return afterEnable((cpu) => {
    cpu.wrmsrl(MSR_IA32_DEBUGCTLMSR, cpu.rdmsrl(MSR_IA32_DEBUGCTLMSR) ^ bits, 0);
  });
}

/** Opens an event of this type. Returns how filter-true breaks, or ''. */
function verdictOn(driver: DriverKind, type: number, cpu = 'skylake'): string {
  const rig = new WatchedRig({ driver, cpu });
  rig.open(type);
  expect(rig.reach('filter-judged')).toBe(1);
  const breaker = rig.breaker('filter-true');
  expect(breaker).not.toBe('policy');
  return breaker === 'nobody' ? '' : rig.ownDetail('filter-true');
}

/** Lets perf_event_open() return `ret` for a type. Returns how filter-true breaks, or ''. */
function openVerdict(type: number, ret: number, cpu = 'skylake'): string {
  const rig = new WatchedRig({ cpu });
  rig.monitor.guestOpened(0, type, ret);
  return rig.breaker('filter-true') === 'nobody' ? '' : rig.ownDetail('filter-true');
}

describe('filter-true', () => {
  for (const { name, callstack, select } of CPU_MODELS) {
    it(`filter-true holds for 6.1 on ${name}, whatever one event asks for`, () => {
      for (const type of BRANCH_TYPES) {
        if ((type & STACK) !== 0 && !callstack) continue;
        if ((type & perf.PERF_SAMPLE_BRANCH_CALL) !== 0 && select === 'nhm') continue;
        const rig = new WatchedRig({ cpu: name });
        rig.open(type);
        rig.m.branches(0, branch.BRANCH_REL_CALL, 2);
        rig.sample();
        rig.m.switchTask(0, 1);
        rig.m.switchTask(0, 0);
        rig.sample(3);
        rig.m.switchTask(0, 2);
        rig.m.close(0, 0);
        rig.m.kexec(0);
        expect([type, rig.allBroken]).toEqual([type, []]);
        expect(rig.reach('filter-judged')).toBeGreaterThan(2);
      }
    });
  }

  it('filter-true never asks call-stack mode for calls to the next instruction', () => {
    for (const cpu of ['skylake', 'haswell']) {
      const rig = new WatchedRig({ cpu });
      rig.open(STACK | perf.PERF_SAMPLE_BRANCH_CALL | perf.PERF_SAMPLE_BRANCH_USER);
      rig.sample();
      expect([cpu, rig.allBroken, rig.reach('filter-judged')]).toEqual([cpu, [], 2]);
    }
  });

  it('filter-true fails where LBR_SELECT drops what is asked for', () => {
    expect(verdictOn(flipSelect(msrs.LBR_JCC), ANY | U)).toBe(
      'v0: LBR_SELECT 0x5 drops jcc of user mode for type 0x9',
    );
    expect(verdictOn(flipSelect(msrs.LBR_USER), ANY | U)).toContain('drops jcc of user mode');
    expect(verdictOn(flipSelect(msrs.LBR_KERNEL), ANY | U | K)).toContain("drops the kernel's jcc");
    expect(verdictOn(flipSelect(msrs.LBR_RETURN), STACK | U)).toContain('drops ret of user mode');
    // Nehalem's jump bits record calls as well.
    const calls = perf.PERF_SAMPLE_BRANCH_ANY_CALL | U;
    expect(verdictOn(flipSelect(msrs.LBR_IND_JMP), calls, 'nehalem')).toContain('drops ind-call');
    expect(verdictOn(flipSelect(msrs.LBR_IND_JMP), calls)).toBe('');
  });

  it('filter-true lets LBR_SELECT pass more than is asked for', () => {
    expect(verdictOn(flipSelect(msrs.LBR_KERNEL), ANY | U)).toBe('');
    expect(verdictOn(flipSelect(msrs.LBR_JCC), STACK | U)).toBe('');
  });

  it('filter-true fails where call-stack mode is on or off and should not be', () => {
    const wrong = flipSelect(msrs.LBR_CALL_STACK);
    expect(verdictOn(wrong, ANY | U)).toContain('turns the mode on for type 0x9');
    expect(verdictOn(wrong, STACK | U)).toContain('does not turn the mode on for type 0x801');
  });

  it('filter-true fails where a freeze is missing, or happens in call-stack mode', () => {
    const wrong = flipDebugctl(msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    expect(verdictOn(wrong, ANY | U)).toBe('v0: FREEZE_LBRS_ON_PMI is 0, not 1');
    expect(verdictOn(wrong, STACK | U)).toBe('v0: FREEZE_LBRS_ON_PMI is 1, not 0');
  });

  it('filter-true fails if LBR is off while an event counts, or on while none does', () => {
    const off = flipDebugctl(msrs.DEBUGCTLMSR_LBR);
    expect(verdictOn(off, ANY | U)).toBe('v0: 1 events count, DEBUGCTL.LBR is 0');
    const rig = new WatchedRig({ driver: broken(() => ({ intel_pmu_lbr_disable_all: () => {} })) });
    rig.open(ANY | U);
    expect(rig.breaker('filter-true')).toBe('nobody');
    rig.m.switchTask(0, 1);
    expect(rig.ownDetail('filter-true')).toBe('v0: 0 events count, DEBUGCTL.LBR is 1');
  });

  it('filter-true expects the errno that 6.1 has', () => {
    const both = STACK | U | ANY;
    for (const [type, ret, cpu] of [
      [STACK | U, 0, 'skylake'],
      [STACK | U | K, 0, 'skylake'],
      [STACK | U | perf.PERF_SAMPLE_BRANCH_CALL | perf.PERF_SAMPLE_BRANCH_IND_JUMP, 0, 'skylake'],
      [both, -EINVAL, 'skylake'],
      [STACK | U | perf.PERF_SAMPLE_BRANCH_NO_TX, -EINVAL, 'skylake'],
      [both, -EOPNOTSUPP, 'nehalem'],
      [STACK | U, -EOPNOTSUPP, 'core2'],
      [ANY | U, 0, 'core2'],
      [ANY, 0, 'skylake'],
      [STACK, 0, 'skylake'],
      [U, -EINVAL, 'skylake'],
      [U | K, -EINVAL, 'core2'],
    ] as const) {
      expect(openVerdict(type, ret, cpu)).toBe('');
      const rig = new WatchedRig({ cpu });
      expect(rig.m.open(0, 0, 0, type)).toBe(ret);
      expect(rig.breaker('filter-true')).toBe('nobody');
      expect(openVerdict(type, ret === -EINVAL ? -EOPNOTSUPP : -EINVAL, cpu)).not.toBe('');
    }
    expect(openVerdict(both, 0)).toBe('v0: opening type 0x809 returned 0 instead of -22');
  });

  it('filter-true never judges after a raw write, nor what follows from wrong reads', () => {
    const wrong = flipDebugctl(msrs.DEBUGCTLMSR_FREEZE_LBRS_ON_PMI);
    const raw = new WatchedRig({ driver: wrong });
    raw.m.wrmsr(0, MSR_LBR_SELECT, 0, 0);
    raw.open(ANY | U);
    expect([raw.reach('filter-judged'), raw.breaker('filter-true')]).toEqual([0, 'nobody']);
    const misled = new WatchedRig({ driver: wrong, policy: never });
    misled.m.pcpus[0].stack.write(msrs.MSR_LBR_TOS, 3, 0);
    misled.m.pcpus[0].stack.write(msrs.MSR_LBR_NHM_FROM, 5, 0);
    misled.m.rdmsr(0, msrs.MSR_LBR_NHM_FROM);
    misled.open(ANY | U);
    expect([misled.reach('filter-judged'), misled.breaker('filter-true')]).toEqual([1, 'nobody']);
  });
});

describe('what 6.1 itself makes of filter-true', () => {
  it('6.1 never records direct calls on Nehalem: its map has no entry for them', () => {
    const type = perf.PERF_SAMPLE_BRANCH_CALL | U;
    expect(verdictOn(PORT, type, 'nehalem')).toBe(
      'v0: LBR_SELECT 0x1fd drops call of user mode for type 0x2001',
    );
    expect(verdictOn(PORT, type)).toBe('');
  });
});

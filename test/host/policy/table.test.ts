/** The table of policies, and what a policy declares about where it fails. */
import { describe, expect, it } from 'vitest';
import { CPU_MODELS } from '../../../src/hw/cpu_models.js';
import {
  findPolicy,
  knownFailure,
  notApplicable,
  POLICIES,
} from '../../../src/host/policy/index.js';
import { merged } from '../../../src/host/policy/merged.js';
import { never } from '../../../src/host/policy/never.js';
import { pvV2 } from '../../../src/host/policy/pv_v2.js';
import { PROPERTY_NAMES } from '../../../src/host/policy/policy.js';
import { cpuModel } from '../../rig/cpu.js';

const SKYLAKE = cpuModel('skylake');
const NEHALEM = cpuModel('nehalem');

describe('POLICIES', () => {
  it('POLICIES has each policy once, and findPolicy finds it by its name', () => {
    const names = POLICIES.map(({ name }) => name);
    expect(names).toEqual([
      'never',
      'always',
      'v1-vmx',
      'v1-vmx-swap',
      'v1-vmx-area',
      'pv-v2',
      'lazy-literal',
      'v4',
      'v4-select',
      'v6',
      'v7',
      'v8',
      'v8-posted',
      'v10',
      'merged',
      'pv-sound',
      'lazy-sound',
      'parked',
    ]);
    for (const policy of POLICIES) expect(findPolicy(policy.name)).toBe(policy);
    expect(findPolicy('lazy')).toBeUndefined();
  });

  it.each(POLICIES)(
    '$name says in words what it is, and is judged by known property names',
    (policy) => {
      for (const text of [policy.summary, policy.cites, policy.assumes]) {
        expect(text.length).toBeGreaterThan(10);
      }
      for (const declared of [policy.knownFailures, policy.notApplicable]) {
        for (const name of Object.keys(declared)) expect(PROPERTY_NAMES).toContain(name);
      }
      const both = Object.keys(policy.knownFailures).filter((name) => name in policy.notApplicable);
      expect(both).toEqual([]);
      expect(new Set(policy.words).size).toBe(policy.words.length);
    },
  );

  it('a policy that tells its guest of the MSR is always called paravirtual', () => {
    const pv = POLICIES.filter((policy) => policy.pv !== 'none');
    expect(pv.map(({ name, pv: site }) => [name, site])).toEqual([
      ['pv-v2', 'add-del'],
      ['pv-sound', 'add-del-boot'],
    ]);
    for (const policy of POLICIES) {
      expect('active-agrees' in policy.notApplicable).toBe(policy.pv === 'none');
    }
  });
});

describe('knownFailure', () => {
  it('knownFailure gives the declared reason, and null for what is not declared', () => {
    expect(knownFailure(never, 'no-leak/vm', NEHALEM, '4.18')).toBe(
      never.knownFailures['no-leak/vm']?.why,
    );
    expect(knownFailure(never, 'balanced', SKYLAKE, '6.1')).toBe(null);
  });

  it('no failure that needs call-stack mode is expected where there is none', () => {
    expect(knownFailure(merged, 'no-leak/vm', SKYLAKE, '4.18')).not.toBe(null);
    expect(knownFailure(merged, 'no-leak/vm', NEHALEM, '4.18')).toBe(null);
    expect(knownFailure(merged, 'no-fault', NEHALEM, '6.1')).not.toBe(null);
  });

  it('no failure that needs the restore shortcut is expected of a kernel without it', () => {
    expect(knownFailure(merged, 'no-leak/task', SKYLAKE, '6.1')).not.toBe(null);
    expect(knownFailure(merged, 'no-leak/task', SKYLAKE, '4.18')).toBe(null);
    expect(knownFailure(merged, 'no-leak/task', NEHALEM, '6.1')).toBe(null);
  });
});

describe('notApplicable', () => {
  it('notApplicable always gives the declared reason', () => {
    expect(notApplicable(never, 'active-agrees', SKYLAKE)).toBe(
      never.notApplicable['active-agrees'],
    );
    expect(notApplicable(never, 'no-leak/vm', SKYLAKE)).toBe(null);
  });

  it('a policy that never touches the registers is not judged by who touches them', () => {
    for (const model of CPU_MODELS) {
      const reason = notApplicable(merged, 'owner-only', model);
      if (model.callstack) expect(reason).toBe(null);
      else expect(reason).toBe('it never touches the registers');
      expect(notApplicable(merged, 'no-loss/any', model)).toBe(null);
    }
    expect(notApplicable(pvV2, 'owner-only', NEHALEM)).toBe('it never touches the registers');
    const always = findPolicy('always') ?? never;
    expect(notApplicable(always, 'owner-only', NEHALEM)).toBe(null);
  });
});

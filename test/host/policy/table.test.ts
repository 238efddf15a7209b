import { describe, expect, it } from 'vitest';
import { findPolicy, POLICIES } from '../../../src/host/policy/index.js';

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
      'pv-v2-direct',
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

  it.each(POLICIES)('the table says in words what $name is', (policy) => {
    for (const text of [policy.summary, policy.cites, policy.assumes]) {
      expect(text.length).toBeGreaterThan(10);
    }
    const both = Object.keys(policy.knownFailures).filter((name) => name in policy.notApplicable);
    expect(both).toEqual([]);
    expect(new Set(policy.words).size).toBe(policy.words.length);
  });

  it('a policy that tells its guest of the MSR is always called paravirtual', () => {
    const pv = POLICIES.filter((policy) => policy.pv !== 'none');
    expect(pv.map(({ name, pv: site }) => [name, site])).toEqual([
      ['pv-v2', 'add-del'],
      ['pv-v2-direct', 'add-del'],
      ['pv-sound', 'add-del-boot'],
    ]);
  });
});

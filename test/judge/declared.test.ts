/** Failures that a policy declares, and the judge's verdict on them. */
import { describe, expect, it } from 'vitest';
import { CPU_MODELS, type CpuModel, findCpuModel } from '../../src/hw/cpu_models.js';
import { findPolicy, POLICIES } from '../../src/host/policy/index.js';
import { merged } from '../../src/host/policy/merged.js';
import { never } from '../../src/host/policy/never.js';
import { pvV2Direct } from '../../src/host/policy/pv_v2.js';
import { checkDeclared, knownFailure, notApplicable } from '../../src/judge/declared.js';
import { Monitor } from '../../src/judge/monitor.js';

function cpuModel(name: string): CpuModel {
  const found = findCpuModel(name);
  if (found === undefined) throw new Error(`no CPU model ${name}`);
  return found;
}

const SKYLAKE = cpuModel('skylake');
const NEHALEM = cpuModel('nehalem');

describe('checkDeclared', () => {
  it.each(POLICIES)('checkDeclared finds only names of properties in policy $name', (policy) => {
    expect(() => checkDeclared(policy)).not.toThrow();
  });

  it('checkDeclared names the policy, the list and the name that is no property', () => {
    const why = 'it reads what another left';
    const known = { ...never, name: 'mine', knownFailures: { 'no-leak': { why } } };
    expect(() => checkDeclared(known)).toThrow(
      "knownFailures of policy mine has 'no-leak', which is no property; the properties are " +
        'no-loss/callstack, no-loss/any, no-leak/vm,',
    );
    const silent = { ...never, notApplicable: { 'owner-only': why, 'active-agree': why } };
    expect(() => checkDeclared(silent)).toThrow(
      /^notApplicable of policy never has 'active-agree'/,
    );
    const without = { ...never, withoutCallstack: { toString: why } };
    expect(() => checkDeclared(without)).toThrow(
      /^withoutCallstack of policy never has 'toString'/,
    );
  });

  it('checkDeclared stops a machine from being judged under such a policy', () => {
    const policy = { ...never, notApplicable: { balance: 'it keeps no counts' } };
    const shape = { vms: 1, vcpus: 1, tasks: 1, pcpus: 1 };
    const config = { shape, model: SKYLAKE, kernel: '6.1' as const, policy };
    expect(() => new Monitor(config)).toThrow("notApplicable of policy never has 'balance'");
    expect(() => new Monitor({ ...config, policy: never })).not.toThrow();
  });
});

describe('knownFailure', () => {
  it('knownFailure gives the declared reason, or null', () => {
    expect(knownFailure(never, 'no-leak/vm', NEHALEM, '4.18')).toBe(
      never.knownFailures['no-leak/vm']?.why,
    );
    expect(knownFailure(never, 'balanced', SKYLAKE, '6.1')).toBe(null);
  });

  it('knownFailure never expects a failure that needs call-stack mode on a CPU without it', () => {
    expect(knownFailure(merged, 'no-leak/vm', SKYLAKE, '4.18')).not.toBe(null);
    expect(knownFailure(merged, 'no-leak/vm', NEHALEM, '4.18')).toBe(null);
    expect(knownFailure(merged, 'no-fault', NEHALEM, '6.1')).toBe(null);
    expect(knownFailure(merged, 'no-loss/any', NEHALEM, '6.1')).not.toBe(null);
  });

  it('knownFailure never expects a failure of the restore shortcut in a kernel without it', () => {
    expect(knownFailure(merged, 'no-leak/task', SKYLAKE, '6.1')).not.toBe(null);
    expect(knownFailure(merged, 'no-leak/task', SKYLAKE, '4.18')).toBe(null);
    expect(knownFailure(merged, 'no-leak/task', NEHALEM, '6.1')).toBe(null);
  });
});

describe('notApplicable', () => {
  it('notApplicable gives the declared reason', () => {
    expect(notApplicable(never, 'owner-only', SKYLAKE, '6.1')).toBe(
      never.notApplicable['owner-only'],
    );
    expect(notApplicable(never, 'no-leak/vm', SKYLAKE, '6.1')).toBe(null);
  });

  it('notApplicable knows by itself what cannot be asked of a policy', () => {
    for (const policy of POLICIES) {
      const active = notApplicable(policy, 'active-agrees', SKYLAKE, '6.1');
      expect(active).toBe(policy.pv === 'none' ? 'not a paravirtual policy' : null);
      const stop = notApplicable(policy, 'no-premature-stop', SKYLAKE, '6.1');
      expect(stop).toBe(policy.inUse === null ? 'it never takes the guest to have stopped' : null);
    }
    const why = 'a reason of its own';
    const own = { ...never, notApplicable: { 'active-agrees': why } };
    expect(notApplicable(own, 'active-agrees', SKYLAKE, '6.1')).toBe(why);
  });

  it('owner-only does not apply to a policy that never touches the registers', () => {
    for (const model of CPU_MODELS) {
      const reason = notApplicable(merged, 'owner-only', model, '6.1');
      if (model.callstack) expect(reason).toBe(null);
      else expect(reason).toBe('it never touches the registers');
      expect(notApplicable(merged, 'no-loss/any', model, '6.1')).toBe(null);
    }
    expect(notApplicable(pvV2Direct, 'owner-only', NEHALEM, '6.1')).toBe(
      'it never touches the registers',
    );
    const always = findPolicy('always') ?? never;
    expect(notApplicable(always, 'owner-only', NEHALEM, '6.1')).toBe(null);
  });
});

import { describe, expect, it } from 'vitest';
import { tryOut } from '../../src/campaign/try_out.js';
import { replayToken } from '../../src/campaign/replay_file.js';
import { guarded, PolicyError } from '../../src/host/policy/guarded.js';
import { findPolicy } from '../../src/host/policy/index.js';
import { never } from '../../src/host/policy/never.js';
import type { LbrPolicy } from '../../src/host/policy/policy.js';
import { CPU_MODELS } from '../../src/hw/cpu_models.js';

/** Of each kind one: what is tried does not depend on the table. */
const TRIED = ['never', 'v1-vmx', 'v8', 'merged', 'parked'].flatMap(
  (name) => findPolicy(name) ?? [],
);

const [model] = CPU_MODELS.filter(({ name }) => name === 'skylake');

function errorOf(policy: LbrPolicy): unknown {
  try {
    tryOut({ policy, model, kernel: '7.3' });
  } catch (error) {
    return error;
  }
  return null;
}

describe('tryOut', () => {
  it.each(TRIED)('tryOut finds nothing wrong with $name', (policy) => {
    expect(errorOf(policy)).toBe(null);
  });

  it('tryOut finds what a policy remembers outside of its words', () => {
    let switches = 0;
    const counts: LbrPolicy = {
      ...never,
      vcpu_put: (kvm, vcpu) => (++switches % 7 === 0 ? kvm.scrubStack(vcpu) : undefined),
    };
    const error = errorOf(counts);
    expect(error).toBeInstanceOf(PolicyError);
    expect(String(error)).toContain(
      'policy never does not do the same twice on one schedule: what it remembers of a vCPU has ' +
        'to be in `vcpu.words`, and nowhere else',
    );
  });

  it('tryOut gives the schedule in which a hook fails, which ends with the action', () => {
    const fails: LbrPolicy = {
      ...never,
      vcpu_put: () => {
        throw new Error('boom');
      },
    };
    const error = errorOf(guarded(fails, 'mine.mjs')) as PolicyError & { readonly token: string };
    const { schedule } = replayToken(error.token);
    const actions = schedule.actions();
    expect(actions.at(-1)?.kind).toBe('run');
    expect(error.message).toBe(
      'hook vcpu_put of policy never (mine.mjs) throws: boom, in action ' +
        `${actions.length} (p0: run vcpu=${actions.at(-1)?.args[0]})`,
    );
  });
});

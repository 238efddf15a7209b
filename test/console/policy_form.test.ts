/** What a policy has to look like, and how it is said that one does not. */
import { describe, expect, it } from 'vitest';
import { policyProblem } from '../../src/console/policy_form.js';
import { HOOK_NAMES } from '../../src/host/policy/guarded.js';
import { ALL_POLICIES } from '../../src/host/policy/index.js';
import { policyLike } from '../rig/policy_file.js';

type Changes = Readonly<Record<string, unknown>>;

/** Hooks that a policy may leave out. */
const OPTIONAL: readonly string[] = ['recordsStale', 'reprogram_counters'];

describe('policyProblem', () => {
  it.each(ALL_POLICIES)('policyProblem finds nothing wrong with $name but its name', (policy) => {
    expect(policyProblem({ ...policy, name: 'mine' })).toBe(null);
    expect(policyProblem(policy)).toBe(
      `policy ${policy.name}: name '${policy.name}' is taken: vlbr has such a policy`,
    );
  });

  it.each(HOOK_NAMES.filter((hook) => hook !== 'inUse' && !OPTIONAL.includes(hook)))(
    'policyProblem names %s where it is missing, or is no function',
    (hook) => {
      expect(policyProblem(policyLike({ [hook]: undefined }))).toContain(
        `policy mine has no ${hook};`,
      );
      expect(policyProblem(policyLike({ [hook]: 3 }))).toBe(
        `policy mine: ${hook} must be a function`,
      );
    },
  );

  it.each<[says: string, changes: Changes]>([
    ["has 'vcpu_puts', which means nothing here. Did you mean vcpu_put?", { vcpu_puts: () => {} }],
    [': summary must be a text that says something', { summary: ' ' }],
    [': assumes must be a text that says something', { assumes: 3 }],
    [': cites must be a text that says something', { cites: '' }],
    [': pv must be one of none, add-del, add-del-boot', { pv: 'yes' }],
    [': needlessSwitches must be a whole number from 0 on', { needlessSwitches: -1 }],
    [': needlessSwitches must be a whole number from 0 on', { needlessSwitches: 1.5 }],
    [": words must be a list of names, as ['live']", { words: 'live' }],
    [`: words has "a-b": the name of a word has small letters and '_' only`, { words: ['a-b'] }],
    [": words has 'live' twice", { words: ['live', 'used', 'live'] }],
    [': knownFailures must be an object, by names of properties', { knownFailures: [] }],
    [
      ": knownFailures has 'no-lek/vm', which is no property. Did you mean no-leak/vm? See: vlbr " +
        'list properties',
      { knownFailures: { 'no-lek/vm': { why: 'x' } } },
    ],
    [
      ": knownFailures for 'no-fault' has no why",
      { knownFailures: { balanced: { why: 'y' }, 'no-fault': {} } },
    ],
    [": knownFailures for 'no-fault' must be an object", { knownFailures: { 'no-fault': 'x' } }],
    [
      ": knownFailures for 'no-fault': where must be a function",
      { knownFailures: { 'no-fault': { why: 'x', where: true } } },
    ],
    [
      ": knownFailures for 'no-fault': seldom must be true, or left out",
      { knownFailures: { 'no-fault': { why: 'x', seldom: false } } },
    ],
    [
      ": knownFailures for 'no-fault' has 'seldon', which means nothing here. Did you mean seldom?",
      { knownFailures: { 'no-fault': { why: 'x', seldon: true } } },
    ],
    [
      ": notApplicable has 'owner', which is no property. Did you mean owner-only? See: vlbr " +
        'list properties',
      { notApplicable: { owner: 'x' } },
    ],
    [
      ": withoutCallstack for 'owner-only' must be a text that says something",
      { withoutCallstack: { 'owner-only': {} } },
    ],
    [': needs must be an object', { needs: 'the mediated PMU' }],
    [': needs has no what', { needs: { feature: 'mediatedPmu' } }],
    [
      ': noGuestLbr: where must be a function',
      { noGuestLbr: { why: 'KVM has none', where: 'everywhere' } },
    ],
    [': ofTree must be left out: policy kvm alone is the code of a tree', { ofTree: true }],
    [': changesPerf must be true, or left out', { changesPerf: 1 }],
    [': inUse must be a function, or null', { inUse: false }],
    ...OPTIONAL.map((hook): [string, Changes] => [
      `: ${hook} must be a function`,
      { [hook]: false },
    ]),
  ])('policyProblem says "%s"', (says, changes) => {
    const said = says.startsWith(':') ? says : ` ${says}`;
    expect(policyProblem(policyLike(changes))).toBe(`policy mine${said}`);
  });

  it.each(['My Policy', 'a b', '-a', 'a,b', './a', 3, ''])(
    'policyProblem refuses the name %j',
    (name) => {
      expect(policyProblem(policyLike({ name }))).toContain(
        `: name must be small letters, digits and '-', as 'my-policy', not ${JSON.stringify(name)}`,
      );
    },
  );

  it.each(['all', 'kvm', 'mediated'])('policyProblem says that the name %s is taken', (name) => {
    expect(policyProblem(policyLike({ name }))).toContain(`name '${name}' is taken`);
  });

  it('policyProblem says what to do about a policy without a belief, and about no object', () => {
    expect(policyProblem(policyLike({ inUse: undefined }))).toBe(
      'policy mine has no inUse; without such a belief it is: inUse: null',
    );
    expect(policyProblem(policyLike({ words: undefined }))).toBe(
      'policy mine has no words; begin the policy with ...PASS_THROUGH or ...PARKED, which have it',
    );
    expect(policyProblem({})).toBe('the policy has no name');
    for (const value of [null, 'x', 3, [], undefined]) {
      expect(policyProblem(value)).toBe('the policy must be an object');
    }
  });
});

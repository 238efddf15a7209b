// Tests of the policy my-policy, in a project that has vlbr as a package:  node --test
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findCpuModel, loadPolicies, verify } from 'vlbr';

// A mistake in the form of the policy is told here: a hook that is missing, a name that is none.
const policies = await loadPolicies(new URL('./my-policy.mjs', import.meta.url));

for (const name of ['haswell', 'skylake']) {
  test(`my-policy breaks what it declares on ${name}, and nothing else`, () => {
    const model = findCpuModel(name);
    const { results } = verify({ policies, model, runs: 400 });
    const surprises = results
      .filter(({ verdict, expected }) => verdict !== expected)
      .map(({ property, verdict }) => `${property}: ${verdict}`);
    assert.deepEqual(surprises, []);
  });
}

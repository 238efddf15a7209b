/** States that differ in names only offer the same actions and have one canonical form. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POLICIES } from '../../src/host/policy/index.js';
import { type Drawn, explorations, Walker } from '../rig/states.js';
import { seeded } from '../rig/seed.js';

/** The canonical form of each successor of a state, with the action that leads there. */
function successors(walker: Walker, state: Int32Array): Map<string, string> {
  const found = new Map<string, string>();
  for (const action of walker.actions(state)) {
    const text = walker.text(state, action);
    found.set(walker.canonical(walker.after(state, action)).join(), text);
  }
  return found;
}

/** Entries of `one` that `other` lacks. */
function onlyOne(one: Map<string, string>, other: Map<string, string>): string[] {
  return [...one].filter(([key]) => !other.has(key)).map(([, text]) => text);
}

function follow({ config, bounds, picks }: Drawn, keepsVms: boolean): void {
  // While a forked task is current, tasks are not renamed. Then equal states may count as
  // different.
  const groups = bounds.groups.filter((group) => group !== 'fork');
  const walker = new Walker({ config, bounds: { ...bounds, groups } }, keepsVms);
  let state = walker.first();
  for (const pick of picks) {
    const named = walker.canonical(state);
    expect(walker.canonical(named)).toEqual(named);
    const actions = walker.actions(state);
    expect(walker.actions(named).length).toBe(actions.length);
    if (actions.length === 0) break;
    const [raw, canonical] = [successors(walker, state), successors(walker, named)];
    expect([onlyOne(raw, canonical), onlyOne(canonical, raw)]).toEqual([[], []]);
    state = walker.after(state, walker.pick(actions, pick));
  }
}

describe('canonical', () => {
  it('a canonical state can do the same, up to names, and is its own canonical state', () => {
    fc.assert(
      fc.property(explorations(25), fc.boolean(), (drawn, keepsVms) => follow(drawn, keepsVms)),
      seeded(60),
    );
  });

  it('a canonical state keeps apart whose records a leaky policy has left where', () => {
    const leaky = POLICIES.filter(({ name }) => ['never', 'pv-v2', 'merged'].includes(name));
    fc.assert(
      fc.property(explorations(25, leaky), fc.boolean(), (drawn, keepsVms) =>
        follow(drawn, keepsVms),
      ),
      seeded(50),
    );
  });
});

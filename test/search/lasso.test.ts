/** Cycles in random graphs, compared with a transitive closure. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelInvariantError } from '../../src/hw/assert.js';
import { findLasso, type LassoOutcome, type Recurrence } from '../../src/search/lasso.js';
import type { Model } from '../../src/search/model.js';
import { Search } from '../../src/search/search.js';
import { distances, type Graph, graphs, modelOf, stateOf } from '../rig/graphs.js';

function explored(model: Model, symmetry = false): Search {
  const search = new Search(model, { symmetry });
  search.run();
  return search;
}

function judged(search: Search, claim: Recurrence): LassoOutcome {
  const outcome = findLasso(search, claim);
  if (outcome === null) throw new Error('nobody has stopped it');
  return outcome;
}

interface Claim {
  readonly outside: ReadonlySet<number>;
  readonly recurring: ReadonlySet<string>;
}

function recurrenceOf(claim: Claim): Recurrence {
  return {
    name: 'random',
    within: (state: Int32Array): boolean => !claim.outside.has(stateOf(state)),
    recurs: (from: Int32Array, action: number): boolean =>
      claim.recurring.has(`${stateOf(from)} ${action >> 1}`),
  };
}

interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
}

/** The edges among reachable states that are within the claim. */
function arrowsOf(graph: Graph, claim: Claim): Arrow[] {
  const lengths = distances(graph, false);
  const in_ = (s: number): boolean => lengths[s] < Infinity && !claim.outside.has(s);
  return graph.edges.flatMap((edges, from) =>
    edges.flatMap(({ to }, a) =>
      in_(from) && in_(to)
        ? [{ from, to, weight: claim.recurring.has(`${from} ${a}`) ? 1 : 0 }]
        : [],
    ),
  );
}

/** Weights of heaviest paths, relaxed to the end. More rounds than edges mean a cycle. */
function heaviest(graph: Graph, arrows: readonly Arrow[]): number {
  const weight = graph.edges.map(() => 0);
  const limit = arrows.length;
  for (let changed = true; changed;) {
    changed = false;
    for (const arrow of arrows) {
      const heavier = weight[arrow.from] + arrow.weight;
      if (heavier <= weight[arrow.to]) continue;
      if (heavier > limit) return Infinity;
      weight[arrow.to] = heavier;
      changed = true;
    }
  }
  return Math.max(0, ...weight);
}

function checkLasso(search: Search, claim: Recurrence, outcome: LassoOutcome): void {
  const { lasso } = outcome;
  if (lasso === null) throw new Error('there is a lasso');
  const { model } = search;
  const state = search.replay(lasso.stem);
  const canonical = (): string => {
    const copy = state.slice();
    search.rename(copy);
    return copy.join();
  };
  const start = canonical();
  const out = new Int32Array(model.actionsMax);
  let recurred = 0;
  expect(lasso.cycle.length).toBeGreaterThan(0);
  for (const action of lasso.cycle) {
    expect(claim.within(state)).toBe(true);
    expect([...out.subarray(0, model.actions(state, out))]).toContain(action);
    const from = state.slice();
    model.apply(state, action);
    if (claim.recurs(from, action, state)) recurred++;
  }
  expect(canonical()).toBe(start);
  expect(recurred).toBeGreaterThan(0);
}

/** Two lamps. A dark lamp can be lit. Lit lamps go out, both at once or one at a time. */
function lamps(lasting: boolean): Model {
  return {
    stateWords: 2,
    actionsMax: 4,
    invariants: [],
    init: (s: Int32Array): void => void s.fill(0),
    actions(s: Int32Array, out: Int32Array): number {
      let n = 0;
      for (let lamp = 0; lamp < 2; lamp++) {
        if (s[lamp] === 0) out[n++] = lamp;
        else if (!lasting) out[n++] = 2 + lamp;
      }
      return n;
    },
    apply: (s: Int32Array, action: number): void => void (s[action & 1] = action < 2 ? 1 : 0),
    canonical: (s: Int32Array): void => void s.sort(),
  };
}

describe('findLasso', () => {
  it('a lasso is found when there is one, and else how often the claim recurs at most', () => {
    const claims = fc.record({
      outside: fc.uniqueArray(fc.nat({ max: 15 }), { maxLength: 4 }).map((l) => new Set(l)),
      recurring: fc
        .uniqueArray(fc.tuple(fc.nat({ max: 15 }), fc.nat({ max: 3 })), {
          minLength: 4,
          maxLength: 30,
        })
        .map((list) => new Set(list.map((pair) => pair.map(String).join(' ')))),
    });
    const met = { lasso: 0, none: 0 };
    const property = fc.property(graphs(16), claims, (graph, claim) => {
      const search = explored(modelOf(graph, false));
      const recurrence = recurrenceOf(claim);
      const outcome = judged(search, recurrence);
      const most = heaviest(graph, arrowsOf(graph, claim));
      expect(outcome.most).toBe(most);
      if (most === Infinity) checkLasso(search, recurrence, outcome);
      else expect(outcome.lasso).toBe(null);
      if (most === Infinity) met.lasso++;
      else if (most > 0) met.none++;
    });
    fc.assert(property, { numRuns: 1500 });
    expect(Math.min(met.lasso, met.none)).toBeGreaterThan(20);
  });

  it('a lasso starts at a state nearest to the first, and returns by a shortest way', () => {
    // 0 -> 1 -> 2 -> 3 -> 1, a detour from 3 over 4, and a separate cycle 5 -> 5.
    const to = [[1], [2], [3], [4, 1], [1, 5], [5]];
    const graph = { edges: to.map((list) => list.map((t) => ({ to: t, cost: 1 }))), bad: [] };
    const recurring = new Set(['5 0', '3 0', '2 0']);
    const search = explored(modelOf(graph, false));
    const { lasso } = judged(search, recurrenceOf({ outside: new Set(), recurring }));
    expect(lasso).toEqual({ stem: [0, 0], cycle: [0, 2, 0] });
    const far = judged(search, recurrenceOf({ outside: new Set([3]), recurring }));
    expect(far.lasso).toEqual({ stem: [0, 0, 0, 0, 2], cycle: [0] });
  });

  it('a lasso takes the action that recurs where another leads to the same state', () => {
    const graph = { edges: [[1, 1].map((to) => ({ to, cost: 1 })), [{ to: 0, cost: 1 }]], bad: [] };
    const search = explored(modelOf(graph, false));
    const claim = recurrenceOf({ outside: new Set(), recurring: new Set(['0 1']) });
    expect(judged(search, claim).lasso).toEqual({ stem: [], cycle: [2, 0] });
  });

  it('a lasso is found with symmetry where one is found without', () => {
    for (const lasting of [false, true]) {
      // With symmetry the two lamps are interchangeable, so the claim is about any lamp.
      const recurs = (_from: Int32Array, action: number): boolean => action < 2;
      const claim = { name: 'lit', within: (): boolean => true, recurs };
      for (const symmetry of [false, true]) {
        const search = explored(lamps(lasting), symmetry);
        expect(search.visited.count).toBe(symmetry ? 3 : 4);
        const outcome = judged(search, claim);
        expect(outcome.most).toBe(lasting ? 2 : Infinity);
        if (!lasting) checkLasso(search, claim, outcome);
      }
    }
  });

  it('the claim of a transition is always told before names are changed', () => {
    const search = explored(lamps(false), true);
    // An action changes one lamp only, unless names change during the action.
    const recurs = (from: Int32Array, _action: number, to: Int32Array): boolean =>
      from[0] !== to[0] && from[1] !== to[1];
    const none = judged(search, { name: 'both', within: (): boolean => true, recurs });
    expect(none).toEqual({ lasso: null, most: 0 });
  });

  it('a graph that is not whole, or not exact, is never judged', () => {
    const claim = { name: 'none', within: (): boolean => true, recurs: (): boolean => false };
    const bounded = new Search(lamps(false), { maxLength: 1 });
    bounded.run();
    expect(() => judged(bounded, claim)).toThrow(ModelInvariantError);
    const prints = new Search(lamps(false), { fingerprints: true });
    prints.run();
    expect(() => judged(prints, claim)).toThrow(ModelInvariantError);
  });

  it('paths may be as long as the graph is large', () => {
    const length = 60_000;
    const ring: Model = {
      stateWords: 1,
      actionsMax: 1,
      invariants: [],
      init: (s: Int32Array): void => void s.fill(0),
      actions: (_s: Int32Array, out: Int32Array): number => ((out[0] = 7), 1),
      apply: (s: Int32Array): void => void (s[0] = (s[0] + 1) % length),
    };
    const search = explored(ring);
    const recurs = (from: Int32Array): boolean => from[0] === length - 1;
    const claim = { name: 'round', within: (): boolean => true, recurs };
    const { lasso } = judged(search, claim);
    expect(lasso?.stem.length).toBe(length - 1);
    expect(lasso?.cycle.length).toBe(length);
    const cut = { ...claim, within: (s: Int32Array): boolean => s[0] !== 0, recurs: () => true };
    expect(judged(search, cut)).toEqual({ lasso: null, most: length - 2 });
  });

  it('findLasso ends without a result when told to, wherever it is', () => {
    const line = Array.from({ length: 20000 }, (_, i) => [{ to: Math.min(i + 1, 19999), cost: 1 }]);
    const search = explored(modelOf({ edges: line, bad: [] }, false));
    const claim = recurrenceOf({ outside: new Set(), recurring: new Set() });
    let calls = 0;
    const all = (): boolean => calls++ >= 0;
    expect(findLasso(search, claim, all)).toEqual({ lasso: null, most: 0 });
    expect(calls).toBeGreaterThan(1);
    for (let last = 1; last <= calls; last++) {
      let asked = 0;
      expect(findLasso(search, claim, () => ++asked < last)).toBe(null);
      expect(asked).toBe(last);
    }
  });
});

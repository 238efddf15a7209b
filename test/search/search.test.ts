/** Breadth-first search, compared with a simple search over the same random graphs. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelInvariantError } from '../../src/hw/assert.js';
import type { Model } from '../../src/search/model.js';
import type { Outcome, Progress, SearchOptions } from '../../src/search/search.js';
import { Search } from '../../src/search/search.js';
import { distances, type Graph, graphs, modelOf, stateOf, WORDS } from '../rig/graphs.js';

function explore(model: Model, options?: SearchOptions): { search: Search; outcome: Outcome } {
  const search = new Search(model, options);
  return { search, outcome: search.run() };
}

const costOf = (model: Model, path: readonly number[]): number =>
  path.reduce((sum, action) => sum + (model.cost?.(action) ?? 1), 0);

/** A counter of `bits` bits with actions `up` and `down`, which stops at its last value. */
function counter(bits: number, words = 1): Model {
  const last = 2 ** bits - 1;
  return {
    stateWords: words,
    actionsMax: 2,
    invariants: [
      { name: 'below five', holds: (s: Int32Array): boolean => s[words - 1] < 5 },
      { name: 'not three', holds: (s: Int32Array): boolean => s[words - 1] !== 3 },
    ],
    init: (s: Int32Array): void => void s.fill(0),
    actions(s: Int32Array, out: Int32Array): number {
      const at = s[words - 1];
      let n = 0;
      if (at < last) out[n++] = 1;
      if (at > 0) out[n++] = -1;
      return n;
    },
    apply: (s: Int32Array, action: number): void => void (s[words - 1] += action),
  };
}

/** Every number of `bits` bits. An action sets a bit that is clear. */
function subsets(bits: number, words = 1): Model {
  return {
    stateWords: words,
    actionsMax: bits,
    invariants: [],
    init: (s: Int32Array): void => void s.fill(0),
    actions(s: Int32Array, out: Int32Array): number {
      let n = 0;
      for (let k = 0; k < bits; k++) if (((s[0] >> k) & 1) === 0) out[n++] = k;
      return n;
    },
    apply: (s: Int32Array, action: number): void => void (s[0] |= 1 << action),
    // States with equally many set bits are the same state under different names.
    canonical(s: Int32Array): void {
      let count = 0;
      for (let k = 0; k < bits; k++) count += (s[0] >> k) & 1;
      s[0] = 2 ** count - 1;
    },
  };
}

function agrees(graph: Graph, costs: boolean, fingerprints: boolean): void {
  const model = modelOf(graph, costs);
  const wanted = distances(graph, costs);
  const kinds = { kinds: 2, kindOf: (action: number): number => action & 1 };
  const { search, outcome } = explore(model, { fingerprints, ...kinds });
  const reached = wanted.filter((length) => length < Infinity);
  const edges = graph.edges.filter((_edges, s) => wanted[s] < Infinity).flat();
  expect(outcome.end).toBe('exhausted');
  expect(search.exhausted).toBe(true);
  expect(outcome.frontier).toBe(0);
  expect(outcome.states).toBe(reached.length);
  expect(outcome.transitions).toBe(edges.length);
  expect(outcome.length).toBe(Math.max(...reached));
  expect([...outcome.performed]).toEqual(
    [1, 2].map((c) => edges.filter((e) => e.cost === c).length),
  );
  const seen = new Set<number>();
  for (let i = 0; i < outcome.states; i++) {
    const path = search.path(i);
    const s = stateOf(search.replay(path));
    seen.add(s);
    expect(search.lengthOf(i)).toBe(wanted[s]);
    expect(costOf(model, path)).toBe(wanted[s]);
  }
  expect(seen.size).toBe(reached.length);
  graph.bad.forEach((bad, k) => {
    const shortest = Math.min(...[...bad].map((s) => wanted[s]));
    expect(outcome.brokenLength[k]).toBe(shortest === Infinity ? -1 : shortest);
    const first = outcome.broken[k];
    expect(first >= 0).toBe(shortest < Infinity);
    if (first >= 0) expect(bad.has(stateOf(search.replay(search.path(first))))).toBe(true);
  });
}

describe('Search', () => {
  it('a search always finds what a dumb search finds, at the same lengths', () => {
    const flags = [fc.boolean(), fc.boolean()] as const;
    fc.assert(
      fc.property(graphs(24), ...flags, (graph, costs, fingerprints) => {
        agrees(graph, costs, fingerprints);
      }),
      { numRuns: 400 },
    );
  });

  it('a bound on the length always covers exactly what it allows', () => {
    const property = fc.property(
      graphs(16),
      fc.nat({ max: 8 }),
      fc.boolean(),
      (graph, max, costs) => {
        const lengths = distances(graph, costs).filter((length) => length <= max);
        const { search, outcome } = explore(modelOf(graph, costs), { maxLength: max });
        expect(outcome.states).toBe(lengths.length);
        expect(outcome.length).toBe(Math.max(...lengths));
        expect(outcome.end).toBe(outcome.frontier === 0 ? 'exhausted' : 'bound');
        expect(search.exhausted).toBe(outcome.frontier === 0);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it('a search that stops at a bound says how many states it left', () => {
    const { outcome } = explore(counter(6), { maxLength: 10 });
    expect(outcome).toMatchObject({ end: 'bound', states: 11, length: 10, frontier: 1 });
    expect(outcome.transitions).toBe(19);
  });

  it('a search judges the wanted invariants, and no other', () => {
    const { outcome } = explore(counter(4), { wanted: [1] });
    expect([...outcome.broken]).toEqual([-1, 3]);
    expect([...outcome.brokenLength]).toEqual([-1, 3]);
    expect(outcome.end).toBe('exhausted');
  });

  it('a search stops once the wanted invariants are broken, if asked to, and not before', () => {
    const all = explore(counter(6), { stopWhenAllBroken: true }).outcome;
    expect(all).toMatchObject({ end: 'broken', states: 6, frontier: 1 });
    expect([...all.brokenLength]).toEqual([5, 3]);
    const one = explore(counter(6), { stopWhenAllBroken: true, wanted: [1] }).outcome;
    expect(one).toMatchObject({ end: 'broken', states: 4 });
    const none = explore(counter(6), { stopWhenAllBroken: true, wanted: [] }).outcome;
    expect(none.end).toBe('exhausted');
    // The last state of a length may break the last open invariant.
    const within = explore(subsets(3, 2), { stopWhenAllBroken: true }).outcome;
    expect(within.end).toBe('exhausted');
  });

  it('no further states of a length are expanded once all is broken', () => {
    const model: Model = {
      ...subsets(6),
      invariants: [{ name: 'not three', holds: (s: Int32Array): boolean => s[0] !== 3 }],
    };
    const { outcome } = explore(model, { stopWhenAllBroken: true });
    expect(outcome).toMatchObject({ end: 'broken', states: 1 + 6 + 5, frontier: 10 });
  });

  it('a search never holds more than it is allowed to', () => {
    const free = explore(subsets(17, 16)).outcome;
    const limit = free.bytes >> 1;
    const { outcome } = explore(subsets(17, 16), { memoryBytes: limit });
    expect(outcome.end).toBe('memory');
    expect(outcome.bytes).toBeLessThanOrEqual(limit);
    expect(outcome.states).toBeGreaterThan(1 << 14);
    expect(outcome.frontier).toBeGreaterThan(0);
    expect(explore(subsets(17, 16), { memoryBytes: free.bytes + 2 ** 20 }).outcome.end).toBe(
      'exhausted',
    );
  });

  it('a search counts what the model holds besides, between growths too', () => {
    const { outcome: free } = explore(subsets(14), { extraBytes: () => 1000 });
    expect(free.bytes - explore(subsets(14)).outcome.bytes).toBe(1000);
    let extra = 0;
    const options = { memoryBytes: 1e9, extraBytes: (): number => extra };
    const poll = ({ states }: Progress): boolean => {
      if (states > 9000) extra = 1e9;
      return true;
    };
    expect(explore(subsets(14), { ...options, poll }).outcome.end).toBe('memory');
  });

  it('a search tells how far it is, and ends when told to', () => {
    const seen: Progress[] = [];
    const poll = (progress: Progress): boolean => seen.push(progress) < 3;
    const { search, outcome } = explore(subsets(15), { poll });
    expect(outcome.end).toBe('interrupted');
    expect(search.exhausted).toBe(false);
    expect(seen.length).toBe(3);
    const [first, , last] = seen;
    expect(first.states - first.frontier).toBe(4096);
    expect(last.states - last.frontier).toBe(3 * 4096);
    expect(last.states).toBe(outcome.states);
    expect(last.bytes).toBe(outcome.bytes);
    expect(last.transitions).toBe(outcome.transitions);
    expect(last.length).toBe(outcome.length);
  });

  it('a search never counts a length as covered before it has judged every state of it', () => {
    const property = fc.property(
      graphs(16),
      fc.nat({ max: 16 }),
      fc.boolean(),
      (graph, most, costs) => {
        let polls = 0;
        const poll = (): boolean => polls++ < most;
        const lengths = distances(graph, costs);
        const { search, outcome } = explore(modelOf(graph, costs), { poll, pollStates: 1 });
        const { covered, states, end } = outcome;
        expect(covered === Infinity).toBe(end === 'exhausted');
        const found = Array.from({ length: states }, (_, i) =>
          stateOf(search.replay(search.path(i))),
        );
        const upTo = lengths.flatMap((length, s) => (length <= covered ? [s] : []));
        expect(found.slice(0, upTo.length).sort((a, b) => a - b)).toEqual(
          upTo.filter((s) => lengths[s] < Infinity),
        );
        graph.bad.forEach((bad, k) => {
          const shortest = Math.min(...[...bad].map((s) => lengths[s]));
          if (shortest <= covered && shortest < Infinity)
            expect(outcome.brokenLength[k]).toBe(shortest);
          else if (outcome.brokenLength[k] >= 0)
            expect(outcome.brokenLength[k]).toBeGreaterThan(covered);
        });
      },
    );
    fc.assert(property, { numRuns: 400 });
  });

  it('a search counts a length as covered exactly if all its states are found', () => {
    const interruptedAfter = (model: Model, expansions: number): Outcome => {
      let polls = 0;
      const poll = (): boolean => polls++ < expansions - 1;
      return explore(model, { poll, pollStates: 1 }).outcome;
    };
    for (const n of [1, 2, 3, 9]) {
      // In a line, each expansion finds the one state of the next length.
      const line = interruptedAfter(counter(5), n);
      expect([line.end, line.length, line.covered]).toEqual(['interrupted', n, n]);
      // Subsets of ten: the first expansion finds all of size 1, the next ten find all of size 2.
      const { covered } = interruptedAfter(subsets(10), n);
      expect(covered).toBe(1);
    }
    expect(interruptedAfter(subsets(10), 10).covered).toBe(1);
    expect(interruptedAfter(subsets(10), 11).covered).toBe(2);
    expect(explore(subsets(10), { maxStates: 1 }).outcome).toMatchObject({
      end: 'states',
      covered: 0,
    });
    expect(explore(counter(5)).outcome.covered).toBe(Infinity);
    expect(explore(counter(5), { maxLength: 7 }).outcome.covered).toBe(7);
  });

  it('the estimate extends the last two lengths to all, as soon as they shrink', () => {
    const seen: Progress[] = [];
    const poll = (progress: Progress): boolean => seen.push(progress) > 0;
    const { outcome } = explore(subsets(17), { poll });
    expect(outcome.states).toBe(1 << 17);
    expect(seen.length).toBe(31);
    const estimates = seen.map(({ states, frontier }) => {
      let [length, upTo] = [0, 1];
      while (upTo <= states - frontier) upTo += choose(17, ++length);
      const [before, count] = [choose(17, length - 1), choose(17, length)];
      if (count >= before) return -1;
      return Math.max(states, Math.round(upTo + (count * count) / (before - count)));
    });
    expect(seen.map((progress) => progress.estimate)).toEqual(estimates);
    expect(estimates.includes(-1) && estimates.some((n) => n > 0)).toBe(true);
  });

  it('the estimate is never lower than the states that exist', () => {
    // 5000 states, then 4000 states that lead to ten more each.
    const tree: Model = {
      ...star(5000),
      stateWords: 2,
      actions(s: Int32Array, out: Int32Array): number {
        const count = [5000, s[1] < 4000 ? 1 : 0, 10, 0][s[0]];
        for (let k = 0; k < count; k++) out[k] = k;
        return count;
      },
      apply(s: Int32Array, action: number): void {
        s[1] = s[1] * [1, 1, 10][s[0]] + action;
        s[0]++;
      },
    };
    const seen: Progress[] = [];
    explore(tree, { wanted: [], poll: (progress) => seen.push(progress) < 2 });
    expect(seen[1].states).toBe(9001 + 10 * (8192 - 5001));
    expect(seen[1].estimate).toBe(seen[1].states);
  });

  it('no estimate is given before there are two lengths', () => {
    const estimates: number[] = [];
    const poll = ({ estimate }: Progress): boolean => estimates.push(estimate) > 0;
    expect(explore(star(5000), { poll }).outcome.states).toBe(5001);
    expect(estimates).toEqual([-1]);
  });

  it('a search with symmetry agrees, on fewer states, and replays paths in plain names', () => {
    const plain = explore(subsets(10));
    const { search, outcome } = explore(subsets(10), { symmetry: true });
    expect(plain.outcome.states).toBe(1024);
    expect(outcome).toMatchObject({ end: 'exhausted', states: 11, length: 10 });
    for (let i = 0; i < outcome.states; i++) {
      const state = search.replay(search.path(i));
      expect(search.path(i).length).toBe(i);
      search.rename(state);
      expect(search.visited.find(state)).toBe(i);
    }
    const state = plain.search.replay([3]);
    plain.search.rename(state);
    expect([...state]).toEqual([8]);
  });

  it('symmetry always renames the first state too', () => {
    const model: Model = { ...subsets(5), init: (s: Int32Array): void => void (s[0] = 0b10100) };
    const { search, outcome } = explore(model, { symmetry: true });
    expect(outcome.states).toBe(4);
    const first = new Int32Array(1);
    search.visited.read(0, first);
    expect(first[0]).toBe(0b11);
    const path = search.path(3);
    expect(search.replay(path)[0]).toBe(31);
    expect([...path].sort((a, b) => a - b)).toEqual([0, 1, 3]);
  });

  it('states of any number of words are searched alike', () => {
    for (const words of [31, 32, 33, 200]) {
      for (const fingerprints of [false, true]) {
        const { search, outcome } = explore(counter(11, words), { fingerprints });
        expect(outcome).toMatchObject({ states: 2048, length: 2047 });
        expect(search.path(2047)).toEqual(Array(2047).fill(1));
      }
    }
  });

  it('states behind the frontier are forgotten with fingerprints', () => {
    const bytes = (fingerprints: boolean): number =>
      explore(counter(12, 2000), { fingerprints }).outcome.bytes;
    expect(bytes(false)).toBeGreaterThan(2000 * 4 * 4096);
    expect(bytes(true)).toBeLessThan(4e6);
  });

  it('a state that has actions of cost 2 left is never forgotten', () => {
    const model: Model = { ...counter(12, 2000), cost: () => 2 };
    const { outcome } = explore(model, { fingerprints: true });
    expect(outcome).toMatchObject({ end: 'exhausted', states: 4096, length: 2 * 4095 });
    expect(outcome.bytes).toBeLessThan(4e6);
  });

  it('a search throws if the model breaks its promises', () => {
    const { canonical: _canonical, ...nameless } = subsets(3);
    expect(() => new Search(nameless, { symmetry: true })).toThrow(ModelInvariantError);
    const long: Model = { ...subsets(3), actionsMax: 2 };
    expect(() => explore(long)).toThrow('lists no more actions');
    const { search } = explore(subsets(3));
    expect(() => search.run()).toThrow('runs once');
    expect(() => search.retrace(search.replay([]), [7], () => true)).toThrow(ModelInvariantError);
    expect(() => search.retrace(search.replay([]), [1], () => false)).toThrow(ModelInvariantError);
    expect(search.retrace(search.replay([]), [1], () => true)).toEqual([0]);
  });

  it('a search is not exhausted before it runs', () => {
    expect(new Search(subsets(3)).exhausted).toBe(false);
  });

  it('a search ends once it has so many states, and polls as often as asked', () => {
    let polls = 0;
    const poll = (): boolean => ++polls > 0;
    const { outcome } = explore(star(5000), { poll, pollStates: 1000 });
    expect([outcome.end, polls]).toEqual(['exhausted', 5]);
    const few = explore(subsets(10), { maxStates: 100 }).outcome;
    expect(few.end).toBe('states');
    expect(few.states).toBeGreaterThanOrEqual(100);
    expect(few.states).toBeLessThan(120);
  });
});

function choose(n: number, k: number): number {
  let product = 1;
  for (let i = 0; i < k; i++) product = (product * (n - i)) / (i + 1);
  return Math.round(product);
}

/** A state that leads to `leaves` states without actions. */
function star(leaves: number): Model {
  return {
    ...counter(1, WORDS),
    actionsMax: leaves,
    actions(s: Int32Array, out: Int32Array): number {
      if (s[0] !== 0) return 0;
      for (let k = 0; k < leaves; k++) out[k] = k + 1;
      return leaves;
    },
    apply: (s: Int32Array, action: number): void => void (s[0] = action),
  };
}

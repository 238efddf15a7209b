/** Random small graphs as models, with simple algorithms that say what a search should find. */
import fc from 'fast-check';
import type { Model } from '../../src/search/model.js';

export interface Edge {
  readonly to: number;
  readonly cost: number;
}

/** `edges[s][a]` is where action a leads from state s. The action's number gives its cost. */
export interface Graph {
  readonly edges: readonly (readonly Edge[])[];
  /** For each invariant, the states that break it. */
  readonly bad: readonly ReadonlySet<number>[];
}

export const WORDS = 3;
const PER_STATE = 4;

/** States differ in few bits, the top bits among them, to expose weak hashes. */
function write(state: Int32Array, s: number): void {
  state[0] = s << 28;
  state[1] = s >> 4;
  state[2] = s << 31;
}

export const stateOf = (state: Int32Array): number => (state[0] >>> 28) | (state[1] << 4);

export function modelOf(graph: Graph, costs: boolean): Model {
  const model: Model = {
    stateWords: WORDS,
    actionsMax: PER_STATE,
    invariants: graph.bad.map((bad, i) => ({
      name: `bad ${i}`,
      holds: (state: Int32Array): boolean => !bad.has(stateOf(state)),
    })),
    init: (state: Int32Array): void => write(state, 0),
    actions(state: Int32Array, out: Int32Array): number {
      const edges = graph.edges[stateOf(state)];
      edges.forEach((edge, a) => void (out[a] = 2 * a + (edge.cost - 1)));
      return edges.length;
    },
    apply(state: Int32Array, action: number): void {
      write(state, graph.edges[stateOf(state)][action >> 1].to);
    },
  };
  return costs ? { ...model, cost: (action: number): number => (action & 1) + 1 } : model;
}

export function graphs(statesMax: number): fc.Arbitrary<Graph> {
  return fc.integer({ min: 1, max: statesMax }).chain((n) => {
    const edge = fc.record({
      to: fc.nat({ max: n - 1 }),
      cost: fc.integer({ min: 1, max: 2 }),
    });
    const edges = fc.array(fc.array(edge, { maxLength: PER_STATE }), {
      minLength: n,
      maxLength: n,
    });
    const set = fc.uniqueArray(fc.nat({ max: n - 1 }), { maxLength: 3 });
    const bad = fc.array(
      set.map((list) => new Set(list)),
      { maxLength: 3 },
    );
    return fc.record({ edges, bad });
  });
}

/** Length of a shortest schedule to each state, or Infinity. Relaxes until nothing changes. */
export function distances(graph: Graph, costs: boolean): number[] {
  const found = graph.edges.map((_edges, s) => (s === 0 ? 0 : Infinity));
  for (let changed = true; changed;) {
    changed = false;
    graph.edges.forEach((edges, s) => {
      for (const { to, cost } of edges) {
        const length = found[s] + (costs ? cost : 1);
        if (length >= found[to]) continue;
        found[to] = length;
        changed = true;
      }
    });
  }
  return found;
}

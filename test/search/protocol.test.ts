/** The protocol of the benchmark must have the state counts that other model checkers report. */
import { describe, expect, it } from 'vitest';
import { PROTOCOL_ACTIONS, protocol } from '../../bench/protocol/protocol.js';
import { type Outcome, Search, type SearchOptions } from '../../src/search/search.js';

const explore = (depth: number, bug: boolean, options?: SearchOptions): Outcome =>
  new Search(protocol(depth, bug), options).run();

/** The protocol in its plainest form: stacks are lists of owners, newest first. */
interface Plain {
  vm: number;
  stack: number[];
  task: number[];
  active: boolean[];
  pend: number[];
  image: (number[] | null)[];
  mode: number[][];
  saved: (number[] | null)[][];
}

const fresh = (): Plain => ({
  vm: 0,
  stack: [],
  task: [0, 0],
  active: [false, false],
  pend: [0, 0],
  image: [null, null],
  mode: [0, 1].map(() => [0, 0]),
  saved: [0, 1].map(() => [null, null]),
});

type Step = (s: Plain, vm: number, task: number) => void;

function possible(s: Plain, depth: number, bug: boolean): Step[] {
  const steps: Step[] = [];
  const mode = s.mode[s.vm][s.task[s.vm]];
  const pend = s.pend[s.vm];
  if (pend === 0) {
    steps.push((n, vm, task) => {
      if (mode === 2) n.saved[vm][task] = n.stack;
      const next = 1 - task;
      n.task[vm] = next;
      if (n.mode[vm][next] !== 0) n.stack = (n.mode[vm][next] === 2 && n.saved[vm][next]) || [];
      if (n.mode[vm][next] === 2) n.saved[vm][next] = null;
    });
  }
  if (mode !== 0) {
    steps.push((n, vm, task) => void (n.stack = [2 * vm + task, ...n.stack].slice(0, depth)));
  }
  for (const wanted of pend === 0 && mode === 0 ? [1, 2] : []) {
    steps.push((n, vm, task) => {
      n.pend[vm] = wanted;
      if (!bug) n.active[vm] = true;
      else [n.mode[vm][task], n.stack] = [wanted, []];
    });
  }
  if (pend !== 0) {
    steps.push((n, vm, task) => {
      if (pend === 3) n.active[vm] = n.mode[vm].some((m) => m !== 0);
      else if (bug) n.active[vm] = true;
      else [n.mode[vm][task], n.stack] = [pend, []];
      n.pend[vm] = 0;
    });
  }
  if (pend === 0 && mode !== 0) {
    steps.push((n, vm, task) => {
      [n.mode[vm][task], n.saved[vm][task], n.pend[vm]] = [0, null, 3];
    });
  }
  steps.push((n, vm) => {
    const next = 1 - vm;
    if (n.active[vm]) n.image[vm] = n.stack;
    if (n.active[next]) [n.stack, n.image[next]] = [n.image[next] ?? [], null];
    else if (!bug) n.stack = [];
    n.vm = next;
  });
  return steps;
}

function plainly(depth: number, bug: boolean): { states: number; edges: number; levels: number } {
  let level = [fresh()];
  const seen = new Set(level.map((s) => JSON.stringify(s)));
  let [edges, levels] = [0, -1];
  for (; level.length > 0; levels++) {
    const next: Plain[] = [];
    for (const state of level) {
      for (const step of possible(state, depth, bug)) {
        edges++;
        const to = JSON.parse(JSON.stringify(state)) as Plain;
        step(to, to.vm, to.task[to.vm]);
        const key = JSON.stringify(to);
        if (!seen.has(key)) next.push(to);
        seen.add(key);
      }
    }
    level = next;
  }
  return { states: seen.size, edges, levels };
}

describe('protocol', () => {
  it.each([
    [1, false],
    [1, true],
    [2, false],
  ])(
    'the protocol has the states of the relation over plain objects: depth %i, bug %s',
    (d, bug) => {
      const { states, edges, levels } = plainly(d, bug);
      const outcome = explore(d, bug);
      expect(outcome).toMatchObject({ states, transitions: edges, length: levels });
      expect(outcome.end).toBe('exhausted');
      expect(explore(d, bug, { fingerprints: true })).toMatchObject({ states, transitions: edges });
    },
  );

  it('the protocol has the states that SPIN, TLC and rumur report at depth 4', () => {
    const kinds = PROTOCOL_ACTIONS.length;
    const outcome = explore(4, false, { kinds, kindOf: (action) => action });
    const counts = { states: 468_384, transitions: 1_382_304, length: 36 };
    expect(outcome).toMatchObject({ end: 'exhausted', ...counts, frontier: 0 });
    expect([...outcome.broken]).toEqual([-1]);
    expect(outcome.performed[kinds - 1]).toBe(counts.states);
    expect(outcome.performed.reduce((sum, n) => sum + n, 0)).toBe(counts.transitions);
    expect(outcome.bytes / outcome.states).toBeLessThan(50);
  });

  it('under symmetry the protocol has an eighth of the states, as no name outlives it', () => {
    for (const depth of [1, 2, 3]) {
      const plain = explore(depth, false);
      const renamed = explore(depth, false, { symmetry: true });
      expect(renamed.states).toBe(plain.states / 8);
      expect(renamed.transitions).toBe(plain.transitions / 8);
      expect([...renamed.broken]).toEqual([-1]);
    }
    expect(explore(4, false, { symmetry: true }).states).toBe(468_384 / 8);
  });

  it.each([{}, { symmetry: true }, { fingerprints: true }])(
    'the seeded bug always has a shortest counterexample of five steps: %j',
    (options) => {
      const model = protocol(4, true);
      const search = new Search(model, { ...options, stopWhenAllBroken: true });
      const outcome = search.run();
      expect(outcome.end).toBe('broken');
      expect([...outcome.brokenLength]).toEqual([5]);
      const path = search.path(outcome.broken[0]);
      expect(path.length).toBe(5);
      const [claim] = model.invariants;
      for (let n = 0; n <= 5; n++) expect(claim.holds(search.replay(path.slice(0, n)))).toBe(n < 5);
    },
  );

  it('renaming leaves what is possible and what is claimed the same', () => {
    const model = protocol(2, true);
    const search = new Search(model);
    const { states } = search.run();
    const [state, renamed] = [new Int32Array(8), new Int32Array(8)];
    const [out, outRenamed] = [new Int32Array(7), new Int32Array(7)];
    for (let i = 0; i < states; i += Math.ceil(states / 500)) {
      search.visited.read(i, state);
      renamed.set(state);
      model.canonical?.(renamed);
      const n = model.actions(state, out);
      expect(model.actions(renamed, outRenamed)).toBe(n);
      expect(outRenamed).toEqual(out);
      const [claim] = model.invariants;
      expect(claim.holds(renamed)).toBe(claim.holds(state));
      for (let k = 0; k < n; k++) {
        const [a, b] = [state.slice(), renamed.slice()];
        model.apply(a, out[k]);
        model.apply(b, out[k]);
        model.canonical?.(a);
        model.canonical?.(b);
        expect(a.join()).toBe(b.join());
      }
    }
  });
});

/**
 * What can go on for ever: looks, in the states that a search has found, for a cycle that stays
 * within some of them and on which something happens again and again.
 *
 * With symmetry a cycle of renamed states stands for a run that comes back to a state under other
 * names, and after some rounds to the state itself.
 */
import { assert } from '../hw/assert.js';
import type { Search } from './search.js';

export interface Recurrence {
  readonly name: string;
  /** Whether a cycle may pass through the state. */
  within(state: Int32Array): boolean;
  /** Whether what must not recur happens when the action leads from one state to the other. */
  recurs(from: Int32Array, action: number, to: Int32Array): boolean;
}

/** Schedules that together go on for ever. */
export interface Lasso {
  /** From the first state to one on the cycle. */
  readonly stem: readonly number[];
  /** From there back to it, or to a state that differs in names only. */
  readonly cycle: readonly number[];
}

export interface LassoOutcome {
  readonly lasso: Lasso | null;
  /** The most recurrences on a path inside the claim; Infinity if there is a lasso. */
  readonly most: number;
}

/** States whose edges are made between two questions whether to go on. */
const POLL_STATES = 1 << 14;

/** An edge of the graph, as `Edges.next` leaves it. */
class Edges {
  action = 0;
  target = 0;
  recurs = false;
  /** Whether the work is to end without a result. */
  stopped = false;
  private readonly goOn: () => boolean;
  private untilPoll = POLL_STATES;
  private readonly search: Search;
  private readonly claim: Recurrence;
  private readonly from: Int32Array;
  private readonly to: Int32Array;
  private readonly out: Int32Array;
  /** Which state's actions are listed, and how many they are. */
  private listed = -1;
  private actions = 0;

  constructor(search: Search, claim: Recurrence, goOn: () => boolean) {
    this.goOn = goOn;
    const { stateWords, actionsMax } = search.model;
    this.search = search;
    this.claim = claim;
    this.from = new Int32Array(stateWords);
    this.to = new Int32Array(stateWords);
    this.out = new Int32Array(actionsMax);
  }

  within(index: number): boolean {
    this.list(index);
    return this.claim.within(this.from);
  }

  /** Finds the first edge, from the k-th action on, that stays within. Returns the next k, or 0. */
  next(index: number, k: number): number {
    const { search, claim, from, to, out } = this;
    this.list(index);
    for (let i = k; i < this.actions; i++) {
      to.set(from);
      search.model.apply(to, out[i]);
      // Asked before the names are changed: the two states must speak of things by one name.
      const recurs = claim.recurs(from, out[i], to);
      search.rename(to);
      if (!claim.within(to)) continue;
      this.action = out[i];
      this.recurs = recurs;
      this.target = search.visited.find(to);
      assert(this.target >= 0, 'a search that is exhausted has found every successor');
      return i + 1;
    }
    return 0;
  }

  private list(index: number): void {
    if (index === this.listed) return;
    this.search.visited.read(index, this.from);
    this.actions = this.search.model.actions(this.from, this.out);
    this.listed = index;
    if (--this.untilPoll > 0) return;
    this.untilPoll = POLL_STATES;
    this.stopped ||= !this.goOn();
  }
}

/**
 * Strongly connected components, by Pearce's variant of Tarjan's algorithm, which needs one word a
 * state to tell them apart. Nothing of the graph is stored: edges are made again from their states.
 */
class Components {
  /**
   * Component number of each state; 0 for a state outside the claim. A successor's number is never
   * lower.
   */
  readonly of: Int32Array;
  /** The states that are within, each component after those it leads to. */
  readonly order: Int32Array;
  ordered = 0;
  private readonly edges: Edges;
  /** States that were left without a component so far. */
  private readonly stack: Int32Array;
  private depth = 0;
  /** The states that are being visited, and which of their actions comes next. */
  private readonly path: Int32Array;
  private readonly resume: Int32Array;
  /** Whether the state that is being visited is, as far as known, its component's first. */
  private readonly root: Uint8Array;
  private index = 1;
  private component: number;

  constructor(edges: Edges, states: number) {
    this.edges = edges;
    this.of = new Int32Array(states);
    this.order = new Int32Array(states);
    this.stack = new Int32Array(states);
    this.path = new Int32Array(states);
    this.resume = new Int32Array(states);
    this.root = new Uint8Array(states);
    this.component = states;
    for (let i = 0; i < states && !edges.stopped; i++) {
      if (this.of[i] === 0 && edges.within(i)) this.visit(i);
    }
  }

  private visit(first: number): void {
    const { of, path, resume, root, edges } = this;
    let top = 0;
    this.enter(top, first);
    while (top >= 0 && !edges.stopped) {
      const state = path[top];
      const k = edges.next(state, resume[top]);
      if (k === 0) {
        this.leave(state, root[top] === 1);
        top--;
        if (top >= 0) this.lower(top, state);
        continue;
      }
      resume[top] = k;
      if (of[edges.target] === 0) this.enter(++top, edges.target);
      else this.lower(top, edges.target);
    }
  }

  private enter(top: number, state: number): void {
    this.path[top] = state;
    this.resume[top] = 0;
    this.root[top] = 1;
    this.of[state] = this.index++;
  }

  /** The state leads to one that was met before it did, so it is not its component's first. */
  private lower(top: number, target: number): void {
    const { of, path } = this;
    if (of[target] >= of[path[top]]) return;
    of[path[top]] = of[target];
    this.root[top] = 0;
  }

  private leave(state: number, root: boolean): void {
    const { of, stack, order } = this;
    if (!root) {
      stack[this.depth++] = state;
      return;
    }
    // One less for each component keeps indices below the numbers that components have so far.
    this.index--;
    while (this.depth > 0 && of[state] <= of[stack[this.depth - 1]]) {
      const member = stack[--this.depth];
      of[member] = this.component;
      order[this.ordered++] = member;
    }
    of[state] = this.component--;
    order[this.ordered++] = state;
  }
}

/** A shortest way from one state of a component to another of it: the states after the first. */
function wayWithin(edges: Edges, of: Int32Array, from: number, to: number): number[] {
  const cameFrom = new Int32Array(of.length).fill(-1);
  const queue = [from];
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head];
    for (let k = edges.next(state, 0); k !== 0; k = edges.next(state, k)) {
      const { target } = edges;
      if (of[target] !== of[from] || target === from || cameFrom[target] >= 0) continue;
      cameFrom[target] = state;
      queue.push(target);
    }
  }
  const way: number[] = [];
  for (let at = to; at !== from; at = cameFrom[at]) way.push(at);
  return way.reverse();
}

function lassoThrough(
  search: Search,
  claim: Recurrence,
  state: number,
  way: readonly number[],
): Lasso {
  const stem = search.path(state);
  const at = search.replay(stem);
  const cycle = search.retrace(at, way, (from, action, to, i) => {
    // The first step is the one that must not recur; another action may lead to the same state.
    return i > 0 || claim.recurs(from, action, to);
  });
  return { stem, cycle };
}

/**
 * Judges the claim in all that a search has found; it must have found everything.
 *
 * @param goOn - is asked now and then. Returns null once that says no.
 */
export function findLasso(
  search: Search,
  claim: Recurrence,
  goOn: () => boolean = () => true,
): LassoOutcome | null {
  const { visited } = search;
  assert(
    search.exhausted && !visited.fingerprints,
    'only a whole graph says what goes on for ever',
  );
  const states = visited.count;
  const edges = new Edges(search, claim, goOn);
  const { of, order, ordered } = new Components(edges, states);
  let first = states;
  let second = -1;
  // Of each component the most that can happen from there on; successors come before, and what
  // happens between two states of one component would be on a cycle.
  const most = new Int32Array(states);
  let result = 0;
  for (let i = 0; i < ordered && !edges.stopped; i++) {
    const state = order[i];
    const here = states - of[state];
    for (let k = edges.next(state, 0); k !== 0; k = edges.next(state, k)) {
      const { target, recurs } = edges;
      if (recurs && of[target] === of[state] && state < first) {
        first = state;
        second = target;
      }
      most[here] = Math.max(most[here], most[states - of[target]] + (recurs ? 1 : 0));
    }
    result = Math.max(result, most[here]);
  }
  if (edges.stopped) return null;
  if (second < 0) return { lasso: null, most: result };
  const way = [second, ...wayWithin(edges, of, second, first)];
  return { lasso: lassoThrough(search, claim, first, way), most: Infinity };
}

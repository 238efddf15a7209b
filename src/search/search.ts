/**
 * Breadth-first search of all states of a model, by the length of the schedules that lead to them:
 * the first schedule that is found for a state is a shortest one.
 *
 * States are numbered as they are found, so those of one length are neighbours, and what is still
 * to be expanded is a range of numbers. Where an action may stand for two of a schedule, states of
 * length n + 1 come from those of length n by actions of cost 1 and then from those of length n - 1
 * by actions of cost 2: no state's length is ever corrected.
 */
import { assert, ModelInvariantError } from '../hw/assert.js';
import type { Model } from './model.js';
import { copyWords } from './row_chunks.js';
import { Visited } from './visited.js';

export interface Progress {
  readonly states: number;
  readonly transitions: number;
  /** States that were found but not wholly expanded. */
  readonly frontier: number;
  /** The length of the longest schedule among the shortest ones to each state. */
  readonly length: number;
  readonly bytes: number;
  /** How many states there will be, as far as the last two lengths tell; -1 if they don't. */
  readonly estimate: number;
}

export interface SearchOptions {
  /** No schedule longer than this is looked at. */
  readonly maxLength?: number;
  /** The search ends soon after it has found this number of states. */
  readonly maxStates?: number;
  /** The search ends before it holds more than this. */
  readonly memoryBytes?: number;
  /** What the model holds that grows with the search. */
  readonly extraBytes?: () => number;
  /** Tells states apart by 64 bits each, and may miss some: see `collisionOdds`. */
  readonly fingerprints?: boolean;
  /** Takes states for one that differ in names only. */
  readonly symmetry?: boolean;
  /** Which of the model's invariants to judge; by default all. */
  readonly wanted?: readonly number[];
  readonly stopWhenAllBroken?: boolean;
  /** Is told now and then how far it is. The search ends if it returns false. */
  readonly poll?: (progress: Progress) => boolean;
  /** States that are expanded between two such calls; by default 4096. */
  readonly pollStates?: number;
  /** Counts transitions by the kind of their action, of which there are `kinds`. */
  readonly kindOf?: (action: number) => number;
  readonly kinds?: number;
}

export type End = 'exhausted' | 'bound' | 'states' | 'memory' | 'interrupted' | 'broken';

export interface Outcome {
  readonly end: End;
  readonly states: number;
  readonly transitions: number;
  readonly frontier: number;
  readonly length: number;
  /**
   * Every state that a schedule of at most this length reaches was judged; Infinity if all states
   * were.
   */
  readonly covered: number;
  readonly bytes: number;
  /** For each invariant the first state in which it fails, or -1. */
  readonly broken: Int32Array;
  /** For each invariant the length of a shortest schedule to such a state, or -1. */
  readonly brokenLength: Int32Array;
  readonly performed: Float64Array;
}

/** States between two calls of `poll`, unless the options say otherwise. */
const POLL_STATES = 4096;

/**
 * One search of a model. `run` goes on until the search ends or a limit of its options is reached;
 * every state that was found is in `visited`, under its number.
 */
export class Search {
  readonly model: Model;
  readonly visited: Visited;
  private readonly options: SearchOptions;
  private readonly symmetry: boolean;
  private readonly costs: boolean;
  private readonly kindOf: ((action: number) => number) | null;
  private readonly from: Int32Array;
  private readonly to: Int32Array;
  private readonly out: Int32Array;
  /** The first state of each length, up to the length whose states are being found. */
  private readonly starts: number[] = [];
  private readonly broken: Int32Array;
  private readonly performed: Float64Array;
  /** The wanted invariants that no state has broken yet. */
  private open: number[];
  /** The search ends once no invariant is open. */
  private readonly stopWhenAllBroken: boolean;
  private transitions = 0;
  /** States whose every action was performed. */
  private expanded = 0;
  /** States of the last length, and of the one before it, that have actions of cost 2 left. */
  private deferred = 0;
  private deferredBefore = 0;
  private readonly pollStates: number;
  private untilPoll: number;

  constructor(model: Model, options: SearchOptions = {}) {
    this.model = model;
    this.options = options;
    this.symmetry = options.symmetry === true;
    assert(!this.symmetry || model.canonical !== undefined, 'a model with symmetry can rename');
    this.costs = model.cost !== undefined;
    this.pollStates = options.pollStates ?? POLL_STATES;
    this.untilPoll = this.pollStates;
    this.kindOf = options.kindOf ?? null;
    this.visited = new Visited(model.stateWords, options.fingerprints === true);
    this.from = new Int32Array(model.stateWords);
    this.to = new Int32Array(model.stateWords);
    this.out = new Int32Array(model.actionsMax);
    this.broken = new Int32Array(model.invariants.length).fill(-1);
    this.performed = new Float64Array(options.kinds ?? 0);
    this.open = [...(options.wanted ?? model.invariants.keys())];
    this.stopWhenAllBroken = options.stopWhenAllBroken === true && this.open.length > 0;
  }

  /** Searches until something ends it. A search runs once. */
  run(): Outcome {
    const { visited, starts } = this;
    assert(starts.length === 0, 'a search runs once');
    const maxLength = this.options.maxLength ?? Infinity;
    this.model.init(this.to);
    this.rename(this.to);
    starts.push(0);
    this.judge(visited.insert(this.to, -1));
    starts.push(1);
    for (;;) {
      const last = starts.length - 2;
      if (this.allBroken()) return this.outcome('broken');
      if (this.exhausted) return this.outcome('exhausted');
      if (last >= maxLength) return this.outcome('bound');
      const end =
        this.expandAll(last, 1) ?? (this.deferredBefore > 0 ? this.expandAll(last - 1, 2) : null);
      if (end !== null) return this.outcome(end);
      this.deferredBefore = this.deferred;
      this.deferred = 0;
      starts.push(visited.count);
      visited.forget(starts[this.costs ? last : last + 1]);
    }
  }

  /** The length of a shortest schedule that leads to the state. */
  lengthOf(index: number): number {
    const { starts } = this;
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Whether every reachable state was found and all of its actions performed. */
  get exhausted(): boolean {
    return this.starts.length > 0 && this.expanded === this.visited.count;
  }

  /**
   * The actions that lead from the first state, as `init` writes it, to this one, or with symmetry
   * to one that differs from it in names only.
   */
  path(index: number): number[] {
    const chain: number[] = [];
    for (let i = index; i > 0; i = this.visited.pred(i)) chain.push(i);
    chain.push(0);
    chain.reverse();
    const costs = chain.slice(1).map((to, i) => this.lengthOf(to) - this.lengthOf(chain[i]));
    return this.retrace(this.replay([]), chain.slice(1), (_from, action, _to, i) => {
      return this.costOf(action) === costs[i];
    });
  }

  /** The state, names as they are, that a schedule leads to. */
  replay(schedule: readonly number[]): Int32Array {
    const state = new Int32Array(this.model.stateWords);
    this.model.init(state);
    for (const action of schedule) this.model.apply(state, action);
    return state;
  }

  /**
   * The actions that lead from a state, in place, through states that differ in names at most from
   * these. The search keeps no actions, so they are found by trying.
   *
   * @param accepts Whether an action that leads to the i-th of them may be taken.
   */
  retrace(
    state: Int32Array,
    chain: readonly number[],
    accepts: (from: Int32Array, action: number, to: Int32Array, i: number) => boolean,
  ): number[] {
    const { model, visited, to } = this;
    const out = new Int32Array(model.actionsMax);
    const next = new Int32Array(model.stateWords);
    return chain.map((target, i) => {
      const actions = model.actions(state, out);
      for (let k = 0; k < actions; k++) {
        next.set(state);
        model.apply(next, out[k]);
        to.set(next);
        this.rename(to);
        if (visited.find(to) !== target || !accepts(state, out[k], next, i)) continue;
        state.set(next);
        return out[k];
      }
      throw new ModelInvariantError('a state is reached again by an action of the one before it');
    });
  }

  /** Renames what is interchangeable, if the search has been asked to. */
  rename(state: Int32Array): void {
    if (this.symmetry) this.model.canonical?.(state);
  }

  private costOf(action: number): number {
    return this.model.cost?.(action) ?? 1;
  }

  private allBroken(): boolean {
    return this.stopWhenAllBroken && this.open.length === 0;
  }

  /** Performs the actions of this cost in all states of a length, unless something ends it. */
  private expandAll(length: number, cost: number): End | null {
    const { starts } = this;
    const end = starts[length + 1];
    for (let index = starts[length]; index < end; index++) {
      const stop = this.shouldEnd();
      if (stop !== null) return stop;
      this.expand(index, cost);
    }
    return null;
  }

  private shouldEnd(): End | null {
    const { visited, options, model } = this;
    if (this.allBroken()) return 'broken';
    if (visited.count >= (options.maxStates ?? Infinity)) return 'states';
    const count = visited.count + model.actionsMax;
    if (count > visited.room || this.untilPoll === 0) {
      const bytes = visited.bytesFor(count) + (options.extraBytes?.() ?? 0);
      if (bytes > (options.memoryBytes ?? Infinity)) return 'memory';
    }
    if (this.untilPoll === 0) {
      this.untilPoll = this.pollStates;
      if (options.poll?.(this.progress()) === false) return 'interrupted';
    }
    this.untilPoll--;
    return null;
  }

  private expand(index: number, cost: number): void {
    const { model, visited, costs, symmetry, kindOf, from, to, out } = this;
    visited.read(index, from);
    const actions = model.actions(from, out);
    assert(actions <= model.actionsMax, 'a model lists no more actions than it says');
    let performed = 0;
    for (let k = 0; k < actions; k++) {
      const action = out[k];
      if (costs && this.costOf(action) !== cost) continue;
      performed++;
      copyWords(from, to);
      model.apply(to, action);
      if (symmetry) this.rename(to);
      if (kindOf !== null) this.performed[kindOf(action)]++;
      const found = visited.insert(to, index);
      if (found >= 0) this.judge(found);
    }
    this.transitions += performed;
    if (cost === 1 && performed < actions) this.deferred++;
    else if (cost === 1 || performed > 0) this.expanded++;
  }

  /** Looks for invariants that a new state, in `to`, is the first to break. */
  private judge(index: number): void {
    const { open } = this;
    const { invariants } = this.model;
    for (let k = 0; k < open.length; k++) {
      if (invariants[open[k]].holds(this.to)) continue;
      this.broken[open[k]] = index;
      open.splice(k--, 1);
    }
  }

  progress(): Progress {
    const { visited, transitions, expanded } = this;
    const states = visited.count;
    return {
      states,
      transitions,
      frontier: states - expanded,
      length: this.lengthOf(states - 1),
      bytes: visited.bytes + (this.options.extraBytes?.() ?? 0),
      estimate: this.estimate(),
    };
  }

  /**
   * Supposes that lengths go on to have fewer states by the factor of the last two, of which there
   * are two by the time that anybody is told.
   */
  private estimate(): number {
    const { starts } = this;
    const last = starts.length - 2;
    const count = starts[last + 1] - starts[last];
    const before = starts[last] - starts[last - 1];
    if (count >= before) return -1;
    const rest = (count * count) / (before - count);
    return Math.max(this.visited.count, Math.round(starts[last + 1] + rest));
  }

  private outcome(end: End): Outcome {
    const { broken, performed } = this;
    const { states, transitions, frontier, length, bytes } = this.progress();
    const brokenLength = broken.map((index) => (index < 0 ? -1 : this.lengthOf(index)));
    // The last start is where the states begin that a search may not have found all of.
    const covered = end === 'exhausted' ? Infinity : this.starts.length - 2;
    const found = { states, transitions, frontier, length, covered, bytes };
    return { end, ...found, broken, brokenLength, performed };
  }
}

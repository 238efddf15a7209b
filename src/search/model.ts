/**
 * What can be explored: states of a fixed number of 32-bit words, and actions that lead from one to
 * the next. Actions are numbers whose meaning is the model's own; a model is deterministic, and
 * what it does depends on the state that it is given and on nothing else.
 */

/** A claim about every reachable state. */
export interface Invariant {
  readonly name: string;
  holds(state: Int32Array): boolean;
}

export interface Model {
  readonly stateWords: number;
  /** The most actions that `actions` ever lists. */
  readonly actionsMax: number;
  readonly invariants: readonly Invariant[];
  init(state: Int32Array): void;
  /** Lists the actions that are possible, always in the same order. Returns how many. */
  actions(state: Int32Array, out: Int32Array): number;
  /** Performs one of them, in place. */
  apply(state: Int32Array, action: number): void;
  /** How many actions of a schedule it stands for, 1 or 2; by default 1. Searches go by this. */
  cost?(action: number): number;
  /**
   * Renames what is interchangeable, in place, so that states which differ in names only become
   * the same. It must commute with `actions` and `apply` up to such a renaming, and leave what the
   * invariants say as it is.
   */
  canonical?(state: Int32Array): void;
}

import { PolicyError } from '../host/policy/guarded.js';
import { assert } from '../hw/assert.js';
import { actionText } from './action_text.js';
import { after } from './param.js';
import { type Action, ACTION_NAMES, ACTIONS, canPerform, KIND, KINDS, perform } from './table.js';
import type { Machine } from '../machine/machine.js';

/** Integers of one action in a schedule: kind, actor, and three parameters. */
export const ACTION_WORDS = 5;

/** A list of actions in one array, so that recording one allocates nothing. */
export class Schedule {
  words: Int32Array = new Int32Array(64 * ACTION_WORDS);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  push(kind: number, actor: number, a: number, b: number, c: number): void {
    const at = this.length * ACTION_WORDS;
    if (at === this.words.length) {
      const grown = new Int32Array(2 * this.words.length);
      grown.set(this.words);
      this.words = grown;
    }
    this.words[at] = kind;
    this.words[at + 1] = actor;
    this.words[at + 2] = a;
    this.words[at + 3] = b;
    this.words[at + 4] = c;
    this.length++;
  }

  /** Appends actions [from, to) of another schedule. */
  append(other: Schedule, from: number, to: number): void {
    const w = other.words;
    for (let i = from; i < to; i++) {
      const at = i * ACTION_WORDS;
      this.push(w[at], w[at + 1], w[at + 2], w[at + 3], w[at + 4]);
    }
  }

  copy(): Schedule {
    const copy = new Schedule();
    copy.append(this, 0, this.length);
    return copy;
  }

  action(i: number): Action {
    const at = i * ACTION_WORDS;
    const kind = ACTION_NAMES[this.words[at]];
    assert(kind !== undefined, 'a schedule holds known actions');
    const n = ACTIONS[kind].params.length;
    const args = Array.from(this.words.subarray(at + 2, at + 2 + n));
    return { kind, actor: this.words[at + 1], args };
  }

  actions(): Action[] {
    return Array.from({ length: this.length }, (_, i) => this.action(i));
  }

  static of(actions: readonly Action[]): Schedule {
    const schedule = new Schedule();
    for (const { kind, actor, args } of actions) {
      const [a = 0, b = 0, c = 0] = args;
      schedule.push(KIND[kind], actor, a, b, c);
    }
    return schedule;
  }
}

/** Where a schedule counts MSR accesses inside a function: offsets in its words, in order. */
export function interruptionsIn({ words, length }: Schedule): number[] {
  const found: number[] = [];
  for (let i = 0; i < length; i++) {
    const p = KINDS[words[i * ACTION_WORDS]].params.indexOf(after);
    if (p >= 0 && words[i * ACTION_WORDS + 2 + p] > 0) found.push(i * ACTION_WORDS + 2 + p);
  }
  return found;
}

/** Performs the i-th action, which the machine can. @throws PolicyError that names the action. */
export function performAt(machine: Machine, schedule: Schedule, i: number): void {
  const w = schedule.words;
  const at = i * ACTION_WORDS;
  try {
    perform(machine, w[at], w[at + 1], w[at + 2], w[at + 3], w[at + 4]);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw error.in(`action ${i + 1} (${actionText(schedule.action(i))})`);
  }
}

/** Performs the i-th action, if the machine can. Returns whether it could. */
export function step(machine: Machine, schedule: Schedule, i: number): boolean {
  const w = schedule.words;
  const at = i * ACTION_WORDS;
  const kind = w[at];
  if (!canPerform(machine, kind, w[at + 1], w[at + 2], w[at + 3])) return false;
  performAt(machine, schedule, i);
  return true;
}

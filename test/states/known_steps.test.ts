/**
 * An exploration caches the effect of an action, the possible actions and the name of a state.
 * Working them out anew must give the same.
 */
import { describe, expect, it, vi } from 'vitest';
import type { Group } from '../../src/schedule/explored.js';
import type { MachineModel } from '../../src/states/machine_model.js';
import { WordMap } from '../../src/states/word_map.js';
import { policyOf } from '../rig/machine.js';
import { configOf, type Counts, Walker } from '../rig/states.js';

/** Runs `run` while every map forgets a key once it has been looked up. */
function forgetting<T>(run: () => T): T {
  const { find, add } = WordMap.prototype;
  let added = '';
  const spies = [
    vi.spyOn(WordMap.prototype, 'add').mockImplementation(function (this: WordMap, key, value) {
      added = key.join();
      add.call(this, key, value);
    }),
    vi.spyOn(WordMap.prototype, 'find').mockImplementation(function (this: WordMap, key) {
      const asked = key.join() === added;
      added = '';
      return asked ? find.call(this, key) : -1;
    }),
  ];
  try {
    return run();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

/** Up to `most` reached states, each under the names of the path to it. */
function* reached(walker: Walker, most: number): Generator<Int32Array> {
  const seen = new Set<string>();
  const queue = [walker.first()];
  for (const state of queue) {
    const name = walker.canonical(state).join();
    if (seen.has(name)) continue;
    seen.add(name);
    yield state;
    if (seen.size >= most) return;
    for (const action of walker.actions(state)) queue.push(walker.after(state, action));
  }
}

/** Names a step by its parts. Also returns the branches of its VM that other VMs hold. */
function keyOf(
  { parts, table }: MachineModel,
  state: Int32Array,
  action: number,
): [string, number] {
  const vms = state.length - 2;
  const vm = table.vm(action);
  let elsewhere = 0;
  for (let other = 0; other < vms; other++) {
    if (vm < 0 || other === vm) continue;
    elsewhere |= parts.numbers(state[other], (vm - other + vms) % vms);
  }
  return [[vm < 0 ? -1 : state[vm], state[vms], action].join(), elsewhere];
}

const STATES = 1500;
/** One of EVERY states is checked, and each step whose branches another VM holds. */
const EVERY = 12;

const PLAIN: readonly Group[] = ['calls', 'tasks', 'events', 'pmi'];

const CASES: readonly (readonly [counts: Counts, groups: readonly Group[], policy: string])[] = [
  [[2, 1, 2, 1], PLAIN, 'never'],
  [[3, 1, 1, 1], ['events', 'calls', 'idle', 'migrate', 'raw'], 'never'],
  [[3, 1, 1, 2], ['events', 'calls', 'idle'], 'merged'],
  [[2, 2, 2, 2], [...PLAIN, 'inside'], 'pv-v2'],
];

describe('what is known', () => {
  it.each(CASES)(
    'what an exploration looks up is what it finds anew: %j, %j, %s',
    (counts, groups, policy) => {
      const config = { ...configOf(policyOf(policy), counts), kernel: '4.18' } as const;
      const bounds = { groups, events: 1, calls: 2, suspended: 1 };
      const walker = new Walker({ config, bounds });
      const known = new Map<string, number>();
      let steps = 0;
      let compared = 0;
      for (const state of reached(walker, STATES)) {
        const actions = walker.actions(state);
        const due = ++steps % EVERY === 0;
        if (due) expect(forgetting(() => walker.actions(state))).toEqual(actions);
        for (const action of actions) {
          const [key, elsewhere] = keyOf(walker.model, state, action);
          const other = (known.get(key) ?? elsewhere) !== elsewhere;
          known.set(key, elsewhere);
          if (!due && !other) continue;
          compared++;
          const after = walker.after(state, action);
          const named = walker.canonical(after);
          const anew = forgetting(() => walker.after(state, action));
          expect([anew, forgetting(() => walker.canonical(anew))]).toEqual([after, named]);
        }
      }
      expect(compared).toBeGreaterThan(STATES / EVERY);
    },
  );
});

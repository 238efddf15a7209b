/** The stores of an exploration, for rows and for results by key, compared with plain maps. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { grown, PartStore } from '../../src/states/part_store.js';
import { moveVms, numbersIn, Renumbering, TaskRotation } from '../../src/states/renaming.js';
import { Names } from '../../src/states/row_shape.js';
import { WordMap } from '../../src/states/word_map.js';
import { addressHigh, addressTask, addressVm, BRANCH_NONE, HOST_VM } from '../../src/hw/branch.js';
import { seeded } from '../rig/seed.js';

const LONGEST = 100;
/** Mostly zeros, and words that differ in their sign bit only. */
const word = fc.oneof(fc.constant(0), fc.constantFrom(1, -1, 1 << 31), fc.integer());
const row = fc.array(word, { maxLength: LONGEST }).map((words) => Int32Array.from(words));

describe('PartStore', () => {
  it('a part store gives a row one number, and the row and its notes for it', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 60 }), (rows) => {
        const store = new PartStore(LONGEST, 2);
        const ids = new Map<string, number>();
        for (const one of rows) {
          const id = store.intern(one, one.length);
          expect(id).toBe(ids.get(one.join()) ?? ids.size);
          if (!ids.has(one.join())) expect(store.metaOf(id, 0) | store.metaOf(id, 1)).toBe(0);
          ids.set(one.join(), id);
          store.setMeta(id, 0, -1 - id);
          store.setMeta(id, 1, 7 * id);
        }
        expect(store.count).toBe(ids.size);
        for (const [text, id] of ids) {
          const into = new Int32Array(LONGEST).fill(9);
          const length = store.load(id, into);
          expect(into.subarray(0, length).join()).toBe(text);
          expect([store.metaOf(id, 0), store.metaOf(id, 1)]).toEqual([-1 - id, 7 * id]);
        }
      }),
      seeded(200),
    );
  });

  it('a part store always keeps what it has while it grows', () => {
    const store = new PartStore(LONGEST, 1);
    const before = store.bytes;
    const made = new Int32Array(LONGEST);
    const fill = (i: number): void => void made.fill(0).set([i, -i, i << 20], (7 * i) % 97);
    for (let i = 1; i <= 20_000; i++) {
      fill(i);
      expect(store.intern(made, LONGEST)).toBe(i - 1);
      store.setMeta(i - 1, 0, i);
    }
    expect(store.bytes).toBeGreaterThan(before);
    const into = new Int32Array(LONGEST);
    for (let i = 20_000; i > 0; i--) {
      fill(i);
      if (i % 100 === 0) expect(store.intern(made, LONGEST)).toBe(i - 1);
      store.load(i - 1, into);
      if (into.join() !== made.join() || store.metaOf(i - 1, 0) !== i) expect(i).toBe(-1);
    }
    store.copyMeta(4, 9);
    expect(store.metaOf(9, 0)).toBe(5);
  });

  it('a part store never takes a row for a longer one that ends in zeros', () => {
    const store = new PartStore(LONGEST, 0);
    const ids = [0, 1, 31, 32, 33, 64].map((n) => store.intern(new Int32Array(LONGEST), n));
    expect(ids).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe('grown', () => {
  it('grown has what was there, twice the room, and as much as was asked for', () => {
    expect([...grown(Int32Array.of(1, 2), 3)]).toEqual([1, 2, 0, 0]);
    expect(grown(Int32Array.of(1, 2), 9).length).toBe(9);
  });
});

describe('WordMap', () => {
  it('a word map finds what was added, and nothing else', () => {
    const small = fc.integer({ min: -3, max: 3 });
    const key = fc.tuple(
      small,
      small.map((n) => n << 24),
      small.map((n) => n << 12),
    );
    fc.assert(
      fc.property(fc.array(key, { maxLength: 300 }), (keys) => {
        const map = new WordMap(3, 2);
        const known = new Map<string, number>();
        keys.forEach((one, i) => {
          const at = map.find(Int32Array.from(one));
          const was = known.get(one.join());
          expect(at < 0 ? undefined : map.words[at]).toBe(was);
          if (at >= 0) expect(map.words[at + 1]).toBe(~(was ?? 0));
          if (at >= 0) return;
          map.add(Int32Array.from(one), Int32Array.of(i, ~i, 99));
          known.set(one.join(), i);
        });
        expect(map.count).toBe(known.size);
      }),
      seeded(100),
    );
  });

  it('a word map always keeps what it has while it grows', () => {
    const map = new WordMap(2, 1);
    const { bytes } = map;
    const N = 10_000;
    for (let i = 0; i < N; i++) map.add(Int32Array.of(i & 63, i >> 6), Int32Array.of(i));
    let wrong = 0;
    for (let i = 0; i < N; i++) {
      if (map.words[map.find(Int32Array.of(i & 63, i >> 6))] !== i) wrong++;
    }
    expect([wrong, map.find(Int32Array.of(64, 0)), map.count]).toEqual([0, -1, N]);
    expect(map.bytes).toBeGreaterThan(2 * N * 4 * 4);
    expect(map.bytes).toBeGreaterThan(bytes);
  });
});

/** Rows of branches, each of a low and a high word, with INFO registers at the end. */
const INFOS = 4;
const BRANCHES = 6;
function namesOf(): Names {
  const names = new Names();
  for (let i = 0; i < BRANCHES; i++) names.branches.push(2 * i);
  for (let i = 0; i < INFOS; i++) names.infos.push(2 * BRANCHES + i);
  return names;
}

const someVm = fc.constantFrom(0, 1, 2, HOST_VM);
const branchWords = fc
  .tuple(fc.nat({ max: 31 }), someVm, fc.nat({ max: 3 }))
  .map(([n, vm, task]) => (n === 0 ? [0, 0] : [n, addressHigh(false, BRANCH_NONE, vm, 0, task)]));
const infoWord = fc
  .tuple(fc.nat({ max: 31 }), someVm)
  .map(([n, vm]) => (n === 0 ? 0 : (vm << 13) | n));
const namedRow = fc
  .tuple(
    fc.array(branchWords, { minLength: BRANCHES, maxLength: BRANCHES }),
    fc.array(infoWord, { minLength: INFOS, maxLength: INFOS }),
  )
  .map(([branches, infos]) => Int32Array.from([...branches.flat(), ...infos]));

describe('moveVms', () => {
  it('moveVms adds to the numbers of VMs, never to the host’s, and can be undone', () => {
    const names = namesOf();
    fc.assert(
      fc.property(namedRow, fc.nat({ max: 2 }), fc.nat({ max: 2 }), (was, a, b) => {
        const once = was.slice();
        moveVms(once, names, a, 3);
        for (const at of names.branches) {
          const vm = addressVm(was[at + 1]);
          const wanted = was[at] === 0 ? 0 : vm === HOST_VM ? HOST_VM : (vm + a) % 3;
          expect([once[at], addressVm(once[at + 1])]).toEqual([was[at], wanted]);
        }
        for (const vm of [0, 1, 2]) {
          expect(numbersIn(once, names, (vm + a) % 3)).toBe(numbersIn(was, names, vm));
        }
        const twice = once.slice();
        moveVms(twice, names, b, 3);
        const sum = was.slice();
        moveVms(sum, names, (a + b) % 3, 3);
        expect(twice).toEqual(sum);
        moveVms(once, names, 3 - a, 3);
        expect(once).toEqual(was);
      }),
      seeded(200),
    );
  });
});

describe('Renumbering', () => {
  it('a renumbering counts from 1 in the order of meeting, around what is fixed, and once', () => {
    const names = namesOf();
    const renumber = (one: Int32Array, fixed: number): Int32Array => {
      const renumbering = new Renumbering();
      renumbering.begin(fixed);
      const copy = one.slice();
      renumbering.branches(copy, names, 1);
      return copy;
    };
    fc.assert(
      fc.property(namedRow, fc.subarray([1, 2, 3, 5, 30]), (was, held) => {
        const fixed = held.reduce((bits, n) => bits | (1 << n), 0);
        const is = renumber(was, fixed);
        expect(renumber(is, fixed)).toEqual(is);
        const met = new Map<number, number>();
        let next = 1;
        for (const at of names.branches) {
          if (was[at] === 0 || addressVm(was[at + 1]) !== 1) {
            expect(is[at]).toBe(was[at]);
            continue;
          }
          if (held.includes(was[at])) expect(is[at]).toBe(was[at]);
          else if (met.has(was[at])) expect(is[at]).toBe(met.get(was[at]));
          else {
            while (held.includes(next)) next++;
            expect(is[at]).toBe(next);
            met.set(was[at], next++);
          }
        }
        for (const vm of [0, 2]) expect(numbersIn(is, names, vm)).toBe(numbersIn(was, names, vm));
      }),
      seeded(200),
    );
  });

  it('a renumbering never touches what raw writes leave, nor zeros', () => {
    const renumbering = new Renumbering();
    renumbering.begin(0);
    const alone = Int32Array.of(0, 7, 0x1000, 64, 63, 7, -5);
    renumbering.alone(alone, [0, 1, 2, 3, 4, 5, 6]);
    expect([...alone]).toEqual([0, 1, 0x1000, 64, 2, 1, -5]);
  });
});

describe('TaskRotation', () => {
  it('two task rotations always do what the rotation by their sum does', () => {
    const names = namesOf();
    const TASKS = 3;
    const turned = (one: Int32Array, by: number): Int32Array => {
      const copy = one.slice();
      new TaskRotation(TASKS, by).branches(copy, names, 1);
      return copy;
    };
    fc.assert(
      fc.property(namedRow, fc.nat({ max: 2 }), fc.nat({ max: 2 }), (was, a, b) => {
        expect(turned(turned(was, a), b)).toEqual(turned(was, (a + b) % TASKS));
        const once = turned(was, a);
        for (const at of names.branches) {
          const task = addressTask(was[at + 1]);
          const moves = was[at] !== 0 && addressVm(was[at + 1]) === 1 && task < TASKS;
          const wanted = moves ? (task - a + TASKS) % TASKS : task;
          expect(addressTask(once[at + 1])).toBe(wanted);
        }
        // Forked tasks are not renamed.
        expect(turned(was, TASKS)).toEqual(was);
      }),
      seeded(200),
    );
  });
});

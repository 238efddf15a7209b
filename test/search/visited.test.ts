/** The visited set, compared with a Map from strings. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { collisionOdds, fingerprint, Visited } from '../../src/search/visited.js';

/** States that a weak hash would mix up: few bits set, the top bits too, and words exchanged. */
function word(): fc.Arbitrary<number> {
  const bit = fc.nat({ max: 31 }).map((k) => 1 << k);
  return fc.oneof(fc.constant(0), bit, fc.integer({ min: -2, max: 2 }));
}

function* structured(count: number, words: number): Generator<Int32Array> {
  const state = new Int32Array(words);
  for (let n = 0; n < count; n++) {
    for (let k = 0; k < words; k++) state[k] = ((n >> (2 * k)) & 3) << (k % 2 === 0 ? 30 : 0);
    state[words - 1] |= n & ~((1 << (2 * words)) - 1);
    yield state;
  }
}

describe('Visited', () => {
  it('the visited set tells new states from old ones, as a map of strings does', () => {
    const flags = [fc.boolean(), fc.integer({ min: 1, max: 9 })] as const;
    const property = fc.property(fc.array(fc.array(word())), ...flags, (lists, prints, words) => {
      const visited = new Visited(words, prints);
      const seen = new Map<string, number>();
      const states = lists.map((list) =>
        Int32Array.from({ length: words }, (_w, k) => list[k] ?? 0),
      );
      for (const [n, state] of states.entries()) {
        const key = state.join();
        const old = seen.get(key);
        expect(visited.find(state)).toBe(old ?? -1);
        const index = visited.insert(state, n - 7);
        expect(index).toBe(old === undefined ? seen.size : ~old);
        if (old === undefined) seen.set(key, index);
        if (old === undefined) expect(visited.pred(index)).toBe(n - 7);
      }
      expect(visited.count).toBe(seen.size);
      const into = new Int32Array(words);
      for (const [key, index] of seen) {
        visited.read(index, into);
        expect(into.join()).toBe(key);
      }
    });
    fc.assert(property, { numRuns: 200 });
  });

  it.each([
    [1, false],
    [5, false],
    [8, false],
    [8, true],
    [40, false],
  ])(
    'the visited set keeps what it has while it grows: %i words, fingerprints %s',
    (words, prints) => {
      const count = 30_000;
      const visited = new Visited(words, prints);
      const into = new Int32Array(words);
      let n = 0;
      for (const state of structured(count, words)) {
        expect(visited.insert(state, n - 1)).toBe(n);
        n++;
        expect(visited.room).toBeGreaterThanOrEqual(n);
      }
      n = 0;
      for (const state of structured(count, words)) {
        if (visited.find(state) !== n || visited.insert(state, 0) !== ~n) expect.fail(`state ${n}`);
        visited.read(n, into);
        if (into.join() !== state.join() || visited.pred(n) !== n - 1) expect.fail(`row ${n}`);
        n++;
      }
      expect(visited.count).toBe(count);
    },
  );

  it('the visited set knows its bytes, and those that more states will take', () => {
    const visited = new Visited(8, false);
    const tables = (count: number): number => {
      let slots = 1024;
      while (count > (slots / 8) * 5) slots *= 2;
      return slots * 4;
    };
    // A chunk has 2^17 words, enough for 2^14 rows of 8 words or for 2^17 predecessors.
    const wanted = (count: number): number =>
      tables(count) + Math.ceil(count / 2 ** 14) * 2 ** 19 + Math.ceil(count / 2 ** 17) * 2 ** 19;
    for (const count of [1, 640, 641, 16_384, 16_385, 131_072, 131_073]) {
      expect(visited.bytesFor(count)).toBe(wanted(count));
    }
    let n = 0;
    for (const state of structured(20_000, 8)) {
      visited.insert(state, 0);
      n++;
      if ([1, 640, 641, 16_384, 16_385].includes(n)) {
        expect(visited.bytes).toBe(wanted(n));
        // The answer is never below the memory that is already held.
        expect(visited.bytesFor(0)).toBe(wanted(n));
      }
    }
  });

  it('the visited set never allocates before the room that it names is used up', () => {
    const visited = new Visited(8, false);
    let bytes = 0;
    let room = 0;
    for (const state of structured(40_000, 8)) {
      const before = visited.count;
      visited.insert(state, 0);
      if (before < room) expect(visited.bytes).toBe(bytes);
      else expect(visited.room).toBeGreaterThan(room);
      bytes = visited.bytes;
      room = visited.room;
    }
  });

  it('the visited set forgets whole chunks of states, with fingerprints only', () => {
    const [prints, exact] = [new Visited(8, true), new Visited(8, false)];
    let n = 0;
    for (const state of structured(40_000, 8)) {
      prints.insert(state, n);
      exact.insert(state, n);
      n++;
    }
    const [before, all] = [prints.bytes, exact.bytes];
    prints.forget(16_383);
    expect(prints.bytes).toBe(before);
    prints.forget(16_384);
    expect(prints.bytes).toBe(before - 2 ** 19);
    prints.forget(10);
    prints.forget(39_999);
    expect(prints.bytes).toBe(before - 2 ** 20);
    exact.forget(40_000);
    expect(exact.bytes).toBe(all);
    // States whose rows are gone are still found by their fingerprints.
    n = 0;
    for (const state of structured(40_000, 8)) if (prints.find(state) !== n++) expect.fail(`${n}`);
    const into = new Int32Array(8);
    prints.read(39_999, into);
    expect(prints.find(into)).toBe(39_999);
  });
});

describe('fingerprint', () => {
  it('similar states never have one fingerprint, nor half of one too often', () => {
    const print = new Int32Array(2);
    const seen = new Set<string>();
    const halves = [new Set<number>(), new Set<number>()];
    const count = 200_000;
    for (const state of structured(count, 8)) {
      fingerprint(state, print);
      seen.add(print.join());
      halves.forEach((half, k) => half.add(print[k]));
    }
    expect(seen.size).toBe(count);
    // Chance alone causes about count^2 / 2^33 = 5 collisions.
    for (const half of halves) expect(half.size).toBeGreaterThan(count - 40);
  });

  it('states that differ in the top bits of words never have one fingerprint', () => {
    const [print, state] = [new Int32Array(2), new Int32Array(18)];
    const seen = new Set<number>();
    for (let n = 0; n < 1 << 18; n++) {
      for (let k = 0; k < 18; k++) state[k] = (n >> k) << 31;
      fingerprint(state, print);
      // 53 of the 64 bits, as a number.
      seen.add((print[0] >>> 0) * 2 ** 21 + (print[1] >>> 11));
    }
    expect(seen.size).toBe(1 << 18);
  });

  it('about half of the bits of a fingerprint change with any bit of the state', () => {
    const [a, b] = [new Int32Array(2), new Int32Array(2)];
    const bits = (x: number): number => x.toString(2).replaceAll(/[^1]/g, '').length;
    for (let k = 0; k < 8 * 32; k++) {
      let changed = 0;
      for (const state of structured(64, 8)) {
        fingerprint(state, a);
        state[k >> 5] ^= 1 << (k & 31);
        fingerprint(state, b);
        changed += bits((a[0] ^ b[0]) >>> 0) + bits((a[1] ^ b[1]) >>> 0);
      }
      expect(changed / 64).toBeGreaterThan(18);
      expect(changed / 64).toBeLessThan(46);
    }
  });
});

describe('collisionOdds', () => {
  it('collisionOdds always counts pairs of states', () => {
    expect(collisionOdds(1)).toBe(0);
    expect(collisionOdds(2)).toBe(2 ** -64);
    expect(collisionOdds(2 ** 20)).toBeCloseTo(2 ** -25, 12);
  });
});

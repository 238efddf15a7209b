/** Where all choice comes from: numbers that follow from the seed and the number of a run alone. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

/** The only source of chance: fast-check's generator, or a seeded one. */
export interface Draw {
  /** A number in [0, n). */
  below(n: number): number;
}

/** MurmurHash3's finalizer: hashes of neighbouring numbers are unlike in all bits. */
function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/**
 * A generator of its own for each run, so that a run does not depend on those before it. The first
 * outputs of this generator have the parity of its seed, so runs in a row must not have seeds in
 * a row.
 */
export function generatorOf(seed: number, run: number): ReturnType<typeof xoroshiro128plus> {
  return xoroshiro128plus(mix(Math.imul(seed, 0x9e3779b1) + run));
}

export function drawOf(seed: number, run: number): Draw {
  const rng = generatorOf(seed, run);
  return { below: (n: number): number => (rng.next() >>> 0) % n };
}

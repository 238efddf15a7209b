/** The seed of random tests, which the environment can set, and a repeatable generator. */

/** `VLBR_SEED`, or 1. */
export const SEED: number = Number(process.env['VLBR_SEED'] ?? 1);

/** Parameters of a property. fast-check prints the seed if the property fails. */
export function seeded(numRuns: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns };
}

/** A linear congruential generator. The same seed yields the same numbers. */
export function drawOf(seed: number): { below(n: number): number } {
  let x = seed | 0;
  return {
    below: (n: number): number => {
      x = (Math.imul(x, 1664525) + 1013904223) | 0;
      return (x >>> 8) % n;
    },
  };
}

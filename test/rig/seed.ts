/** Chance for the tests: a seed that the environment may set, and draws that repeat. */

/** `VLBR_SEED`, or 1. A failure that depends on it names it. */
export const SEED: number = Number(process.env['VLBR_SEED'] ?? 1);

/** Parameters of a property: fast-check names the seed when the property fails. */
export function seeded(numRuns: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns };
}

/** A linear congruential generator: it is dumb, and the same seed draws the same numbers. */
export function drawOf(seed: number): { below(n: number): number } {
  let x = seed | 0;
  return {
    below: (n: number): number => {
      x = (Math.imul(x, 1664525) + 1013904223) | 0;
      return (x >>> 8) % n;
    },
  };
}

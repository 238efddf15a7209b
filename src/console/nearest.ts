import { distance } from 'fastest-levenshtein';

/** The known name that is fewest edits away, if it is close enough to be what was meant. */
export function nearest(name: string, known: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.ceil(name.length / 3)) + 1;
  for (const candidate of known) {
    const edits = candidate.startsWith(name) ? 1 : distance(name, candidate);
    if (edits < least) [best, least] = [candidate, edits];
  }
  return name === '' ? null : best;
}

/** ` Did you mean NAME?`, or nothing where no known name is near. */
export function guessOf(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === null ? '' : ` Did you mean ${near}?`;
}
